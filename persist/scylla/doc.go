// Package scylla keeps the history of a canvas in a CQL database: every record
// for ever, who painted which pixel, and snapshots. It is written for ScyllaDB
// and speaks nothing that Apache Cassandra 5 does not understand.
//
//	archive -> Write -> pixel_history, user_history -> event_log -> log_index, log_days
//	                    (each row by its own key)      (the record's bytes)
//	Tail, Heads, HeadsAt <- event_log          Pixel, User <- the two histories
//
// What comes in are the records that the consumer rule let through, in order;
// what goes out is the same log, pages of the past, and snapshots. Every row has
// a key that the record alone decides, and a write time that it decides too, so a
// record that is written again overwrites itself. Two different records under one
// seq would merge cell by cell into one that nobody wrote: whoever writes must go
// by core.Follower, and whoever reads here checks each row against its bytes.
//
// Nothing here waits for the database longer than Options.Timeout: it may be away
// when a Store is opened and at any time later. There is no batch, no counter, and
// but one conditional write, when a keyspace gets its canvas.
package scylla

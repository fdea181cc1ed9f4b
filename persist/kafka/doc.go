// Package kafka is the log of a cluster: one topic, one partition a shard, one
// Kafka record a record of ours.
//
//	Append -> idempotent producer, acks=all -> partition of the shard
//	partition -> search by seq -> the claim in force, then every record -> Tail's fn
//
// What comes in are records of relays; what goes out are the same bytes in the
// order of their partition, those of deposed relays and those that were appended
// twice among them: core.Follower judges, this package only orders. Offsets never
// leave it. They differ from region to region and are found anew from a seq by
// each Tail; no consumer group is ever joined, and no position is ever reset to
// where the log happens to begin.
package kafka

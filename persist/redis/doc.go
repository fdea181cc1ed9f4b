// Package redis gives placements their order in Redis, and reads that order back.
//
//	Place -> cooldown (SET NX PX) -> queue of the shard -> place, one batch in flight -> outcome
//	                                                         └-> stream -> Outbox.Read, Stream.Tail
//
// What comes in are placements, and what relays and publishers do to a shard;
// what goes out are outcomes, the entries of the stream and published copies of
// the canvas. A shard's order lives in one slot, and every change of it is one
// atomic step of the function library in library.lua. What Redis says no to was
// not done; what it does not answer may have been done, and is asked again until
// it is known. Nothing here decides which relay is right: that is core.Follower's.
package redis

// Package fanout turns the ordered log into what the clients of this edge see.
//
//	core.Log.Tail -> head board + ring of events          (as records come)
//	tick          -> shown board, one batch per shard     -> gateway.Broadcast
//	Join          -> catch-up from the client's own seq   -> Client.Deliver
//
// Two boards are kept. The head has every durable event; the shown one stands at
// the last tick's boundary, which is what every client in step holds, what a
// batch is encoded against, and what HTTP serves. A tick costs one encoding per
// changed shard, however many clients watch it. Nothing here touches a socket,
// waits for a client, or decides whether a placement is allowed.
//
// In a cluster the log may be away, have holes, or take back what the sequencer
// lost. A shard in trouble stands still while the others go on:
//
//	gap     -> fetched again, after 2 s loaded from a snapshot
//	phantom -> loaded from a snapshot that does not have it
//	loaded  -> shown when it has caught up; who watches it fetches it again
package fanout

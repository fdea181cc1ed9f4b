// Package session is what a client may say and hear.
//
//	gateway.Message -> hello | watch | place | ping
//	watch -> fanout.Join                     -> init, catchup, batches
//	place -> placer -> core.Sequencer.Place  -> placed | error | bye, when nobody knows which
//
// It translates between wire and core: what comes in are bytes of a client that
// nobody trusts, what goes out are messages. All state of a client belongs to
// its event loop. Nothing here waits: what has to wait (the store, the hub) is
// handed over through a bounded queue, and a full one is told to the client.
package session

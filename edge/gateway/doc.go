// Package gateway moves WebSocket frames between sockets and the session
// layer, and spreads one encoded broadcast to all who follow it.
//
//	socket -> event loop -> request head -> 101 -> Handler.Open, Message, Close
//	                                    \-> Config.HTTP, with the bytes already read
//	Broadcast -> one task per event loop -> io_uring | sendto -> sockets
//
// In come TCP connections, broadcasts and posted functions; out go checked
// WebSocket messages, plain HTTP connections and frames. The gateway knows
// frames and channels: it never looks at a pixel, never reads a store and
// never waits for a client.
//
// Everything about one connection happens on its event loop, one callback at a
// time. Each loop has one queue of broadcasts and posted functions and works
// it off strictly in order, so a function posted between two broadcasts sees
// the first one handed to every socket of that loop and the second one to none.
//
// It runs on Linux: io_uring, sendto and SO_REUSEPORT are used as Linux has them.
package gateway

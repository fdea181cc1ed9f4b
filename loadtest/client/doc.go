// Package client speaks pixelwall.v1 as wire/PROTOCOL.md has it, from the side
// of somebody who paints and of somebody who watches.
//
//	Server.Session, Server.Canvas (HTTP)      Dial -> Conn -> Painter: Place -> Answer
//	                                                       -> Watcher: batches -> Canvas
//
// A Painter keeps what was not answered and sends it again after a cut; a
// Watcher resumes from the seqs of its copy. Both take a list of servers of one
// canvas and go to the next one when a connection ends. Nothing here knows the
// server's code, counts statistics of a load test, or paints on a Watcher's copy
// but what the server said.
package client

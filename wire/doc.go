// Package wire is the bytes of Pixelwall: every message between a client and a
// server, the batches of pixels, and the record that every store keeps.
//
//	struct -> AppendTo(dst) -> bytes          bytes -> ParseX(msg) -> struct
//
// PROTOCOL.md and CODEC.md beside this file are the specification; this package
// is one implementation of it. Nothing here knows a socket, a canvas rule or a
// user. No parser panics, writes to its input, or allocates by a number that the
// input names before it has seen that many bytes.
package wire

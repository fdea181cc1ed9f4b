// Package alone is what a process remembers beside a Redis that is all a cluster
// has: its streams are the log, and what it loses is in no topic.
//
//	streams -> archive.Worker -> folder -> History, Snapshots
//	                               └-> Redis: what every archive holds may be trimmed
//	streams -> Log, which notes the highest seqs -> Redis: none of these is given again
//
// What comes in are the streams; what goes out are the history, and to Redis what
// it no longer knows: the canvas, and where its seqs had come to. A folder that does
// not lead to what Redis has is set aside, never removed or written over.
package alone

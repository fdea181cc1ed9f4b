// Package embedded is the store of a server that has no other services: a
// durable log in segment files, an index beside it, and snapshots.
//
//	Place -> sequencer, one goroutine -> segment log -> fdatasync -> acknowledgement
//	                                        └-> Tail of everybody else, the index too
//
// What comes in are placements and configurations; what goes out are outcomes
// and the ordered log. An outcome is told, and a reader of the log sees a record,
// only after the fdatasync that made it durable; a failed fdatasync is never
// tried again, but the next start writes its group once more. The index and the snapshots can be made anew from the log, so
// nothing that an acknowledgement waits for touches them.
//
// An Archive is the same folder for a canvas that others sequence: records come in
// by Write, and the rest is as above.
//
//	Write -> consumer rule -> segment log -> fdatasync -> Watermark
package embedded

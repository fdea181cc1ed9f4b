// Package relay carries what the sequencer acknowledged to the log, and takes a
// shard over when its sequencer restarted, failed over or lost its relay.
//
//	Outbox.Read -> Topic.Append -> Outbox.Trim                                    (carry)
//	claim -> fence -> publish again -> rebuild -> recall -> arm                    (take over)
//
// What comes in are ports; what goes out are records in the log. Correctness
// rests on the epoch and the seq alone: a relay that is paused for a minute and
// goes on may do nothing that its successor's claim has not made void. Only the
// log says what a shard's pixels are. Records are left out in one case alone, and
// counted as a hole: those before them are in neither the outbox, the log nor a
// snapshot, see leaveOut.
package relay

package gateway

import "math/bits"

// Classes is how many encodings of one broadcast there may be. Each connection
// understands one of them.
const Classes = 2

// ChannelsMax is how many channels a connection can choose from.
const ChannelsMax = 64

// A Broadcast is what one tick has to say: for each channel that changed one
// run of whole WebSocket frames, all runs in channel order in one buffer per
// class. A connection gets the runs of the channels that it follows.
//
// Ownership: a Broadcast given to Gateway.Broadcast is shared by all loops and
// sockets. Nobody may write to it or its buffers afterwards; the garbage
// collector releases it.
type Broadcast struct {
	Active uint64                           // channels that have a run
	Buf    [Classes][]byte                  // a class with a nil buffer gets that of class 0
	Off    [Classes][ChannelsMax + 1]uint32 // channel i is Buf[k][Off[k][i]:Off[k][i+1]]
	All    bool                             // the whole Buf goes to everybody who called Hear; Active and Off do not count
	From   any                              // for Handler.Skipped: what the receiver was in step with before
}

// class returns the class whose buffer a connection of class k gets.
func (b *Broadcast) class(k uint8) uint8 {
	if int(k) < Classes && b.Buf[k] != nil {
		return k
	}
	return 0
}

// runs calls yield for each contiguous part of class k's buffer that belongs
// to the channels in want, in order. A part is as long as it can be: channels
// that are not active have no bytes, so they do not end a part.
func (b *Broadcast) runs(k uint8, want uint64, yield func(part []byte)) {
	if b.All {
		yield(b.Buf[k])
		return
	}
	for want &= b.Active; want != 0; {
		low := bits.TrailingZeros64(want)
		high := 63 // the last channel of this part: before the next active one that is not wanted
		if gap := b.Active &^ want >> low << low; gap != 0 {
			high = bits.TrailingZeros64(gap) - 1
		}
		if part := b.Buf[k][b.Off[k][low]:b.Off[k][high+1]]; len(part) > 0 {
			yield(part)
		}
		if high == 63 {
			return
		}
		want = want >> (high + 1) << (high + 1)
	}
}

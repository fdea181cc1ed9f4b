package gateway

import (
	"sync/atomic"
	"time"
)

// Stats is a view of the counters of a Gateway.
type Stats struct {
	Sender     SenderKind        // what the loops send with
	Conns      int64             // upgraded connections that are open
	Sockets    int64             // sockets of all kinds that count for the limits
	HTTP       int64             // of those, handed to the HTTP server
	Accepted   uint64            // sockets accepted
	Upgraded   uint64            // answered with 101
	Refused    map[int]uint64    // answered with an error, by HTTP status
	Closes     map[uint16]uint64 // ended, by close code; codes out of the known ranges count as 0
	MessagesIn uint64            // whole data messages received
	Deliveries uint64            // broadcasts handed to a connection
	BytesOut   uint64            // bytes of broadcasts
	Skipped    uint64            // broadcasts not handed over, because the backlog was full; later ones of a lagging client do not count
	Unread     int64             // bytes that wait for slow clients, a tenth of a second ago
	Broadcasts uint64            // broadcasts finished, once per loop
	Busy       time.Duration     // time that loops spent on broadcasts, all loops together
	Queued     int               // broadcasts waiting on the slowest loop
	Panics     uint64            // handler calls that panicked
}

// counters are the numbers behind Stats. Fan-out adds once per batch.
type counters struct {
	open, http                              atomic.Int64
	accepted, upgraded                      atomic.Uint64
	refused                                 [len(refusedStatuses)]atomic.Uint64
	closes                                  [2*closeRange + 1]atomic.Uint64
	messagesIn, skipped, broadcasts, panics atomic.Uint64
	deliveries, bytesOut, busyNS            atomic.Int64
}

var refusedStatuses = [...]int{0, 400, 403, 404, 408, 426, 429, 431, 503, 505}

// closeRange is how many codes from 1000 and from 4000 are counted apart.
const closeRange = 32

func (s *counters) refusedWith(status int) {
	for i, known := range refusedStatuses {
		if known == status {
			s.refused[i].Add(1)
			return
		}
	}
	s.refused[0].Add(1)
}

func (s *counters) closed(code uint16) {
	s.open.Add(-1)
	switch {
	case code >= 1000 && code < 1000+closeRange:
		s.closes[code-1000].Add(1)
	case code >= 4000 && code < 4000+closeRange:
		s.closes[closeRange+code-4000].Add(1)
	default:
		s.closes[2*closeRange].Add(1)
	}
}

// Stats returns the counters as they are now.
func (g *Gateway) Stats() Stats {
	s := &g.stats
	out := Stats{
		Sender: g.senderName(), Conns: s.open.Load(), Sockets: g.adm.conns.Load(), HTTP: s.http.Load(),
		Accepted: s.accepted.Load(), Upgraded: s.upgraded.Load(), MessagesIn: s.messagesIn.Load(),
		Deliveries: uint64(s.deliveries.Load()), BytesOut: uint64(s.bytesOut.Load()), Skipped: s.skipped.Load(), Broadcasts: s.broadcasts.Load(),
		Busy: time.Duration(s.busyNS.Load()), Panics: s.panics.Load(), Queued: g.Queued(),
		Refused: map[int]uint64{}, Closes: map[uint16]uint64{},
	}
	out.Unread = g.unread().bytes
	for i, status := range refusedStatuses {
		if n := s.refused[i].Load(); n > 0 {
			out.Refused[status] = n
		}
	}
	for i := range s.closes {
		n, code := s.closes[i].Load(), uint16(0)
		switch {
		case i < closeRange:
			code = 1000 + uint16(i)
		case i < 2*closeRange:
			code = 4000 + uint16(i) - closeRange
		}
		if n > 0 {
			out.Closes[code] = n
		}
	}
	return out
}

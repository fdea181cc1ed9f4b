package session

import "time"

// diverged notes that the client says that its canvas differs. Anybody can say so,
// and an operator is woken by it, so it counts only of one that was sent a check,
// and once a minute and network.
func (cl *client) diverged() {
	s := cl.srv
	now := time.UnixMilli(s.opt.NowMS())
	if cl.follow == 0 || s.reports.Take(cl.conn.RemoteAddr(), 1, now) > 0 {
		return
	}
	s.stats.diverged.Add(1)
	s.reported.Warn(s.opt.Logger, now, "a client's canvas differed", "client", cl.conn.RemoteAddr())
}

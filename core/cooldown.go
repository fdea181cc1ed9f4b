package core

// A Cooldown is the generic cell rate algorithm: a user who has rested may place
// Max times at once, and gains one placement every EveryMS. All state is one
// number a user, the theoretical arrival time: when the user will have rested
// fully. EveryMS 0 means no cooldown.
//
// The algorithm is that of ITU-T I.371, in its virtual scheduling form.
type Cooldown struct {
	EveryMS int64
	Max     int
}

// An Allowance is what a user may do now, in server time.
type Allowance struct {
	Available int   // placements that may be made now
	Max       int   // placements after a full rest
	NextMS    int64 // unix time when Available rises, 0 when it is Max
}

// Take charges one placement at nowMS to a user whose arrival time is tat. It
// returns the new arrival time, or tat itself and false when the user must wait.
func (c Cooldown) Take(tat, nowMS int64) (next int64, ok bool) {
	if c.EveryMS == 0 {
		return tat, true
	}
	next = max(tat, nowMS) + c.EveryMS
	if next-nowMS > int64(c.Max)*c.EveryMS {
		return tat, false
	}
	return next, true
}

// Refund takes one charge back.
func (c Cooldown) Refund(tat int64) int64 { return tat - c.EveryMS }

// Allowance returns what a user with arrival time tat may do at nowMS.
func (c Cooldown) Allowance(tat, nowMS int64) Allowance {
	a := Allowance{Available: c.Max, Max: c.Max}
	if c.EveryMS == 0 || tat <= nowMS {
		return a
	}
	owed := (tat - nowMS + c.EveryMS - 1) / c.EveryMS
	a.Available = max(0, c.Max-int(min(owed, int64(c.Max))))
	a.NextMS = tat - int64(c.Max-a.Available-1)*c.EveryMS
	return a
}

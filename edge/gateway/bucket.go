package gateway

// A bucket limits a rate by the generic cell rate algorithm: it remembers only
// the time at which it would be full of free places again.
type bucket struct {
	freeUS int64
}

// take reports whether one more event fits at nowUS, where events may come
// every everyUS microseconds and burst of them at once.
func (b *bucket) take(nowUS, everyUS, burst int64) bool {
	free := max(b.freeUS, nowUS) + everyUS
	if free-nowUS > everyUS*burst {
		return false
	}
	b.freeUS = free
	return true
}

package redis

import (
	"testing"
	"time"
)

// A charge is never taken for younger than it is, whatever the fractions.
func TestAChargeIsNotYoungerThanItIs(t *testing.T) {
	for chargedUS := int64(60_000); chargedUS < 62_000; chargedUS += 7 {
		for answeredUS := chargedUS; answeredUS < chargedUS+3_000; answeredUS += 11 {
			elapsed := time.Duration(answeredUS-chargedUS) * time.Microsecond
			if got := agoMS(answeredUS/1000, elapsed); got > chargedUS/1000 {
				t.Fatalf("charged at %d µs, answered at %d µs: %d ms", chargedUS, answeredUS, got)
			}
		}
	}
}

package gateway

import (
	"math"
	"testing"
)

func TestTheLimitOfACgroupIsRead(t *testing.T) {
	for text, want := range map[string]int64{
		"536870912\n":           512 << 20,
		"max\n":                 math.MaxInt64,
		"9223372036854771712\n": 9223372036854771712, // how the first version says that there is none
		"0\n":                   math.MaxInt64,
		"":                      math.MaxInt64,
	} {
		if got := cgroupLimit(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

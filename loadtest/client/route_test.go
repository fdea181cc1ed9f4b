package client

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"pixelwall/wire"
)

func TestRotatedBeginsAnywhereAndKnowsAll(t *testing.T) {
	a, b, c := &Server{}, &Server{}, &Server{}
	all := []*Server{a, b, c}
	for n, want := range [][]*Server{{a, b, c}, {b, c, a}, {c, a, b}, {a, b, c}} {
		if got := Rotated(all, n); !slices.Equal(got, want) {
			t.Errorf("from %d: %v", n, got)
		}
	}
	if !slices.Equal(all, []*Server{a, b, c}) {
		t.Error("the list itself was turned")
	}
}

func TestTriesAreCountedUntilAConnectionLasts(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		name    string
		tries   int
		arrived time.Time
		want    int
	}{
		{"nobody took the client in", 4, time.Time{}, 5},
		{"a connection that ended soon is one more try", 4, now.Add(-lastedMin + 1), 5},
		{"after one that lasted they begin again", 4, now.Add(-lastedMin), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := triesNow(tt.tries, tt.arrived, now); got != tt.want {
				t.Errorf("try %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTheWaitDoublesUntilHalfAMinute(t *testing.T) {
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1000: 30 * time.Second} {
		if low, high := waitRange(n, wire.Bye{}); low != 0 || high != want {
			t.Errorf("before try %d: %v to %v, want up to %v", n, low, high, want)
		}
	}
	if low, high := waitRange(7, wire.Bye{WaitMinMS: 100, WaitMaxMS: 900}); low != 100*time.Millisecond || high != 900*time.Millisecond {
		t.Errorf("after a bye: %v to %v", low, high)
	}
}

// The names are PROTOCOL.md's.
func TestCodeNames(t *testing.T) {
	text, err := os.ReadFile("../../wire/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| ([a-z_]+) \|.*\|$`).FindAllStringSubmatch(string(text), -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil || code != found {
			continue // another table
		}
		if found++; CodeName(uint8(code)) != m[2] {
			t.Errorf("code %d is %s, want %s", code, CodeName(uint8(code)), m[2])
		}
	}
	if found != len(codeNames) {
		t.Errorf("PROTOCOL.md has %d codes, the list %d", found, len(codeNames))
	}
	if got := CodeName(200); got != "code_200" {
		t.Errorf("a code of a later version is %s", got)
	}
}

package chaos

import (
	"strings"
	"testing"
	"time"

	"pixelwall/core"
)

// told makes a painter that was told what the strokes say.
func told(instance uint64, strokes ...stroke) *painter {
	return &painter{instance: instance, strokes: strokes}
}

func stored(instance uint64, number uint32, seq uint64, timeMS int64) entry {
	return entry{Event: core.Event{Offset: 9, Color: 2, User: 77, Request: core.Request{Instance: instance ^ 77, Number: number}}, shard: 1, seq: seq, timeMS: timeMS}
}

// The judge has to find every kind of fault, or all faults pass.
func TestJudgeFinds(t *testing.T) {
	ok := stroke{shard: 1, offset: 9, color: 2, fate: placed, seq: 7}
	other := ok
	other.color = 3
	no := stroke{shard: 1, offset: 9, color: 2, fate: refused}
	open := stroke{shard: 1, offset: 9, color: 2}
	later := ok
	later.denied = 1000
	for _, tt := range []struct {
		name     string
		painters []*painter
		events   []entry
		want     string // part of a fault; "" none
		lost     int
		twice    int
	}{
		{"nothing where all is as it was told", []*painter{told(5, ok, open, no)}, []entry{stored(5, 1, 7, 0), stored(5, 2, 8, 0)}, "", 0, 0},
		{"a lost placement", []*painter{told(5, ok)}, nil, "", 1, 0},
		{"a request that is stored twice", []*painter{told(5, ok)}, []entry{stored(5, 1, 7, 0), stored(5, 1, 8, 0)}, "", 0, 1},
		{"another seq", []*painter{told(5, ok)}, []entry{stored(5, 1, 8, 0)}, "under another seq", 0, 0},
		{"another colour", []*painter{told(5, other)}, []entry{stored(5, 1, 7, 0)}, "other values", 0, 0},
		{"what was refused and is stored", []*painter{told(5, no)}, []entry{stored(5, 1, 7, 0)}, "although they were refused", 0, 0},
		{"what was refused for now and stored later", []*painter{told(5, later)}, []entry{stored(5, 1, 7, 1000)}, "", 0, 0},
		{"what was refused for now and was stored already", []*painter{told(5, later)}, []entry{stored(5, 1, 7, 999)}, "said to be not", 0, 0},
		{"what nobody sent", []*painter{told(5, ok)}, []entry{stored(5, 1, 7, 0), stored(6, 1, 8, 0)}, "nobody sent", 0, 0},
		{"one seq for two placements", []*painter{told(5, ok, ok)}, []entry{stored(5, 1, 7, 0), stored(5, 2, 8, 0)}, "earlier one", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := judge(tt.painters, tt.events, 0)
			if all := strings.Join(r.faults, "; "); !strings.Contains(all, tt.want) || tt.want == "" && all != "" {
				t.Errorf("faults %q, want %q", all, tt.want)
			}
			if r.lost != tt.lost || r.duplicates != tt.twice {
				t.Errorf("lost %d, duplicates %d, want %d and %d", r.lost, r.duplicates, tt.lost, tt.twice)
			}
		})
	}
}

func TestInsideCooldown(t *testing.T) {
	at := func(sent, time int64) own { return own{stored(5, 1, 1, time), sent} }
	for _, tt := range []struct {
		name        string
		mine        []own
		early, late int
	}{
		{"a second apart", []own{at(0, 5), at(1000, 1005)}, 0, 0},
		{"too early", []own{at(0, 5), at(900, 905)}, 1, 0},
		{"the first one was held up", []own{at(0, 500), at(1001, 1010)}, 0, 1},
		{"the second one was held up, and had been sent before", []own{at(2000, 2005), at(900, 2006)}, 0, 1},
		{"sent before, but not long enough", []own{at(2000, 2005), at(1100, 2006)}, 1, 0},
	} {
		if early, late := insideCooldown(tt.mine, time.Second); early != tt.early || late != tt.late {
			t.Errorf("%s: early %d, late %d, want %d and %d", tt.name, early, late, tt.early, tt.late)
		}
	}
}

func TestMetricsAreSummedOverLabels(t *testing.T) {
	got := parseMetrics([]byte("# HELP a_total x\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\nb 1e3\n"))
	if got["a_total"] != 5 || got["b"] != 1000 || got[`a_total{x="2"}`] != 3 {
		t.Errorf("%v", got)
	}
}

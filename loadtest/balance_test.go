package main

import (
	"testing"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

func TestBalanceFindsWhatIsLostAndWhatIsThereTwice(t *testing.T) {
	const far = jumpMin
	for _, tt := range []struct {
		name                    string
		seqs                    []uint64 // acknowledged, 0: refused
		end, others             uint64
		lost, duplicated, jumps int64
	}{
		{"all is well", []uint64{11, 12, 13}, 13, 0, 0, 0, 0},
		{"a refusal takes no place", []uint64{11, 0, 12}, 12, 0, 0, 0, 0},
		{"an acknowledgement beyond the end is lost", []uint64{11, 12, 13}, 12, 0, 1, 0, 0},
		{"an acknowledgement from before the start is lost, and its place is somebody's", []uint64{10, 11}, 12, 0, 1, 1, 0},
		{"a place that two were given has lost one of them", []uint64{11, 11}, 11, 0, 1, 0, 0},
		{"a place that nobody was given is one too many", []uint64{11, 13}, 13, 0, 0, 1, 0},
		{"a change of configuration takes a place", []uint64{11, 13}, 13, 1, 0, 0, 0},
		{"a wiped log has lost everything", []uint64{11, 12}, 2, 0, 2, 0, 0},
		{"acknowledgements come in any order", []uint64{13, 11, 12}, 13, 0, 0, 0, 0},
		{"a take-over is no duplicate", []uint64{11, 12, 13 + far}, 13 + far, 0, 0, 0, 1},
		{"two shards' worth of take-overs, one at the very end", []uint64{11 + far, 12 + far}, 13 + 2*far, 0, 0, 0, 2},
		{"a place that nobody was given is found beside a take-over", []uint64{11, 13, 14 + far, 16 + far}, 16 + far, 0, 0, 2, 1},
		{"a place given twice is found behind a take-over", []uint64{11, 12 + far, 12 + far}, 12 + far, 0, 1, 0, 1},
		{"what lay behind a take-over that is gone is lost", []uint64{11, 12 + far}, 11, 0, 1, 0, 0},
		{"the largest gap without a take-over", []uint64{11, 11 + far}, 11 + far, 0, 0, far - 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(4, make([]trace.Event, len(tt.seqs)), blank(t, 10))
			for i, seq := range tt.seqs {
				if seq == 0 {
					a.refused(int32(i), wire.Refusal{Code: 13})
				} else {
					a.placed(int32(i), wire.Placed{Seq: seq})
				}
			}
			b := a.balance([wire.ShardsMax]uint64{tt.end}, tt.others)
			if b.lost != tt.lost || b.duplicated != tt.duplicated || b.jumps != tt.jumps || (len(b.faults) > 0) != (tt.lost+tt.duplicated > 0) {
				t.Errorf("%+v, want %d lost, %d duplicated, %d jumps", b, tt.lost, tt.duplicated, tt.jumps)
			}
		})
	}
}

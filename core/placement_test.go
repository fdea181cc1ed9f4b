package core

import (
	"testing"
	"time"
)

func TestACanvasTakesWhatLiesOnIt(t *testing.T) {
	c := Config{Width: 1000, Height: 600, Bits: 4, Palette: make(Palette, 16)}
	inner := Placement{Shard: 3, Offset: 87*ShardSide + 487, Color: 15} // pixel 999,599
	for _, tt := range []struct {
		name   string
		change func(*Placement)
		want   Code
	}{
		{"a shard that the canvas does not reach", func(p *Placement) { p.Shard = 4 }, CodeUnknownShard},
		{"a shard that no canvas has", func(p *Placement) { p.Shard = ShardsMax }, CodeUnknownShard},
		{"a column behind the last one", func(p *Placement) { p.Offset++ }, CodeOutOfCanvas},
		{"a row behind the last one", func(p *Placement) { p.Offset += ShardSide }, CodeOutOfCanvas},
		{"an offset that no shard has", func(p *Placement) { p.Offset += ShardPixels }, CodeOutOfCanvas},
		{"a colour behind the last one", func(p *Placement) { p.Color++ }, CodeUnknownColor},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := inner
			if err := c.Judge(&p); err != nil {
				t.Fatalf("before it was changed: %v", err)
			}
			tt.change(&p)
			if err := c.Judge(&p); err == nil || err.Code != tt.want {
				t.Errorf("Judge(%+v) = %v, want %v", p, err, tt.want)
			}
		})
	}
}

// What NewPlacement makes is what Judge lets pass, and what it refuses has the
// same code.
func TestNewPlacementAndJudgeAgree(t *testing.T) {
	c := Config{Width: 1000, Height: 600, Bits: 4, Palette: make(Palette, 12)}
	for _, x := range []int{0, 511, 512, 999, 1000, 1023} {
		for _, y := range []int{0, 511, 512, 599, 600, 1023} {
			for _, color := range []int{0, 11, 12} {
				shard, off := Locate(x, y)
				refused := c.Judge(&Placement{Shard: shard, Offset: off, Color: uint8(color)})
				_, err := NewPlacement(&c, x, y, color, 1, Request{})
				if (refused == nil) != (err == nil) || err != nil && CodeOf(err) != refused.Code {
					t.Errorf("colour %d at %d,%d: NewPlacement says %v, Judge %v", color, x, y, err, refused)
				}
			}
		}
	}
}

func TestAUserWhoHasToWaitHearsHowLong(t *testing.T) {
	for _, tt := range []struct {
		nextMS int64
		want   time.Duration
	}{{1500, 500 * time.Millisecond}, {1000, time.Millisecond}, {900, time.Millisecond}} { // another clock may have charged
		if err := (Allowance{NextMS: tt.nextMS}).Refusal(1000); err.Code != CodeCooldown || err.RetryAfter != tt.want {
			t.Errorf("Refusal until %d = %v after %v, want %v", tt.nextMS, err, err.RetryAfter, tt.want)
		}
	}
}

func TestHeadsReachWhatNoShardOfThemIsBehind(t *testing.T) {
	goal := Heads{3: 7, 5: 9}
	for _, tt := range []struct {
		h    Heads
		want bool
	}{
		{Heads{3: 7, 5: 9}, true},
		{Heads{3: 8, 5: 9, 6: 1}, true},
		{Heads{3: 100, 5: 8}, false},
		{Heads{}, false},
	} {
		if got := tt.h.Reach(&goal); got != tt.want {
			t.Errorf("%v reaches %v: %t", tt.h[:7], goal[:7], got)
		}
	}
}

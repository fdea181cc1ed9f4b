package core

import (
	"strings"
	"testing"
)

func TestWantAgainstWhatThereIs(t *testing.T) {
	have := testConfig()
	p16 := have.Palette
	have.Palette = p16[:8:8]
	other := append(Palette{{Name: "mud", RGB: 1}}, p16[1:8]...)
	p17 := append(p16[:16:16], Color{Name: "mud", RGB: 1})
	ms := int64(9000)
	for _, tt := range []struct {
		name string // of what is wanted
		want Want
		says string             // in the error; "" when it is fine
		next func(*Config) bool // nil: nothing has to change
	}{
		{"nothing in particular", Want{}, "", nil},
		{"the same", Want{Width: 1000, Height: 1000, Palette: p16[:8], StartHash: "aaaa"}, "", nil},
		{"a beginning of the palette", Want{Palette: p16[:4]}, "", nil},
		{"a longer palette", Want{Palette: p16}, "", func(c *Config) bool { return len(c.Palette) == 16 }},
		{"another cooldown", Want{CooldownMS: &ms}, "", func(c *Config) bool { return c.CooldownMS == 9000 }},
		{"another size", Want{Width: 2000, Height: 1000}, "1000x1000; asked for was 2000x1000", nil},
		{"another start canvas", Want{StartHash: "bbbb"}, "start canvas aaaa; asked for was the start canvas bbbb", nil},
		{"another palette", Want{Palette: other}, `"white" #ffffff as number 0; asked for was one of 8 colours with "mud" #000001`, nil},
		{"more colours than fit", Want{Palette: p17}, "enough for 16 colours; asked for were 17", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next, err := tt.want.Against(have, "aaaa", "the wall")
			if tt.says != "" {
				if CodeOf(err) != CodeMismatch || !strings.Contains(err.Error(), "the wall holds ") || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("Against = %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil || (next != nil) != (tt.next != nil) || next != nil && (next.Version != 2 || !tt.next(next)) {
				t.Errorf("Against = %+v, %v", next, err)
			}
		})
	}
}

package core

import "testing"

func testConfig() Config {
	p, _ := NamedPalette("place2017")
	return Config{Version: 1, Width: 1000, Height: 1000, Bits: 4, Blank: 0, Palette: p, CooldownMS: 5000, BurstMax: 1}
}

func TestConfigRefuses(t *testing.T) {
	wide, _ := NamedPalette("place2022")
	for _, tt := range []struct {
		name   string // reads on from "Config refuses ..."
		change func(*Config)
		ok     bool
	}{
		{"nothing about the default", func(*Config) {}, true},
		{"no size", func(c *Config) { c.Width = 0 }, false},
		{"no colours", func(c *Config) { c.Palette = nil }, false},
		{"version zero", func(c *Config) { c.Version = 0 }, false},
		{"32 colours in 4 bits", func(c *Config) { c.Palette = wide }, false},
		{"nothing about 32 colours in 8 bits", func(c *Config) { c.Palette, c.Bits = wide, 8 }, true},
		{"a blank colour that is none", func(c *Config) { c.Blank = 16 }, false},
		{"a negative cooldown", func(c *Config) { c.CooldownMS = -1 }, false},
		{"a cooldown of more than a week", func(c *Config) { c.CooldownMS = CooldownMSMax + 1 }, false},
		{"nothing about no cooldown", func(c *Config) { c.CooldownMS = 0 }, true},
		{"a burst of zero", func(c *Config) { c.BurstMax = 0 }, false},
		{"a burst above 1000", func(c *Config) { c.BurstMax = 1001 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig()
			tt.change(&c)
			err := c.Validate()
			if (err == nil) != tt.ok {
				t.Fatalf("Validate = %v", err)
			}
			if err != nil && CodeOf(err) != CodeInvalid {
				t.Errorf("code %v", CodeOf(err))
			}
		})
	}
}

func TestConfigFollows(t *testing.T) {
	gold := Color{"gold", 0xFFD700}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   Code // CodeInternal: it follows
	}{
		{"a larger canvas", func(c *Config) { c.Width, c.Height = 2000, 1001 }, CodeInternal},
		{"a longer cooldown", func(c *Config) { c.CooldownMS = 300_000 }, CodeInternal},
		{"a palette grown at its end", func(c *Config) { c.Palette = append(c.Palette, gold) }, CodeInternal},
		{"the same version", func(c *Config) { c.Version = 1 }, CodeMismatch},
		{"a version skipped", func(c *Config) { c.Version = 3 }, CodeMismatch},
		{"a smaller canvas", func(c *Config) { c.Height = 999 }, CodeInvalid},
		{"wider pixels", func(c *Config) { c.Bits = 8 }, CodeInvalid},
		{"another blank colour", func(c *Config) { c.Blank = 1 }, CodeInvalid},
		{"a colour changed", func(c *Config) { c.Palette[3] = gold }, CodeInvalid},
		{"a colour put in front", func(c *Config) { c.Palette = append(Palette{gold}, c.Palette...) }, CodeInvalid},
		{"a colour taken away", func(c *Config) { c.Palette = c.Palette[:14] }, CodeInvalid},
		{"something that is not valid itself", func(c *Config) { c.BurstMax = 0 }, CodeInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, next := testConfig(), testConfig()
			old.Palette = old.Palette[:15] // room to grow within 4 bits
			next.Palette = next.Palette[:15:15]
			next.Version = 2
			tt.change(&next)
			err := next.Follows(&old)
			if (err == nil) != (tt.want == CodeInternal) || CodeOf(err) != tt.want {
				t.Errorf("Follows = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNewPlacementRefusesWhatTheCanvasCanNeverTake(t *testing.T) {
	c := testConfig()
	for _, tt := range []struct {
		name        string
		x, y, color int
		want        Code // CodeInternal: it is taken
	}{
		{"the first pixel", 0, 0, 0, CodeInternal},
		{"the last pixel in the last colour", 999, 999, 15, CodeInternal},
		{"right of the canvas", 1000, 0, 0, CodeOutOfCanvas},
		{"below the canvas", 0, 1000, 0, CodeOutOfCanvas},
		{"left of the canvas", -1, 0, 0, CodeOutOfCanvas},
		{"a colour too high", 0, 0, 16, CodeUnknownColor},
		{"a negative colour", 0, 0, -1, CodeUnknownColor},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Instance: 3, Number: 4}
			p, err := NewPlacement(&c, tt.x, tt.y, tt.color, 42, r)
			if (err == nil) != (tt.want == CodeInternal) || CodeOf(err) != tt.want {
				t.Fatalf("NewPlacement = %v, want %v", err, tt.want)
			}
			if err != nil {
				return
			}
			x, y := Coordinates(p.Shard, p.Offset)
			if x != tt.x || y != tt.y || int(p.Color) != tt.color || p.User != 42 || p.Request != r {
				t.Errorf("%+v", p)
			}
		})
	}
}

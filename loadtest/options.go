package main

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ReplayOptions is every flag of the replay.
type ReplayOptions struct {
	URL       []string      `help:"WebSocket address of the server; several, or with commas between them, for the edges of one cluster" default:"ws://localhost:8080/ws"`
	Trace     string        `help:"what is painted: .pxt.gz, or Reddit's .csv, .csv.gz or .csv.gzip of 2022 and 2023" required:"" type:"existingfile"`
	From      time.Duration `help:"begin so far into the trace" default:"0s"`
	For       time.Duration `help:"paint so much of the trace; 0 is all" default:"0s"`
	Speed     float64       `help:"how much faster than it happened" default:"1"`
	Watchers  int           `help:"clients that watch the whole canvas; each fourth without the range coder" default:"10"`
	Painters  int           `help:"clients that paint; 0 is enough for the server's message rate" default:"0"`
	History   int           `help:"painted pixels whose history is compared request by request; --history=-1 is all" default:"2000"`
	Reconnect bool          `help:"go on when a server dies: reconnect, to the next one if there are several, resume, and send again; also what was refused as unavailable or draining"`
	Patience  time.Duration `help:"how long everything may take to arrive after the last placement, history too, and how long one placement may be refused for now" default:"60s"`
	P99Max    time.Duration `name:"p99-max" help:"exit 1 when the 99th percentile from place to seen is above it; 0 for no bound" default:"0s"`
	JSON      bool          `help:"report as one JSON object"`
}

const (
	clientsMax = 100_000
	// paintersRate is how many placements a second a painter takes when their
	// number is chosen here. The server allows 20 messages.
	paintersRate = 15
)

func (o *ReplayOptions) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.URL) == 0 {
		wrong("--url: must be given")
	}
	if !(o.Speed > 0) || o.Speed > 1e6 {
		wrong("--speed: %v: must be above 0, at most 1000000", o.Speed)
	}
	if o.Watchers < 0 || o.Watchers > clientsMax {
		wrong("--watchers: %d: must be 0 to %d", o.Watchers, clientsMax)
	}
	if o.Painters < 0 || o.Painters > clientsMax {
		wrong("--painters: %d: must be 0 to %d", o.Painters, clientsMax)
	}
	if o.History < -1 {
		wrong("--history: %d: must be -1 or more", o.History)
	}
	for name, d := range map[string]time.Duration{"from": o.From, "for": o.For} {
		if d < 0 || d.Milliseconds() > math.MaxUint32 {
			wrong("--%s: %v: must be 0 to 49 days", name, d)
		}
	}
	if o.P99Max < 0 {
		wrong("--p99-max: %v: must not be negative", o.P99Max)
	}
	if o.Patience < time.Second {
		wrong("--patience: %v: must be at least 1s", o.Patience)
	}
	return errors.Join(errs...)
}

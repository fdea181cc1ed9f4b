package redis

import (
	"fmt"
	"log/slog"
	"time"

	"pixelwall/core"
)

// Options say which Redis to use, and how long to wait for it.
type Options struct {
	// Addrs are host:port. One is a single server or a node of a Cluster, several
	// are nodes of a Cluster or a master and its replicas; which of these is found out.
	Addrs    []string
	Username string
	Password string

	// Limiter are the addresses of a Redis of its own for the cooldowns. It has the
	// same user. Nil: the cooldowns lie with the shards.
	Limiter []string

	Prefix string // of every key; "pw" when empty
	Logger *slog.Logger
	NowMS  func() int64 // unix; the clock of the machine when nil

	CommandTimeout time.Duration // of one command, 50 to 500 ms; 200 ms when 0
	ProbeEvery     time.Duration // of a shard whose breaker is open; 300 ms when 0
	PollEvery      time.Duration // of the streams by Tail; 15 ms when 0

	// ResendFor is how long a batch without an answer is sent again; 30 s when 0.
	ResendFor time.Duration
	// HoldFor is how long placements wait for a shard that nobody has armed, before
	// they are refused; 3 s when 0. It covers a take-over.
	HoldFor time.Duration

	slow bool // a command may take longer: a test compares what it does, on any disk
}

func (o *Options) ensureDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.CommandTimeout, 200 * time.Millisecond}, {&o.ProbeEvery, 300 * time.Millisecond},
		{&o.PollEvery, 15 * time.Millisecond}, {&o.ResendFor, 30 * time.Second}, {&o.HoldFor, 3 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Prefix == "" {
		o.Prefix = "pw"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NowMS == nil {
		o.NowMS = func() int64 { return time.Now().UnixMilli() }
	}
}

func (o *Options) validate() error {
	switch {
	case len(o.Addrs) == 0:
		return core.NewError(core.CodeInvalid, "no address of Redis")
	case o.CommandTimeout < 50*time.Millisecond || o.CommandTimeout > 500*time.Millisecond && !o.slow:
		return core.NewError(core.CodeInvalid, fmt.Sprintf("a Redis command may take %v: must be 50 to 500 ms", o.CommandTimeout))
	}
	return nil
}

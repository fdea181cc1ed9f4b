package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// A batch is what one codec call turns into one message.
type batch struct {
	canvas wire.Canvas // before it
	px     []wire.Pixel

	// For the header of a frame:
	shard   uint8
	advance uint64 // placements of the shard since its last batch
	tenths  uint64 // of a second since its last batch
}

// measure plays the batches of t through c. The time of a frame trace's
// batches is that of their last event.
func measure(c codec, t *trace.Trace, batches [][]trace.Event) (row, error) {
	shards := t.Shards(c.side)
	flat := slices.Clone(t.Base)
	advance := make([]uint64, len(shards.Canvases))
	lastTenths := make([]uint64, len(shards.Canvases))
	var total tally
	for i, events := range batches {
		counted := i >= len(batches)/5
		for k, painted := range shards.Split(events) {
			advance[k] = uint64(len(painted))
		}
		nowTenths := uint64(events[len(events)-1].TimeMs) / 100
		for k, px := range shards.Split(trace.Net(flat, events)) {
			if advance[k] == 0 || len(px) == 0 && !c.sendsEmpty {
				continue
			}
			b := batch{shards.Canvases[k], px, uint8(k), advance[k], nowTenths - lastTenths[k]}
			lastTenths[k] = nowTenths
			if err := total.play(c, b, counted); err != nil {
				return row{}, fmt.Errorf("batch %d: %w", i, err)
			}
			shards.Canvases[k].Apply(px)
		}
		for _, e := range events {
			flat[e.Pos] = e.Color
		}
		if counted {
			total.placements += len(events)
		}
	}
	if total.pixels == 0 {
		return row{}, errors.New("the trace changes no pixel after its first fifth")
	}
	px := float64(total.pixels)
	return row{
		Codec:             c.name,
		BytesPerPixel:     float64(total.bytes) / px,
		BytesPerPlacement: float64(total.bytes) / float64(total.placements),
		EncodeNsPerPixel:  float64(total.encode.Nanoseconds()) / px,
		DecodeNsPerPixel:  float64(total.decode.Nanoseconds()) / px,
	}, nil
}

type tally struct {
	bytes, pixels, placements int
	encode, decode            time.Duration

	message []byte
	decoded []wire.Pixel
}

// play encodes b, decodes it again and compares.
func (t *tally) play(c codec, b batch, counted bool) error {
	start := time.Now()
	message := c.encode(t.message[:0], b)
	encoded := time.Now()
	decoded, err := c.decode(t.decoded[:0], message, b)
	took := time.Since(encoded)
	if err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	if !slices.Equal(decoded, b.px) {
		return errors.New("other pixels came back")
	}
	t.message, t.decoded = message, decoded
	if counted {
		t.bytes += len(message)
		t.pixels += len(b.px)
		t.encode += encoded.Sub(start)
		t.decode += took
	}
	return nil
}

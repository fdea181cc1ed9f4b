package web

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// decodeMaxMS is what one tick of the busiest canvas may cost a page's worker.
const decodeMaxMS = 5

// BenchmarkTheWorkerDecodes35000Placements measures the committed bundle: four
// shards' batches of 35 000 placements of r/place 2017, as they go out.
func BenchmarkTheWorkerDecodes35000Placements(b *testing.B) {
	vectors, pixels := busyTick(b, placeTrace(b))
	p := openPage(b, startEdge(b).url+"/?debug", desktop)
	p.until("globalThis.pixelwall")
	const rounds, warm = 60, 20
	var sum, worst float64
	for b.Loop() {
		var ms [rounds]float64
		for _, v := range vectors {
			got := p.decodeTimed(v, rounds)
			if got.Fault != nil || len(got.Changes) != len(v.Pixels) {
				b.Fatalf("fault %s, %d pixels, want %d", text(got.Fault), len(got.Changes), len(v.Pixels))
			}
			for i := range ms {
				ms[i] += got.Millis[i]
			}
		}
		slices.Sort(ms[warm:])
		sum += ms[warm+(rounds-warm)/2]
		worst = max(worst, ms[rounds-1])
	}
	median := sum / float64(b.N)
	b.ReportMetric(median, "ms/tick")
	b.ReportMetric(worst, "ms/worst")
	b.ReportMetric(median*1e6/float64(pixels), "ns/pixel")
	b.ReportMetric(float64(pixels), "pixels")
	if median > decodeMaxMS {
		b.Errorf("%.2f ms for a tick, want at most %d", median, decodeMaxMS)
	}
}

// busyTick returns the batches of 35 000 placements after the trace's first
// fifth, one a shard, and how many pixels they have.
func busyTick(b *testing.B, path string) (vectors []codecVector, pixels int) {
	t, err := trace.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	const busy = 35_000
	before := len(t.Events) / 5
	for _, e := range t.Events[:before] {
		t.Base[e.Pos] = e.Color
	}
	net := trace.Net(t.Base, t.Events[before:before+busy])
	shards := t.Shards(512)
	var encoder wire.Encoder
	for i, px := range shards.Split(net) {
		c := shards.Canvases[i]
		payload, coding, param := encoder.Append(nil, c, px, wire.AllCodings)
		v := codecVector{Name: fmt.Sprint("shard ", i), Bits: int(c.Bits), Width: c.Width, Height: c.Height, Stride: c.Stride,
			Canvas: hex.EncodeToString(c.Pix), Coding: int(coding), Param: int(param), Payload: hex.EncodeToString(payload)}
		for _, q := range px {
			v.Pixels = append(v.Pixels, [2]int{int(q.Index), int(q.Color)})
		}
		vectors = append(vectors, v)
		pixels += len(px)
	}
	return vectors, pixels
}

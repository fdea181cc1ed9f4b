package web

import (
	"hash/crc32"
	"io"
	"net/http"
	"testing"

	"pixelwall/wire"
)

// sameCanvas waits until both pages hold the server's canvas: each shard that
// they watch as far as the server's copy goes, with the same pixels.
func (s *server) sameCanvas(a, b *page) {
	s.t.Helper()
	var first, second, all map[uint8]copyOfShard
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the pages hold\n%v\n%v\nof\n%v", first, second, all)
		}
	}()
	waitFor(s.t, "two pages with the server's canvas", func() bool {
		first, second, all = a.watched(), b.watched(), s.canvas()
		return len(first) > 0 && partOf(first, all) && partOf(second, all) && len(first) == len(second) && partOf(first, second)
	})
}

// A copyOfShard tells two copies of a shard apart.
type copyOfShard struct {
	seq uint64
	crc uint32
}

func partOf(part, all map[uint8]copyOfShard) bool {
	for shard, c := range part {
		if got, ok := all[shard]; !ok || got != c {
			return false
		}
	}
	return true
}

// watched returns the page's own copies of the shards that it follows.
func (p *page) watched() map[uint8]copyOfShard {
	p.t.Helper()
	copies := map[uint8]copyOfShard{}
	for _, c := range eval[[]struct {
		Shard   uint8
		Seq     uint64
		CRC     uint32
		Watched bool
	}](p, "pixelwall.report().then((r) => r.shards)") {
		if c.Watched {
			copies[c.Shard] = copyOfShard{c.Seq, c.CRC}
		}
	}
	return copies
}

// canvas returns the server's copies, as it gives them to everybody.
func (s *server) canvas() map[uint8]copyOfShard {
	s.t.Helper()
	answer, err := http.Get(s.url + "/api/v1/canvas")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		s.t.Fatalf("canvas: status %d, %v", answer.StatusCode, err)
	}
	file, err := wire.ParseCanvasFile(body)
	if err != nil {
		s.t.Fatal(err)
	}
	copies := map[uint8]copyOfShard{}
	for _, shard := range file.Shards {
		copies[shard.Shard] = copyOfShard{shard.Seq, crc32.Checksum(shard.Packed, crc32.MakeTable(crc32.Castagnoli))}
	}
	return copies
}

func TestTwoCopiesThatDifferAreNoticed(t *testing.T) {
	all := map[uint8]copyOfShard{0: {7, 1}, 1: {0, 2}}
	for _, tt := range []struct {
		name string
		part map[uint8]copyOfShard
		want bool
	}{
		{"one shard of two is a part", map[uint8]copyOfShard{1: {0, 2}}, true},
		{"other pixels are not", map[uint8]copyOfShard{0: {7, 2}}, false},
		{"an older copy is not", map[uint8]copyOfShard{0: {6, 1}}, false},
		{"a shard that the other lacks is not", map[uint8]copyOfShard{2: {0, 2}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := partOf(tt.part, all); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

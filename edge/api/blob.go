package api

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A blob is bytes that never change, with their encodings. Each encoding is made
// when it is first asked for, once, while others who want it wait.
type blob struct {
	tag   string // names the bytes; an ETag is made of it and the coding
	raw   []byte
	bytes *atomic.Int64 // where what the blob takes is counted, may be nil
	coded [codings]struct {
		once sync.Once
		data []byte
	}
}

// newBlob returns a blob of raw, which it keeps.
func newBlob(tag string, raw []byte, bytes *atomic.Int64) *blob {
	b := &blob{tag: tag, raw: raw, bytes: bytes}
	b.count(len(raw))
	return b
}

func (b *blob) count(n int) {
	if b.bytes != nil {
		b.bytes.Add(int64(n))
	}
}

// etag returns the strong ETag of b in coding c: other bytes, other tag.
func (b *blob) etag(c coding) string { return `"` + b.tag + "-" + c.String() + `"` }

// in returns b in coding c. The caller only reads it.
func (b *blob) in(c coding, work *gate) ([]byte, error) {
	if c == identity {
		return b.raw, nil
	}
	made := &b.coded[c]
	made.once.Do(func() {
		// The encoders write to memory, which never fails.
		_ = work.wait(func() error {
			made.data = compress(c, b.raw)
			b.count(len(made.data))
			return nil
		})
	})
	if made.data == nil {
		return nil, fmt.Errorf("encode %s as %v", b.tag, c)
	}
	return made.data, nil
}

// zstdEncoder is shared: EncodeAll may be called concurrently.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(encodersMax()), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		panic(err) // the options above are right or wrong for ever
	}
	return e
})

const gzipLevel = 6

// brotliLevel returns how hard to try on n bytes. A version of a large canvas
// may be made every second, and must not cost a good part of it.
func brotliLevel(n int) int {
	if n > 2<<20 {
		return 2
	}
	return 5
}

func compress(c coding, raw []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(raw)/4 + 64)
	switch c {
	case zstdCoding:
		return zstdEncoder().EncodeAll(raw, out.Bytes())
	case brotliCoding:
		w := brotli.NewWriterLevel(&out, brotliLevel(len(raw)))
		_, _ = w.Write(raw)
		_ = w.Close()
	case gzipCoding:
		w, err := gzip.NewWriterLevel(&out, gzipLevel)
		if err != nil {
			panic(err) // the level is a constant
		}
		_, _ = w.Write(raw)
		_ = w.Close()
	}
	return out.Bytes()
}

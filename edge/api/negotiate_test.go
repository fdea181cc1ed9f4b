package api

import (
	"strings"
	"testing"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		accept string
		want   coding
	}{
		{"", identity},
		{" ", identity},
		{"gzip", gzipCoding},
		{"GZIP", gzipCoding},
		{"x-gzip", gzipCoding},
		{"br", brotliCoding},
		{"zstd", zstdCoding},
		{"gzip, deflate, br, zstd", brotliCoding},
		{"zstd;q=1, gzip;q=1", zstdCoding},
		{"gzip, deflate, br", brotliCoding},
		{"gzip;q=1.0, br;q=0.5", gzipCoding},
		{"gzip; q=0.2, br ;q=0.3", brotliCoding},
		{"zstd;q=0, br;q=0, gzip;q=0.001", gzipCoding},
		{"zstd;q=0", identity},
		{"*", brotliCoding},
		{"*;q=0.5, zstd", zstdCoding},
		{"br;q=0, *", zstdCoding},
		{"identity, gzip;q=0.5", identity},
		{"identity;q=0.5, gzip", gzipCoding},
		{"identity;q=0", identity},
		{"*;q=0", identity},
		{"deflate", identity},
		{"gzip;q=2", identity},
		{"gzip;q=-1", identity},
		{"gzip;q=NaN", identity},
		{"gzip;q=1e0", identity},
		{"gzip;q=", identity},
		{"gzip;level=9", gzipCoding},
		{",,gzip,,", gzipCoding},
	} {
		if got := negotiate(tt.accept); got != tt.want {
			t.Errorf("negotiate(%q) = %v, want %v", tt.accept, got, tt.want)
		}
	}
}

// What a client refuses it does not get, and what it does not name neither
// unless it names everything.
func FuzzNegotiate(f *testing.F) {
	f.Add("gzip;q=0.5, br;q=0, *")
	f.Add("zstd , identity; q=0")
	f.Fuzz(func(t *testing.T, accept string) {
		got := negotiate(accept)
		lower := strings.ToLower(accept)
		if got != identity && !strings.Contains(lower, got.String()) && !strings.Contains(lower, "*") {
			t.Fatalf("negotiate(%q) = %v", accept, got)
		}
		if refused := got.String() + ";q=0"; got != identity && negotiate(accept+","+refused) == got {
			t.Fatalf("negotiate(%q) = %v, although it is refused at the end", accept+","+refused, got)
		}
	})
}

func TestMatches(t *testing.T) {
	const tag = `"abc-br"`
	for header, want := range map[string]bool{
		"": false, `"abc-br"`: true, `W/"abc-br"`: true, "*": true, " * ": true,
		`"x", "abc-br"`: true, `"x","y"`: false, `abc-br`: false, `"abc-gzip"`: false, `"abc-br`: false,
	} {
		if got := matches(header, tag); got != want {
			t.Errorf("matches(%q) = %v", header, got)
		}
	}
}

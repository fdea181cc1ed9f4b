package api

import (
	"strconv"
	"strings"
)

// A coding is a content coding. In this order they are preferred when a client
// likes several the same: brotli makes a canvas smallest, and bytes are what a
// server of many pays for (BenchmarkEncode).
type coding uint8

const (
	brotliCoding coding = iota
	zstdCoding
	gzipCoding
	identity
	codings
)

// String returns the name of c as in Accept-Encoding.
func (c coding) String() string { return [codings]string{"br", "zstd", "gzip", "identity"}[c] }

// negotiate returns the coding that accept, the value of Accept-Encoding, likes
// best. A client that excludes everything is given identity all the same:
// RFC 9110 allows it, and a canvas serves it better than an error.
func negotiate(accept string) coding {
	if strings.TrimSpace(accept) == "" {
		return identity
	}
	q := [codings]float64{-1, -1, -1, -1} // -1: not named
	others := -1.0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		weight, ok := weightOf(params)
		if !ok {
			continue
		}
		if name == "*" {
			others = weight
		}
		if name == "x-gzip" {
			name = "gzip"
		}
		for c := range codings {
			if c.String() == name {
				q[c] = weight
			}
		}
	}
	best, bestQ := identity, 0.0
	for c := range codings {
		weight := q[c]
		switch {
		case weight >= 0:
		case others >= 0:
			weight = others
		case c == identity:
			weight = 0.0001 // acceptable without being named, behind what is
		}
		if weight > bestQ {
			best, bestQ = c, weight
		}
	}
	return best
}

// weightOf reads ";q=0.5" parameters; other parameters are ignored.
func weightOf(params string) (float64, bool) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		value = strings.TrimSpace(value)
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || q < 0 || q > 1 || len(value) > 5 || strings.Trim(value, "0123456789.") != "" {
			return 0, false
		}
		return q, true
	}
	return 1, true
}

// matches reports whether etag is in the list of an If-None-Match header. The
// comparison is the weak one, because a proxy that recodes may weaken our tags.
func matches(ifNoneMatch, etag string) bool {
	if strings.TrimSpace(ifNoneMatch) == "*" {
		return true
	}
	for item := range strings.SplitSeq(ifNoneMatch, ",") {
		if strings.TrimPrefix(strings.TrimSpace(item), "W/") == etag {
			return true
		}
	}
	return false
}

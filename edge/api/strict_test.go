package api

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// A proxy and fasthttp may read these differently. Each comes on a connection
// that has served a request, so that the gateway has not seen it, and carries a
// second request inside that must never be answered.
func TestWhatTwoParsersReadDifferentlyIsRefused(t *testing.T) {
	const smuggled = "GET /api/v1/health HTTP/1.1\r\nHost: h\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /api/v1/session HTTP/1.1\r\n" + headers + "\r\n" + body
	}
	w := newWorld(t, 8, 8, "place2017", nil)
	for _, tt := range []struct{ name, request string }{
		{"length and chunks", post("Host: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled)},
		{"chunks and length", post("Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+smuggled)},
		{"two lengths", post("Host: h\r\nContent-Length: 0\r\nContent-Length: 44\r\n", smuggled)},
		{"two equal lengths", post("Host: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n", smuggled)},
		{"a list of lengths", post("Host: h\r\nContent-Length: 0, 0\r\n", smuggled)},
		{"a length with a sign", post("Host: h\r\nContent-Length: +0\r\n", smuggled)},
		{"a negative length", post("Host: h\r\nContent-Length: -1\r\n", smuggled)},
		{"a hexadecimal length", post("Host: h\r\nContent-Length: 0x0\r\n", smuggled)},
		{"an empty length", post("Host: h\r\nContent-Length:\r\n", smuggled)},
		{"a length beyond 64 bits", post("Host: h\r\nContent-Length: 18446744073709551616\r\n", smuggled)},
		{"a space before the colon", post("Host: h\r\nContent-Length : 0\r\n", smuggled)},
		{"another coding", post("Host: h\r\nTransfer-Encoding: xchunked\r\n", "0\r\n\r\n"+smuggled)},
		{"two codings", post("Host: h\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+smuggled)},
		{"two coding lines", post("Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+smuggled)},
		{"a coding with a tab", post("Host: h\r\nTransfer-Encoding:\tchunked\x0b\r\n", "0\r\n\r\n"+smuggled)},
		{"chunks in HTTP/1.0", strings.Replace(post("Host: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+smuggled), "HTTP/1.1", "HTTP/1.0", 1)},
		{"a folded line", post("Host: h\r\nX: a\r\n Content-Length: 44\r\n", smuggled)},
		{"a folded coding", post("Host: h\r\nTransfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+smuggled)},
		{"a bare LF after a header", post("Host: h\r\nX: a\nContent-Length: 0\r\n", smuggled)},
		{"bare LFs alone", strings.ReplaceAll(post("Host: h\r\n", ""), "\r\n", "\n") + smuggled},
		{"a bare CR in a header", post("Host: h\r\nX: a\rContent-Length: 44\r\n", smuggled)},
		{"a NUL in a header", post("Host: h\r\nX: a\x00b\r\n", smuggled)},
		{"a NUL in a name", post("Host: h\r\nX\x00: a\r\n", smuggled)},
		{"a line without a colon", post("Host: h\r\nX\r\n", smuggled)},
		{"a line without a name", post("Host: h\r\n: a\r\n", smuggled)},
		{"no Host", post("X: a\r\n", smuggled)},
		{"two Hosts", post("Host: h\r\nHost: i\r\n", smuggled)},
		{"a chunk whose size is no number", post("Host: h\r\nTransfer-Encoding: chunked\r\n", "0x0\r\n\r\n"+smuggled)},
		{"a chunk that is longer than it says", post("Host: h\r\nTransfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"+smuggled)},
		{"a version of the future", strings.Replace(post("Host: h\r\n", smuggled), "HTTP/1.1", "HTTP/9.9", 1)},
		{"a request line of one word", "GET\r\nHost: h\r\n\r\n" + smuggled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := w.dial()
			br := bufio.NewReader(c)
			if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, br); a.StatusCode != http.StatusOK {
				t.Fatal(a)
			}
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			a := readAnswer(t, br)
			want := http.StatusBadRequest
			if strings.Contains(tt.request, "HTTP/9.9") {
				want = http.StatusHTTPVersionNotSupported
			}
			if a.StatusCode != want || a.code() != "malformed" || !a.Close {
				t.Errorf("%v, closing: %v", a, a.Close)
			}
			if rest, _ := io.ReadAll(br); len(rest) > 0 {
				t.Errorf("more was answered: %q", rest)
			}
		})
	}
}

// What is right stays right: the strictness costs no honest client.
func TestHonestRequestsOnOneConnection(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	c := w.dial()
	br := bufio.NewReader(c)
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"GET /livez HTTP/1.1\r\nhost:h\r\nX-Odd:\t a b \t\r\nX-Empty:\r\n\r\n", 200},
		{"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 201},
		{"POST /api/v1/session HTTP/1.1\r\nHost: h\r\n\r\n", 201},
		{"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 201},
		{"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 415},
		{"GET http://h/livez HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", 200},
	} {
		if _, err := io.WriteString(c, tt.request); err != nil {
			t.Fatal(err)
		}
		if a := readAnswer(t, br); a.StatusCode != tt.want || a.Close {
			t.Fatalf("%q: %v, closing: %v", tt.request, a, a.Close)
		}
	}
	// Pipelined, in one write.
	if _, err := io.WriteString(c, strings.Repeat("GET /livez HTTP/1.1\r\nHost: h\r\n\r\n", 20)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if a := readAnswer(t, br); a.StatusCode != http.StatusOK || string(a.body) != "ok\n" {
			t.Fatal(a)
		}
	}
}

// What fasthttp and checkHead let through, net/http frames in the same way: the
// head ends at the same byte, and the body is as long.
func FuzzCheckHead(f *testing.F) {
	f.Add("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET")
	f.Add("GET /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Add("GET / HTTP/1.0\r\nX: a\r\n b\r\n\r\n")
	f.Add("POST / HTTP/1.1\nHost: h\nContent-Length: 1\n\nx")
	f.Add("POST / HTTP/1.1\r\nHost:h\r\nContent-Length : 1\r\nTransfer-Encoding:identity\r\n\r\nx")
	f.Fuzz(func(t *testing.T, text string) {
		ours := bufio.NewReaderSize(strings.NewReader(text), headBytesMax)
		var h fasthttp.RequestHeader
		if h.Read(ours) != nil || checkHead(&h) != nil {
			return
		}
		theirs := bufio.NewReaderSize(strings.NewReader(text), headBytesMax)
		r, err := http.ReadRequest(theirs)
		if err != nil {
			return // refused by one of the two is no way in
		}
		length := int64(h.ContentLength()) // -1 chunked, -2 none
		if length == -2 {
			length = 0
		}
		if r.ContentLength != length {
			t.Fatalf("%q: a body of %d, net/http has %d", text, length, r.ContentLength)
		}
		a, _ := io.ReadAll(ours)
		b, _ := io.ReadAll(theirs)
		if string(a) != string(b) {
			t.Fatalf("%q: after the head %q, with net/http %q", text, a, b)
		}
	})
}

package web

import (
	"fmt"
	"html"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var metaTag = regexp.MustCompile(`<meta (?:property|name)="([^"]+)" content="([^"]*)">`)

// metas returns the <meta> tags of a page by name, and its title.
func metas(page string) map[string]string {
	found := map[string]string{}
	for _, m := range metaTag.FindAllStringSubmatch(page, -1) {
		found[m[1]] = html.UnescapeString(m[2])
	}
	_, rest, _ := strings.Cut(page, "<title>")
	title, _, _ := strings.Cut(rest, "</title>")
	found["title"] = html.UnescapeString(title)
	return found
}

func size(width, height int) func() (int, int) {
	return func() (int, int) { return width, height }
}

func TestAShareLinkTellsWhatItShows(t *testing.T) {
	handle := Handler(Options{PublicURL: "https://wall.example/", Size: size(1000, 1000)})
	res, _ := ask(handle, "GET", "/?x=120&y=44&zoom=20&debug", "Accept-Encoding", "br, gzip")
	got := metas(plain(t, res))
	for name, want := range map[string]string{
		"title":           "Pixelwall: 120, 44",
		"og:title":        "Pixelwall: 120, 44",
		"og:url":          "https://wall.example/?x=120&y=44&zoom=20",
		"og:image":        "https://wall.example/api/v1/canvas.png?h=31&scale=20&w=60&x=90&y=29",
		"og:image:width":  "1200",
		"og:image:height": "620",
		"og:description":  description,
		"description":     description,
		"twitter:card":    "summary_large_image",
		"og:site_name":    "Pixelwall",
		"og:image:alt":    "Pixelwall: 120, 44",
		"og:image:type":   "image/png",
		"og:type":         "website",
		"viewport":        "width=device-width, initial-scale=1, viewport-fit=cover",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name, want := range map[string]string{"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "Content-Type": "text/html; charset=utf-8"} {
		if got := string(res.Header.Peek(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := string(res.Header.Peek("ETag"))
	if again, _ := ask(handle, "GET", "/?x=120&y=44&zoom=20", "If-None-Match", tag); again.StatusCode() != 304 {
		t.Errorf("the same page again: status %d, want 304", again.StatusCode())
	}
	if other, _ := ask(handle, "GET", "/?x=121&y=44&zoom=20", "If-None-Match", tag); other.StatusCode() != 200 {
		t.Errorf("another place: status %d, want 200", other.StatusCode())
	}
}

func TestAPreviewIsOnTheCanvasAndCrisp(t *testing.T) {
	for _, tt := range []struct {
		name          string
		at            view
		width, height int
		want          region
	}{
		{"in the middle", view{500, 500, 20}, 1000, 1000, region{470, 485, 60, 31, 20}},
		{"at the left top corner", view{0, 0, 20}, 1000, 1000, region{0, 0, 60, 31, 20}},
		{"at the right bottom corner", view{999, 999, 20}, 1000, 1000, region{940, 969, 60, 31, 20}},
		{"far away, where cells are smaller than a pixel", view{2000, 2000, 0.1}, 4096, 4096, region{1400, 1685, 1200, 630, 1}},
		{"a zoom between two whole ones", view{500, 500, 2.5}, 1000, 1000, region{300, 395, 400, 210, 3}},
		{"as close as can be", view{500, 500, 64}, 1000, 1000, region{491, 496, 18, 9, 64}},
		{"a canvas that is smaller than the preview", view{5, 5, 2}, 100, 50, region{0, 0, 100, 50, 12}},
		{"a canvas of one cell", view{0, 0, 1}, 1, 1, region{0, 0, 1, 1, 64}},
		{"a canvas that is one cell high", view{9, 0, 1}, 3000, 1, region{0, 0, 1200, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := regionOf(tt.at, tt.width, tt.height); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestNonsenseIsNoShareLink(t *testing.T) {
	handle := Handler(Options{PublicURL: "https://wall.example", Size: size(1000, 500)})
	page, _ := ask(handle, "GET", "/")
	for _, query := range []string{
		"", "x=1", "y=1&zoom=2", "x=&y=", "x=1&y=b", "x=-1&y=2", "x=+1&y=2", "x=01&y=2", "x=1.5&y=2", "x=1&y=2&zoom=", "x=1&y=2&zoom=0",
		"x=1&y=2&zoom=65", "x=1&y=2&zoom=1e3", "x=1&y=2&zoom=NaN", "x=1&y=2&zoom=-3", "x=1000&y=2", "x=1&y=500", "x=99999999999999999999&y=1",
		"x=1&x=2&y=3", "x=1&y=2&zoom=3&zoom=4", `x=1&y=2&zoom="><script>`, "x=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&y=2", "x=1%00&y=2",
	} {
		res, took := ask(handle, "GET", "/?"+query)
		if !took || res.StatusCode() != 200 || string(res.Body()) != string(page.Body()) {
			t.Errorf("?%s is not answered with the plain page", query)
		}
	}
	// The plain page keeps the encodings that were made at the start.
	if res, _ := ask(handle, "GET", "/?debug", "Accept-Encoding", "br"); string(res.Header.Peek("Content-Encoding")) != "br" {
		t.Error("the plain page is not compressed")
	}
}

// What a request says of its host may be a lie that a cache would hand to others.
func TestLinksNeedAPublicURL(t *testing.T) {
	handle := Handler(Options{Size: size(1000, 1000)})
	for _, path := range []string{"/", "/?x=1&y=2&zoom=3"} {
		res, _ := ask(handle, "GET", path, "Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")
		body := plain(t, res)
		got := metas(body)
		if strings.Contains(body, "evil") || got["og:url"] != "" || got["og:image"] != "" {
			t.Errorf("%s has links: %v", path, got)
		}
		if got["og:title"] == "" || got["twitter:card"] != "summary" {
			t.Errorf("%s does not tell what it is: %v", path, got)
		}
	}
}

func TestAStrangePublicURLIsEscaped(t *testing.T) {
	strange := `https://wall.example/"><script>alert('&')</script>`
	res, _ := ask(Handler(Options{PublicURL: strange, Size: size(10, 10)}), "GET", "/?x=1&y=2")
	body := plain(t, res)
	if strings.Contains(body, "<script>alert") {
		t.Error("the public URL is markup")
	}
	if got, want := metas(body)["og:url"], strange+"/?x=1&y=2&zoom=16"; got != want {
		t.Errorf("og:url is %q, want %q", got, want)
	}
}

func TestASharedPlaceIsShownAndSharedAgain(t *testing.T) {
	s := startEdge(t, "--public-url", "http://wall.example", "--cooldown", "0")
	p := openPage(t, s.url+"/?debug&x=700&y=300&zoom=20", desktop)
	p.untilLive()
	p.until("location.search === '?debug' && location.hash === '#700,300,20'")
	if at := p.cell(700, 300); at.X < 590 || at.X > 610 {
		t.Errorf("cell 700, 300 is at %v, want the middle", at)
	}

	// The picture that the head names is there, and of the size that it says.
	answer, err := http.Get(s.url + "/?x=700&y=300&zoom=20")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := metas(string(body))
	image, err := http.Get(strings.Replace(got["og:image"], "http://wall.example", s.url, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Body.Close()
	picture, err := png.DecodeConfig(image.Body)
	if err != nil {
		t.Fatalf("%s: %v", got["og:image"], err)
	}
	if have := fmt.Sprint(picture.Width, picture.Height); have != got["og:image:width"]+" "+got["og:image:height"] {
		t.Errorf("the picture is %s, the page says %s x %s", have, got["og:image:width"], got["og:image:height"])
	}

	// The inspector's link is one that a server understands.
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.key(kb.ArrowRight)
	p.key("i")
	p.until("document.querySelector('#inspector .link')")
	eval[bool](p, "(navigator.clipboard.writeText = (text) => { globalThis.copied = text; return Promise.resolve(); }, true)")
	p.click(p.at("#inspector .link"))
	p.until("globalThis.copied")
	link, err := url.Parse(eval[string](p, "copied"))
	if err != nil {
		t.Fatal(err)
	}
	if link.Query().Get("x") != "701" || link.Query().Get("y") != "300" || link.Fragment != "" || link.Query().Has("debug") {
		t.Errorf("the copied link is %s", link)
	}
	p.until("document.querySelector('#inspector .link').textContent === 'Copied'")
}

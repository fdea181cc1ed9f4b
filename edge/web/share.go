package web

import (
	"bytes"
	"html/template"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// A share link is /?x=&y=&zoom=: unlike a fragment, a query reaches the server,
// which can so tell a chat or a forum what the link shows.
//
//	index.html, cut at its title -> before + head of the region + after

// title is the place of index.html where the head of a share link goes.
var title = []byte("<title>Pixelwall</title>")

// A preview has the size that sites show large, or a little less: a cell is a
// whole number of its pixels.
const (
	previewWidth  = 1200
	previewHeight = 630
	scaleMax      = 64   // of a picture, as the API draws it
	sideMax       = 4096 // of any canvas
)

// A view is what a share link asks to see.
type view struct {
	x, y int
	zoom float64 // CSS pixels a cell
}

// zoomUnsaid is how close the page goes where a link does not say.
const zoomUnsaid = 16

var (
	wholeNumber = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,3})$`)
	zoomNumber  = regexp.MustCompile(`^[0-9]{1,2}(?:\.[0-9]{1,3})?$`)
)

// viewOf reads the view of a share link, and reports whether there is one. What
// makes no sense is no link: the page is shown, as without it.
func viewOf(q *fasthttp.Args) (view, bool) {
	x, y := q.PeekMulti("x"), q.PeekMulti("y")
	zoom := q.PeekMulti("zoom")
	if len(x) != 1 || len(y) != 1 || len(zoom) > 1 || !wholeNumber.Match(x[0]) || !wholeNumber.Match(y[0]) {
		return view{}, false
	}
	v := view{zoom: zoomUnsaid}
	v.x, _ = strconv.Atoi(string(x[0]))
	v.y, _ = strconv.Atoi(string(y[0]))
	if len(zoom) == 1 {
		if !zoomNumber.Match(zoom[0]) {
			return view{}, false
		}
		v.zoom, _ = strconv.ParseFloat(string(zoom[0]), 64)
	}
	return v, v.x < sideMax && v.y < sideMax && v.zoom > 0 && v.zoom <= scaleMax
}

// query writes v as the page writes it.
func (v view) query() string {
	return "?x=" + strconv.Itoa(v.x) + "&y=" + strconv.Itoa(v.y) + "&zoom=" + strconv.FormatFloat(v.zoom, 'f', -1, 64)
}

// A region is a part of the canvas and how large its cells are drawn.
type region struct{ x, y, w, h, scale int }

// regionOf returns what a preview of v shows of a canvas of that size: v in the
// middle, as far as the canvas reaches.
func regionOf(v view, width, height int) region {
	// A small canvas is drawn as large as it fits.
	fit := min(scaleMax, previewWidth/width, previewHeight/height)
	r := region{scale: max(1, fit, int(v.zoom+0.5))}
	r.w, r.h = min(width, previewWidth/r.scale), min(height, previewHeight/r.scale)
	r.x, r.y = between(0, v.x-r.w/2, width-r.w), between(0, v.y-r.h/2, height-r.h)
	return r
}

func between(least, v, most int) int { return max(least, min(v, most)) }

// query names r as the API does.
func (r region) query() string {
	q := url.Values{}
	for name, n := range map[string]int{"x": r.x, "y": r.y, "w": r.w, "h": r.h, "scale": r.scale} {
		q.Set(name, strconv.Itoa(n))
	}
	return "?" + q.Encode()
}

// A head is what the page says of itself to whoever shows a link to it.
type head struct {
	Title, Description string
	URL, Image         string // absolute, or empty
	Width, Height      int    // of the image, where they are known
}

const description = "One canvas, painted together, a pixel at a time."

var headTemplate = template.Must(template.New("head").Parse(`<title>{{.Title}}</title>
<meta name="description" content="{{.Description}}">
<meta property="og:type" content="website">
<meta property="og:site_name" content="Pixelwall">
<meta property="og:title" content="{{.Title}}">
<meta property="og:description" content="{{.Description}}">
{{- if .URL}}
<meta property="og:url" content="{{.URL}}">
{{- end}}
{{- if .Image}}
<meta property="og:image" content="{{.Image}}">
<meta property="og:image:type" content="image/png">
<meta property="og:image:alt" content="{{.Title}}">
{{- if .Width}}
<meta property="og:image:width" content="{{.Width}}">
<meta property="og:image:height" content="{{.Height}}">
{{- end}}
<meta name="twitter:card" content="summary_large_image">
{{- else}}
<meta name="twitter:card" content="summary">
{{- end}}`))

// A sharer writes the heads of pages. Links in them begin with publicURL alone:
// what a request says of host and scheme anybody can make up, and a cache could
// keep it for all. Without a public URL a head has no links.
type sharer struct {
	before, after []byte // of index.html, around the title
	publicURL     string // without a slash at its end
	size          func() (width, height int)
}

// newSharer panics where index has no title: a mistake of the build.
func newSharer(index []byte, opts Options) *sharer {
	before, after, found := bytes.Cut(index, title)
	if !found {
		panic("web: index.html has not the title that share links replace")
	}
	return &sharer{before, after, strings.TrimSuffix(opts.PublicURL, "/"), opts.Size}
}

// front returns the page as / shows it.
func (s *sharer) front() []byte {
	h := head{Title: "Pixelwall", Description: description}
	if s.publicURL != "" {
		h.URL, h.Image = s.publicURL+"/", s.publicURL+"/api/v1/canvas.png"
	}
	return s.page(h)
}

// shared returns the page for a link to v.
func (s *sharer) shared(v view) ([]byte, bool) {
	h := head{Title: "Pixelwall: " + strconv.Itoa(v.x) + ", " + strconv.Itoa(v.y), Description: description}
	if s.size != nil {
		width, height := s.size()
		if v.x >= width || v.y >= height {
			return nil, false
		}
		if s.publicURL != "" {
			r := regionOf(v, width, height)
			h.Image, h.Width, h.Height = s.publicURL+"/api/v1/canvas.png"+r.query(), r.w*r.scale, r.h*r.scale
		}
	}
	if s.publicURL != "" {
		h.URL = s.publicURL + "/" + v.query()
	}
	return s.page(h), true
}

func (s *sharer) page(h head) []byte {
	var out bytes.Buffer
	out.Write(s.before)
	if err := headTemplate.Execute(&out, h); err != nil {
		panic(err) // writing to memory does not fail
	}
	out.Write(s.after)
	return out.Bytes()
}

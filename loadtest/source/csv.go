package source

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pixelwall/tools/trace"
)

// Reddit published its events as CSV:
//
//	2022  timestamp,user_id,pixel_color,coordinate      2022-04-04 00:53:51.577 UTC,…,#00CCC0,"826,1048"
//	2023  timestamp,user,coordinate,pixel_color         2023-07-20 13:00:26.088 UTC,…,"-199,-235",#FFA800
//
// Moderators painted areas at once: rectangles "x1,y1,x2,y2", both corners
// included, and in 2023 circles "{X: 424, Y: 336, R: 3}". They become one event
// a pixel, row by row. Rows are in no order; events with the same time keep the
// rows' order. In 2023 the canvas began left of and above 0: when a coordinate
// is negative, all are moved so that the least becomes 0.

const (
	sideMax    = 4096
	eventsMax  = 1 << 28 // 4 GiB of memory
	colorsMax  = 256
	radiusMax  = 512
	areaMax    = 1 << 22 // pixels that one row paints
	timeLayout = "2006-01-02 15:04:05.999999999 MST"
)

// A point is an event before the size of the canvas is known.
type point struct {
	ms    int64
	x, y  int16
	color uint8
}

type columns struct{ time, color, at int }

// ReadCSV reads events in the layout that the first row names.
func ReadCSV(in io.Reader) (*Trace, error) {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	col, err := layout(head)
	if err != nil {
		return nil, err
	}
	p := parser{numbers: make(map[string]uint8)}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err // which names the line
		}
		if err := p.row(row[col.time], row[col.at], row[col.color]); err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	return p.trace()
}

func layout(head []string) (col columns, err error) {
	find := func(name string) int { return slices.Index(head, name) }
	col = columns{time: find("timestamp"), color: find("pixel_color"), at: find("coordinate")}
	if col.time < 0 || col.color < 0 || col.at < 0 {
		return col, fmt.Errorf("columns %q: want timestamp, pixel_color and coordinate", strings.Join(head, ","))
	}
	return col, nil
}

type parser struct {
	points  []point
	rgb     []uint32
	numbers map[string]uint8 // of a colour as it is written
}

func (p *parser) row(timestamp, at, color string) error {
	t, err := time.Parse(timeLayout, timestamp)
	if err != nil {
		return fmt.Errorf("time %q: want 2022-04-04 00:53:51.577 UTC", timestamp)
	}
	n, err := p.number(color)
	if err != nil {
		return err
	}
	return p.area(t.UnixMilli(), at, n)
}

func (p *parser) number(color string) (uint8, error) {
	if n, ok := p.numbers[color]; ok {
		return n, nil
	}
	hex, ok := strings.CutPrefix(color, "#")
	v, err := strconv.ParseUint(hex, 16, 24)
	if !ok || err != nil || len(hex) != 6 {
		return 0, fmt.Errorf("colour %q: want #RRGGBB", color)
	}
	n := slices.Index(p.rgb, uint32(v))
	if n < 0 {
		if len(p.rgb) == colorsMax {
			return 0, fmt.Errorf("colour %q: more than %d colours", color, colorsMax)
		}
		n = len(p.rgb)
		p.rgb = append(p.rgb, uint32(v))
	}
	p.numbers[strings.Clone(color)] = uint8(n)
	return uint8(n), nil
}

// area adds the pixels that at names.
func (p *parser) area(ms int64, at string, color uint8) error {
	if strings.HasPrefix(at, "{") {
		var x, y, r int
		if n, err := fmt.Sscanf(at, "{X: %d, Y: %d, R: %d}", &x, &y, &r); err != nil || n != 3 || r < 0 || r > radiusMax {
			return fmt.Errorf("circle %q: want {X: 1, Y: 2, R: 3}", at)
		}
		return p.fill(ms, x-r, y-r, x+r, y+r, color, func(px, py int) bool { return (px-x)*(px-x)+(py-y)*(py-y) <= r*r })
	}
	var v [4]int
	parts := strings.Split(at, ",")
	if len(parts) != 2 && len(parts) != 4 {
		return fmt.Errorf("coordinate %q: want x,y or x1,y1,x2,y2 or a circle", at)
	}
	for i, s := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("coordinate %q: want x,y or x1,y1,x2,y2 or a circle", at)
		}
		v[i] = n
	}
	if len(parts) == 2 {
		v[2], v[3] = v[0], v[1]
	}
	return p.fill(ms, min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]), color, func(int, int) bool { return true })
}

func (p *parser) fill(ms int64, x1, y1, x2, y2 int, color uint8, in func(x, y int) bool) error {
	if x1 < -sideMax || y1 < -sideMax || x2 >= sideMax || y2 >= sideMax {
		return fmt.Errorf("coordinates %d,%d to %d,%d are beyond every canvas", x1, y1, x2, y2)
	}
	if (x2-x1+1)*(y2-y1+1) > areaMax {
		return fmt.Errorf("an area of %dx%d: at most %d pixels", x2-x1+1, y2-y1+1, areaMax)
	}
	for y := y1; y <= y2; y++ {
		for x := x1; x <= x2; x++ {
			if !in(x, y) {
				continue
			}
			if len(p.points) == eventsMax {
				return fmt.Errorf("more than %d events", eventsMax)
			}
			p.points = append(p.points, point{ms: ms, x: int16(x), y: int16(y), color: color})
		}
	}
	return nil
}

// trace orders the points and gives them positions.
func (p *parser) trace() (*Trace, error) {
	if len(p.points) == 0 {
		return nil, errors.New("no events")
	}
	slices.SortStableFunc(p.points, func(a, b point) int { return cmp.Compare(a.ms, b.ms) })
	var left, top, right, bottom int16
	for _, q := range p.points {
		left, top, right, bottom = min(left, q.x), min(top, q.y), max(right, q.x), max(bottom, q.y)
	}
	first := p.points[0].ms
	t := &Trace{Width: int(right) - int(left) + 1, Height: int(bottom) - int(top) + 1, StartMS: first, RGB: p.rgb, Colors: len(p.rgb)}
	if t.Width > sideMax || t.Height > sideMax {
		return nil, fmt.Errorf("a canvas of %dx%d: at most %d a side", t.Width, t.Height, sideMax)
	}
	if p.points[len(p.points)-1].ms-first > math.MaxUint32 {
		return nil, errors.New("more than 49 days between the first event and the last")
	}
	t.Events = make([]trace.Event, len(p.points))
	for i, q := range p.points {
		pos := (int(q.y)-int(top))*t.Width + int(q.x) - int(left)
		t.Events[i] = trace.Event{TimeMs: uint32(q.ms - first), Pos: uint32(pos), Color: q.color}
	}
	return t, nil
}

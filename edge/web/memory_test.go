package web

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"
)

var visit = flag.Duration("visit", 3*time.Minute, "how long BenchmarkTheMemoryOfALongVisit looks at the canvas")

const (
	memoryFloodASec = 2000
	memoryRounds    = 20
	memoryGrowthMax = 1.10
)

// BenchmarkTheMemoryOfALongVisit looks around on a busy canvas of 2000 × 2000 with
// heat map and minimap, and paints. Memory is the page's heap after a collection,
// and the resident memory of the browser's renderers. It is flat when the last
// quarter has at most a tenth more than the second one; the first is warm-up.
func BenchmarkTheMemoryOfALongVisit(b *testing.B) {
	s := startEdge(b, "--size", "2000x2000", "--cooldown", "0", "--messages-per-sec", "10000", "--message-burst", "1000000",
		"--conns-per-address=-1", "--guests-per-hour", "1000000")
	p := openPage(b, s.url+"/?debug#1000,1000,1", desktop)
	p.untilLive()
	eval[bool](p, "(document.querySelector('[data-preference=heat]').click(), true)")
	f := startFlood(b, s.url, 2000, memoryFloodASec)
	for b.Loop() {
		var heap, resident []float64
		began, places := time.Now(), 0
		for round := range memoryRounds {
			for end := began.Add(*visit * time.Duration(round+1) / memoryRounds); time.Now().Before(end); {
				p.dragAround(2 * time.Second)
				places++ // a link to where the address is already goes nowhere
				p.look(300+7*places%1400, 1000, 1+places%4)
				p.key("6")
				p.click(point{600, 300})
			}
			h, r := p.heapMB(), p.renderersMB()
			heap, resident = append(heap, h), append(resident, r)
			b.Logf("%s: heap %.1f MB, renderers %.0f MB resident, %d placements", time.Since(began).Round(time.Second), h, r, f.placed.Load())
		}
		for name, mb := range map[string][]float64{"heap": heap, "resident": resident} {
			quarter := len(mb) / 4
			early, late := mean(mb[quarter:2*quarter]), mean(mb[3*quarter:])
			b.ReportMetric(late, "MB/"+name)
			b.ReportMetric(late/early, "growth/"+name)
			if late > memoryGrowthMax*early {
				b.Errorf("%s grew from %.1f to %.1f MB", name, early, late)
			}
		}
	}
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

// heapMB returns what the page's main thread holds after a collection.
func (p *page) heapMB() (mb float64) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			return err
		}
		used, err := cdp.Call(ctx, tab, runtime.GetHeapUsage, cdp.Empty{})
		if err == nil {
			mb = (used.UsedSize + used.BackingStorageSize) / 1e6
		}
		return err
	}))
	return mb
}

// renderersMB returns the resident memory of the browser's renderer processes,
// which the page's worker is in, too.
func (p *page) renderersMB() (mb float64) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		all, err := cdp.Call(ctx, chromedp.FromContext(p.ctx).Browser, systeminfo.GetProcessInfo, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, process := range all.ProcessInfo {
			if process.Type != "renderer" {
				continue
			}
			resident, err := residentMB(int(process.ID))
			if err != nil {
				return err
			}
			mb += resident
		}
		return nil
	}))
	return mb
}

func residentMB(pid int) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			var kB float64
			_, err := fmt.Sscan(rest, &kB)
			return kB / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

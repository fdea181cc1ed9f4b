// Command codec measures what a pixel costs on the wire, on real traces.
//
//	*.pxt.gz -> batches -> each codec -> bytes and nanoseconds a pixel
//
// The first fifth of the batches is played but not counted. Overwrites inside
// a batch and pixels that end as they began are dropped before any codec sees
// them. Every batch is decoded again and compared; a difference is exit 1.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"pixelwall/tools/trace"
)

// A row is one result; its JSON form is an interface for other programs.
type row struct {
	Trace             string  `json:"trace"`
	Batch             string  `json:"batch"` // natural, or the placements in it
	Codec             string  `json:"codec"`
	BytesPerPixel     float64 `json:"bytes_per_pixel"`
	BytesPerPlacement float64 `json:"bytes_per_placement"`
	EncodeNsPerPixel  float64 `json:"encode_ns_per_pixel"`
	DecodeNsPerPixel  float64 `json:"decode_ns_per_pixel"`
}

var batchNames = []string{"natural", "1000", "10000", "35000"}

func main() {
	folder := flag.String("traces", os.Getenv(trace.FolderEnv), "`folder` with PXT1 files (*.pxt.gz); TRACES if not given")
	asJSON := flag.Bool("json", false, "print one object a line")
	check := flag.Bool("check", false, "exit 1 where a target is missed or its trace is")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	err := run(out, *folder, *asJSON, *check)
	if err := errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "codec:", err)
		os.Exit(1)
	}
}

func run(out *bufio.Writer, folder string, asJSON, check bool) error {
	if folder == "" {
		return errors.New("nothing to measure: --traces or TRACES names a folder with *.pxt.gz")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.pxt.gz"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("no *.pxt.gz in %s", folder)
	}
	var all []row
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".pxt.gz")
		t, err := trace.Open(path)
		if err != nil {
			return err
		}
		rows, err := measureTrace(name, t)
		if err != nil {
			return err
		}
		if asJSON {
			err = printJSON(out, rows)
		} else {
			err = printTable(out, name, t, rows)
		}
		if err := errors.Join(err, out.Flush()); err != nil {
			return err
		}
		all = append(all, rows...)
	}
	if !check {
		return nil
	}
	return errors.Join(missedTargets(all)...)
}

// measureTrace measures every codec at every batch size.
func measureTrace(name string, t *trace.Trace) ([]row, error) {
	natural := t.CutNatural() // before Spread, which hides the frames
	t.Spread(1)
	cuts := [][][]trace.Event{natural, t.Cut(1000), t.Cut(10_000), t.Cut(35_000)}
	var rows []row
	for _, c := range codecs() {
		if !c.fits(t) {
			continue
		}
		for i, batches := range cuts {
			r, err := measure(c, t, batches)
			if err != nil {
				return nil, fmt.Errorf("%s, batches %s, %s: %w", name, batchNames[i], c.name, err)
			}
			r.Trace, r.Batch = name, batchNames[i]
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func printJSON(out io.Writer, rows []row) error {
	lines := json.NewEncoder(out)
	for _, r := range rows {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func printTable(out io.Writer, name string, t *trace.Trace, rows []row) error {
	fmt.Fprintf(out, "%s: %d x %d, %d colours, %d events\n", name, t.Width, t.Height, t.Colors, len(t.Events))
	fmt.Fprintln(out, "bytes a changed pixel (bytes a placement), ns a pixel to encode / decode")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "codec\t%s\t\n", strings.Join(batchNames, "\t"))
	for group := range slices.Chunk(rows, len(batchNames)) {
		fmt.Fprintf(w, "%s\t", group[0].Codec)
		for _, r := range group {
			fmt.Fprintf(w, "%.3f (%.3f) %.0f/%.0f\t", r.BytesPerPixel, r.BytesPerPlacement, r.EncodeNsPerPixel, r.DecodeNsPerPixel)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

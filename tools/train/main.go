// Command train computes the probabilities with which the range coder begins a
// batch, and writes them in the forms that its implementations read.
//
//	trace, its first fifth -> batches of many sizes -> counts -> tables
//
//	go run ./tools/train --trace FILE     trains, writes wire/tables.go and wire/testdata/tables.json
//	go run ./tools/train --ts FILE        writes the tables as a TypeScript module
//
// The later four fifths of the trace are never looked at: the benchmark counts
// them.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// A shard has 512 × 512 pixels; the whole canvas at once is trained as well,
// because both must do with the same tables.
var sides = []int{512, 1 << 16}

// batchSizes are what fast and slow ticks, quiet and busy hours make of a
// canvas; 0 is one second of the source.
var batchSizes = []int{0, 22, 300, 1000, 3000, 10_000, 35_000}

func main() {
	tracePath := flag.String("trace", "", "PXT1 `file` to train on; without it the present tables are kept")
	root := flag.String("root", ".", "`folder` of the module")
	tsPath := flag.String("ts", "", "`file` for the tables as a TypeScript module")
	flag.Parse()
	if err := run(*tracePath, *root, *tsPath); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

func run(tracePath, root, tsPath string) error {
	tables := wire.RangeTablesNow()
	if tracePath == "" && tsPath == "" {
		return fmt.Errorf("nothing to do: give --trace or --ts")
	}
	if tracePath != "" {
		t, err := trace.Open(tracePath)
		if err != nil {
			return err
		}
		tables = train(t)
		if err := os.WriteFile(filepath.Join(root, "wire", "tables.go"), goSource(&tables), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "wire", "testdata", "tables.json"), jsonFile(&tables), 0o644); err != nil {
			return err
		}
	}
	if tsPath != "" {
		return os.WriteFile(tsPath, tsSource(&tables), 0o644)
	}
	return nil
}

// train counts the first fifth of t in batches of every size.
func train(t *trace.Trace) wire.RangeTables {
	t.Events = t.Events[:len(t.Events)/5]
	natural := t.CutNatural()
	t.Spread(1)
	trainer := wire.NewRangeTrainer()
	for _, size := range batchSizes {
		batches := natural
		if size > 0 {
			batches = t.Cut(size)
		}
		for _, side := range sides {
			count(trainer, t, batches, side)
		}
	}
	return tablesOf(&trainer.Counts)
}

func count(trainer *wire.RangeTrainer, t *trace.Trace, batches [][]trace.Event, side int) {
	shards := t.Shards(side)
	flat := append([]byte(nil), t.Base...)
	for _, batch := range batches {
		for i, px := range shards.Split(trace.Net(flat, batch)) {
			trainer.Add(shards.Canvases[i], px)
			shards.Canvases[i].Apply(px)
		}
		for _, e := range batch {
			flat[e.Pos] = e.Color
		}
	}
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

func TestTheCommittedTablesAreWhatTheTrainerWrites(t *testing.T) {
	path, err := trace.Recorded("place2017_last89min_1000x1000.pxt.gz")
	if err != nil {
		t.Skip(err)
	}
	tr, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := train(tr); got != wire.RangeTablesNow() {
		t.Error("training gives other tables than wire/tables.go has")
	}
}

func TestATableIsTheShareOfOnesWhereThereIsEnoughToCount(t *testing.T) {
	counts := &wire.RangeCounts{}
	// Mean gap class 5: 300 000 gaps of 3 bits (v = 8…15), 100 000 of 4.
	counts.Gap[5][16+1][1], counts.Gap[5][16+2][0] = 300_000, 100_000
	counts.Mant[6][1] = wire.BitCount{30_000, 10_000}
	counts.Rank[2][3][4] = wire.BitCount{10_000, 30_000}
	tables := tablesOf(counts)
	for _, tt := range []struct {
		name string
		got  uint16
		want float64
	}{
		{"the node that parts 0…7 from 8…15", tables.Gap[5][2], 0},
		{"the node that parts 0…3 from 4…7", tables.Gap[5][4], 0.25},
		{"the guess for another class has the shape moved along", tables.Gap[6][4], 1},
		{"a mantissa", tables.Mant[6][1], 0.25},
		{"a rank", tables.Rank[2][3][4], 0.75},
		{"a rank that was never met, by its row", tables.Rank[2][3][5], 0.75},
		{"a rank of a row that was never met, by the whole", tables.Rank[2][9][9], 0.75},
		{"a rank of which nothing is known", tables.Rank[0][0][0], 0.5},
	} {
		if got := float64(tt.got) / 65536; got < tt.want-0.01 || got > tt.want+0.01 {
			t.Errorf("%s is %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestEveryFormHoldsTheSameTables(t *testing.T) {
	tables := wire.RangeTablesNow()
	var fromJSON wire.RangeTables
	if err := json.Unmarshal(jsonFile(&tables), &fromJSON); err != nil || fromJSON != tables {
		t.Errorf("JSON: %v", err)
	}
	text := regexp.MustCompile(`tables =\n  "([^"]*)"`).FindSubmatch(tsSource(&tables))
	if text == nil {
		t.Fatal("no tables in the TypeScript module")
	}
	words, err := base64.StdEncoding.DecodeString(string(text[1]))
	if err != nil {
		t.Fatal(err)
	}
	var fromTS wire.RangeTables
	if err := binary.Read(bytes.NewReader(words), binary.LittleEndian, &fromTS); err != nil || fromTS != tables {
		t.Errorf("TypeScript: %v", err)
	}
	committed, err := os.ReadFile(filepath.Join("..", "..", "wire", "tables.go"))
	if err != nil || !bytes.Equal(committed, goSource(&tables)) {
		t.Errorf("wire/tables.go is not what the trainer writes: %v", err)
	}
}

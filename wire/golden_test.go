package wire

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

// update is for all golden files of this package.
var update = flag.Bool("update", false, "write the golden files of this package anew")

// sameAsGolden fails the test unless v is, as JSON with this indent, what file holds.
func sameAsGolden(t *testing.T, file string, v any, indent string) {
	t.Helper()
	text, err := json.MarshalIndent(v, "", indent)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, text) {
		t.Errorf("%s holds other bytes; if that is meant, it is another version of the format: run with -update", file)
	}
}

package alone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnArchiveKeepsItsName(t *testing.T) {
	for _, tt := range []struct {
		name string // reads on from "an archive keeps its name ..."
		file []byte // nil: none
		want string // in the error
	}{
		{"where there was no file", nil, ""},
		{"where a power loss left an empty file", []byte{}, ""},
		{"where the file is half of a name, after somebody has removed it", []byte("half"), "archive-name is not the name of an archive: it has 4 bytes"},
		{"where the file is another one, after somebody has removed it", []byte("something else"), "it has 14 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "archive-name")
			before := filepath.Join(t.TempDir(), "before") // the same file, unless it is replaced
			if tt.file != nil {
				if err := os.WriteFile(path, tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Link(path, before); err != nil {
					t.Fatal(err)
				}
			}
			name, err := ownName(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("got %v, want %s", err, tt.want)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				name, err = ownName(path)
			}
			if err != nil || name == 0 {
				t.Fatalf("its name is %x, %v", name, err)
			}
			if again, err := ownName(path); err != nil || again != name {
				t.Errorf("its name was %x and is %x, %v", name, again, err)
			}
			if tt.file != nil {
				if text, err := os.ReadFile(before); err != nil || string(text) != string(tt.file) {
					t.Errorf("the file was not replaced but written over: %q, %v", text, err)
				}
			}
			if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
				t.Errorf("beside it lies %v, %v", all, err)
			}
		})
	}
}

// A name that is not kept would be told to Redis and forgotten with the process.
func TestANameThatCannotBeKeptIsNone(t *testing.T) {
	if name, err := ownName(filepath.Join(t.TempDir(), "missing", "archive-name")); err == nil || name != 0 {
		t.Errorf("its name is %x, %v", name, err)
	}
}

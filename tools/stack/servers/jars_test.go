package servers

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestPinsParse(t *testing.T) {
	for kind, want := range map[Kind]string{Kafka: "4.4.0", Cassandra: "5.0.8"} {
		r, err := readRelease(kind)
		if err != nil {
			t.Fatal(err)
		}
		if r.version != want || len(r.sums) < 40 {
			t.Errorf("%s: version %s, %d files", kind, r.version, len(r.sums))
		}
	}
}

func TestBadSumsAreRefused(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, text := range []string{"\n", sum, sum + "  ", sum + "  ../a.jar", sum + "  /a.jar", sum[1:] + "  a.jar"} {
		if sums, err := parseSums(text); err == nil {
			t.Errorf("parseSums(%q) = %v", text, sums)
		}
	}
}

func TestJarsThatAreNotThePinnedOnesAreRefused(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r := release{title: "Apache Test", version: "1", sums: map[string]string{"a.jar": empty, "b.jar": empty}}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // "" accepts
	}{
		{"all as pinned", map[string]string{"a.jar": "", "b.jar": ""}, ""},
		{"a changed one", map[string]string{"a.jar": "", "b.jar": "x"}, "b.jar in "},
		{"one too few", map[string]string{"a.jar": ""}, "has 1 files instead of 2"},
		{"one too many", map[string]string{"a.jar": "", "b.jar": "", "c.jar": ""}, "has c.jar, which does not belong to Apache Test 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lib := t.TempDir()
			for name, text := range tt.files {
				if err := writeFile(filepath.Join(lib, name), text); err != nil {
					t.Fatal(err)
				}
			}
			err := r.verify(lib)
			if (err == nil) != (tt.want == "") || err != nil && !contains(err.Error(), tt.want) {
				t.Errorf("verify = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWithoutLeaveNothingIsFetched(t *testing.T) {
	_, err := jars(t.Context(), &Options{Cache: t.TempDir()}, Kafka)
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Errorf("jars = %v, want a MissingError", err)
	}
}

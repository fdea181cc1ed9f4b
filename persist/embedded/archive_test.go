package embedded

import (
	"testing"
)

func mustOpenArchive(t *testing.T, o ArchiveOptions) *Archive {
	t.Helper()
	a, err := OpenArchive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

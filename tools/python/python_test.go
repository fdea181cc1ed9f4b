package python

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// interpreter returns a Python that has what the client needs.
func interpreter(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache")
	}
	for _, python := range []string{filepath.Join(cache, "pixelwall", "venv", "bin", "python"), "python3"} {
		if exec.Command(python, "-c", "import websockets").Run() == nil {
			return python
		}
	}
	const missing = "no Python with websockets; make deps installs it"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

func TestTheTablesAreTheSpecifications(t *testing.T) {
	ours, err := os.ReadFile("pixelwall/tables.json")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile("../../wire/testdata/tables.json"); err != nil || !bytes.Equal(ours, want) {
		t.Errorf("pixelwall/tables.json is not wire/testdata/tables.json (%v)", err)
	}
}

func TestItsUnitTestsPass(t *testing.T) {
	if testing.Short() {
		t.Skip("Python is not for -short")
	}
	if out, err := exec.Command(interpreter(t), "-m", "unittest").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestItStaysInStepWhileItPaintsAndIsCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("Python is not for -short")
	}
	python := interpreter(t)
	edge := filepath.Join(t.TempDir(), "edge")
	if out, err := exec.Command("go", "build", "-o", edge, "pixelwall/edge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command(edge, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms")
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var url string
	for s := bufio.NewScanner(said); url == "" && s.Scan(); {
		url = regexp.MustCompile(`http://\S+`).FindString(s.Text())
	}
	out, err := exec.Command(python, "-m", "pixelwall", "--server", url, "run", "--seconds", "8", "--paint", "10", "--cut", "2").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

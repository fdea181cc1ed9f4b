package deploy

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheUnitsCommandLineIsGood(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	out, err := exec.Command(edgeProgram(t), append([]string{"config", "check"}, unitArgs(t, nil)...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSystemdReadsTheUnit(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is missing")
	}
	p := &proxy{t: t, dir: t.TempDir()}
	path := p.write("pixelwall.service", edit(t, readFile(t, "pixelwall.service"), "/usr/local/bin/pixelwall ", edgeProgram(t)+" "))
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Clean(path)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

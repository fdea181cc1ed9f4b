package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMistakesInFlagsAreAllReportedAtOnce(t *testing.T) {
	_, err := parse("--listen", "nonsense", "--size", "0x5", "--palette", "/no/such/file", "--cooldown", "soon", "--tick", "5ms",
		"--canvas-url", "ftp://x", "--trusted-proxies", "10.0.0.1", "--dead-after", "1s", "--admin-token", "x", "--drain=-1s")
	for _, flag := range []string{"--listen", "--size", "--palette", "--cooldown", "--tick", "--canvas-url", "--trusted-proxies", "--dead-after", "--admin-token", "--drain"} {
		if err == nil || !strings.Contains(err.Error(), flag+":") {
			t.Errorf("%s is not reported in\n%v", flag, err)
		}
	}
}

func TestFlagsThatContradictEachOtherAreRefused(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--size", "10x10", "--start-canvas", "x.png"}, "--size: contradicts"},
		{[]string{"--listen", ":8080", "--admin-listen", ":8080"}, "--admin-listen: :8080 is --listen already"},
	} {
		if _, err := parse(tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.args, err, tt.want)
		}
	}
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"tick": "100ms", "cooldown": "1s", "size": "10x20", "ring-age": "7m", "trusted-proxies": ["10.0.0.0/8"], "conns-max": 7}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIXELWALL_TICK", "200ms")
	t.Setenv("PIXELWALL_COOLDOWN", "2s")
	var out bytes.Buffer
	if err := realMain([]string{"config", "print", "--config", file, "--cooldown", "3s"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"tick": "200ms"`, `"cooldown": "3s"`, `"size": "10x20"`, `"listen": ":8080"`, `"ring-age": "7m0s"`, `"10.0.0.0/8"`, `"conns-max": 7`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	first := out.String()
	out.Reset()
	if err := realMain([]string{"config", "print", "--config", file, "--tick", "200ms", "--cooldown", "3s"}, &out); err != nil {
		t.Errorf("what config print prints is no configuration: %v", err)
	}
	if out.String() != first {
		t.Errorf("what config print prints comes to\n%s\nand was\n%s", out.String(), first)
	}
}

func TestAMisspeltNameInTheFileIsReported(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	for text, want := range map[string]string{
		`{"ring_age": "7m", "size": "5x5", "tik": "1s"}`: "there is no flag \"ring_age\"\n--config: there is no flag \"tik\"",
		`{"size": `: "unexpected EOF",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := realMain([]string{"config", "check", "--config", file}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Setenv("PIXELWALL_ADMIN_TOKEN", "canary")
	var out bytes.Buffer
	if err := realMain([]string{"config", "print", "--admin-listen", ":9"}, &out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("the token is in\n%s", out.String())
	}
}

func TestAutoTickIsTheShortestThatFits(t *testing.T) {
	for _, tt := range []struct{ now, cost, want time.Duration }{
		{time.Second, 0, 50 * time.Millisecond},
		{50 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond},
		{50 * time.Millisecond, 26 * time.Millisecond, 100 * time.Millisecond},
		{100 * time.Millisecond, 24 * time.Millisecond, 100 * time.Millisecond}, // not back and forth
		{100 * time.Millisecond, 19 * time.Millisecond, 50 * time.Millisecond},
		{time.Second, time.Minute, 5 * time.Second},
	} {
		if got := chooseTick(tt.now, tt.cost); got != tt.want {
			t.Errorf("with a tick of %v that costs %v: %v, want %v", tt.now, tt.cost, got, tt.want)
		}
	}
}

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

func TestWhatWouldFailAtTheStartIsReportedBefore(t *testing.T) {
	open := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(open, []byte("anybody may read this"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ flag, value string }{
		{"--origin", "foo"},
		{"--origin", "https://wall.example/path"},
		{"--frame-ancestors", "a;b"},
		{"--public-url", "https://wall.example/?a=b"},
		{"--canvas-url", "https://cdn.example/canvas#x"},
		{"--canvas-url", "https://me@cdn.example/canvas"},
		{"--start-canvas", "/no/such/file.png"},
		{"--key-file", open},
		{"--messages-per-sec", "1e7"},
		{"--messages-per-sec", "0.01"},
		{"--messages-per-sec", "NaN"},
		{"--backlog-bytes", "1"},
		{"--ring-bytes", "1"},
		{"--backlog-total", "262143"},
		{"--conns-max", "100000000"},
		{"--conns-per-address", "0"},
		{"--admin-listen", ":9090"},
		{"--admin-listen", "0.0.0.0:9090"},
		{"--admin-listen", "[::]:9090"},
		{"--admin-listen", "wall.example:9090"},
	} {
		if err := realMain([]string{"config", "check", tt.flag, tt.value}, io.Discard); err == nil || !strings.HasPrefix(err.Error(), tt.flag+": ") {
			t.Errorf("%s %s: %v", tt.flag, tt.value, err)
		}
	}
}

func TestWhatIsGoodIsNotReported(t *testing.T) {
	for _, args := range [][]string{
		{"--admin-listen", "127.0.0.1:9090"},
		{"--admin-listen", "[::1]:9090"},
		{"--admin-listen", "localhost:9090"},
		{"--admin-listen", ":9090", "--admin-token", "secret"},
		{"--origin", "*", "--origin", "https://friend.example:8443"},
		{"--public-url", "https://wall.example", "--canvas-url", "http://cdn.example:80/canvas"},
		{"--frame-ancestors", "https://stream.example"},
		{"--backlog-bytes", "65536", "--ring-bytes", "1048576", "--messages-per-sec", "0.1"},
		{"--messages-per-sec", "10000"},
		{"--backlog-total", "262144", "--conns-per-address=-1"},
		{"--conns-max", "100000000", "--redis", "127.0.0.1:1", "--roles", "relay"}, // it has no clients
		{"--key-file", filepath.Join(t.TempDir(), "made at the start")},
	} {
		if err := realMain(append([]string{"config", "check"}, args...), io.Discard); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestTheContentsOfTheStartCanvasAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "start.png")
	if err := os.WriteFile(file, []byte("\x89PNG and nothing else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := realMain([]string{"config", "check", "--start-canvas", file}, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "--start-canvas "+file) {
		t.Errorf("got %v", err)
	}
}

func TestTheAdminTokenMayStandInTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	for text, want := range map[string]string{
		`{"admin-listen": ":9090", "admin-token": "secret"}`: "",
		`{"admin-listen": ":9090", "admin-token": ""}`:       "--admin-token: is empty",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := realMain([]string{"config", "check", "--config", file}, io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// An empty token is one that somebody forgot to fill in.
func TestAnEmptyAdminTokenIsRefused(t *testing.T) {
	t.Setenv("PIXELWALL_ADMIN_TOKEN", "")
	for _, args := range [][]string{nil, {"--admin-listen", "127.0.0.1:9090"}, {"--admin-listen", ":9090"}} {
		if err := realMain(append([]string{"config", "check"}, args...), io.Discard); err == nil || !strings.Contains(err.Error(), "--admin-token: is empty") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestAMisspeltNameInTheEnvironmentIsReported(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  bool
	}{
		{"PIXELWALL_TIK", true},
		{"PIXELWALL_VERSION", true},
		{"PIXELWALL_REDIS_PASWORD", true},
		{"PIXELWALL_TEST_REDIS", false},
		{"PIXELWALL_CHAOS", false},
		{"PIXELWALL_TOKEN", false},        // of the Python client
		{"PIXELWALL_SERVICE_HOST", false}, // Kubernetes
		{"PIXELWALL_PORT_8080_TCP_ADDR", false},
		{"PIXELWALL_REDIS_PORT", false},
		{"PIXELWALLS", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.name, "canary")
			var out bytes.Buffer
			err := realMain([]string{"config", "check"}, &out)
			if tt.bad != (err != nil && strings.Contains(err.Error(), tt.name+" in the environment")) || err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, %q", err, &out)
			}
		})
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
		`{"size": `:     "--config " + file + ": unexpected end",
		`{"size": 5x5}`: "--config " + file + ": invalid character 'x'",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := realMain([]string{"config", "check", "--config", file}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestAFlagThatCannotBeReadIsNamed(t *testing.T) {
	for _, tt := range []struct{ args, want []string }{
		{[]string{"--config", "/no/such/file"}, []string{"--config /no/such/file: ", "no such file"}},
		{[]string{"--nonsense"}, []string{"--nonsense", "; see edge --help"}},
		{[]string{"--message-burst", "many"}, []string{"--message-burst", "; see edge --help"}},
	} {
		err := realMain(append([]string{"config", "check"}, tt.args...), io.Discard)
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: got %v, want %q", tt.args, err, want)
			}
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

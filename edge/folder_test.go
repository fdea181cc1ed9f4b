package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/core"
	"pixelwall/wire"
)

func TestARestartCostsNobodyTheCanvas(t *testing.T) {
	data := t.TempDir()
	r := serve(t, "--data", data)
	token := r.token()
	p := r.fresh(9).hello(token).watch(all4)
	for i := range 10 {
		p.placed(p.place(i, i, 3))
	}
	other := r.fresh(10).hello(token)
	for i := range 10 { // while p is cut off
		other.placed(other.place(500+i, 500, 4))
	}
	p.conn.Close()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, "--data", data)
	p.addr, p.follow = r.addr, 0
	p.hello(token).watch(all4)
	if p.lost != 0 {
		t.Fatalf("after a restart shards %b have to be fetched", p.lost)
	}
	if n := r.metric("pixelwall_canvas_bytes_total"); n != 0 {
		t.Errorf("%v bytes of canvas were served to a client that came back", n)
	}
	p.same(r)
}

func TestAWipedFolderIsAnotherCanvas(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello(r.token()).watch(all4)
	p.placed(p.place(1, 1, 1))
	p.conn.Close()
	r2 := serve(t)
	p.addr, p.follow = r2.addr, 0
	p.hello("").watch(all4)
	if p.lost != all4 || p.init.Canvas == p.canvas {
		t.Errorf("a client of another canvas lost %b, want all", p.lost)
	}
	p.load(r2.canvas())
	p.watch(all4).same(r2)
}

func TestGrowthIsToldInOrderAndSurvivesARestart(t *testing.T) {
	data := t.TempDir()
	r := serve(t, "--data", data, "--size", "300x300", "--admin-listen", "127.0.0.1:0")
	p := r.fresh(1).hello(r.token()).watch(1)
	p.placed(p.place(5, 5, 5))
	old := r.fresh(2) // a copy of the small canvas
	req, _ := http.NewRequest("PATCH", "http://"+regexpAdmin.FindStringSubmatch(r.log.String())[1]+"/admin/v1/config", strings.NewReader(`{"width": 700, "height": 400}`))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("the admin API answered %d", res.StatusCode)
	}
	p.until("the resync", func() bool { return p.lost == 1 })
	if len(p.configs) == 0 || p.configs[0].Width != 700 {
		t.Errorf("the resync came before the new size: %v", p.configs)
	}
	c := r.canvas()
	if c.Width != 700 || c.Height != 400 {
		t.Errorf("the canvas fetched after it is %dx%d", c.Width, c.Height)
	}
	p.load(c)
	p.watch(0b11)
	p.placed(p.place(650, 350, 3))
	p.same(r)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, "--data", data)
	old.addr = r.addr
	if old.hello("").watch(1); old.lost != 1 {
		t.Error("a copy of the small canvas was caught up with the large one")
	}
}

func TestTwoProcessesCannotShareAFolder(t *testing.T) {
	data := t.TempDir()
	serve(t, "--data", data)
	s, err := parse("--data", data, "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := refused(t, s); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("the second one got %v", err)
	}
}

func TestAPortInUseIsAClearError(t *testing.T) {
	r := serve(t)
	s, err := parse("--data", t.TempDir(), "--listen", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	err = refused(t, s)
	if err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), r.addr) {
		t.Errorf("got %v", err)
	}
}

func TestAFolderForAnotherCanvasIsAClearError(t *testing.T) {
	data := t.TempDir()
	if err := serve(t, "--data", data, "--size", "600x400").end(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"--size", "1000x1000"}, []string{"600x400", "1000x1000"}},
		{[]string{"--palette", "place2022"}, []string{"white", "burgundy"}},
	} {
		s, err := parse(append(tt.args, "--data", data, "--listen", "127.0.0.1:0")...)
		if err != nil {
			t.Fatal(err)
		}
		err = refused(t, s)
		if core.CodeOf(err) != core.CodeMismatch {
			t.Errorf("%v: got %v", tt.args, err)
		}
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v does not say %q", tt.args, err, want)
			}
		}
	}
	serve(t, "--data", data) // what the folder holds wins over defaults
}

func TestAFolderOfANewerProgramIsAClearError(t *testing.T) {
	data := t.TempDir()
	if err := serve(t, "--data", data).end(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "meta.json")
	meta, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(meta, &fields); err != nil {
		t.Fatal(err)
	}
	for k := range fields {
		if strings.Contains(strings.ToLower(k), "version") || strings.Contains(strings.ToLower(k), "format") {
			fields[k] = 99
		}
	}
	meta, _ = json.Marshal(fields)
	if err := os.WriteFile(path, meta, 0o644); err != nil {
		t.Fatal(err)
	}
	s, _ := parse("--data", data, "--listen", "127.0.0.1:0")
	err = refused(t, s)
	if core.CodeOf(err) != core.CodeMismatch || !strings.Contains(err.Error(), "99") {
		t.Errorf("got %v", err)
	}
}

func TestAPaletteGrowsWhilePeopleAreConnected(t *testing.T) {
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "forty")
	r := serve(t, "--data", data, "--palette", "place2022", "--admin-listen", "127.0.0.1:0", "--admin-token", "secret")
	token := r.token()
	p := r.fresh(1).hello(token).watch(all4)
	if got := p.placed(p.place(5, 5, 31)); got.Seq == 0 {
		t.Fatal("no seq")
	}
	if a, ok := p.answer(p.place(5, 5, 32)).(wire.Refusal); !ok || core.Code(a.Code) != core.CodeUnknownColor {
		t.Fatalf("colour 32 of 32: %+v", a)
	}
	palette, _ := core.NamedPalette("place2022")
	var text strings.Builder
	for i := range 40 {
		c := core.Color{Name: fmt.Sprintf("new %d", i), RGB: uint32(i) * 0x010203}
		if i < len(palette) {
			c = palette[i]
		}
		fmt.Fprintf(&text, "%s %s\n", c.Name, c.Hex())
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	admin := regexpAdmin.FindStringSubmatch(r.log.String())
	if admin == nil {
		t.Fatalf("no admin address in\n%s", r.log)
	}
	grown := []map[string]string{}
	for i := range 40 {
		name, hex := fmt.Sprintf("new %d", i), fmt.Sprintf("#%06x", i*0x010203)
		if i < len(palette) {
			name, hex = palette[i].Name, palette[i].Hex()
		}
		grown = append(grown, map[string]string{"name": name, "hex": hex})
	}
	body, _ := json.Marshal(map[string]any{"append_colors": grown[32:]})
	req, _ := http.NewRequest("PATCH", "http://"+admin[1]+"/admin/v1/config", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("the admin API answered %d", res.StatusCode)
	}
	p.until("the new palette", func() bool { return len(p.configs) > 0 })
	if got := p.configs[0].Colors; len(got) != 40 || got[39].Name != "new 39" {
		t.Fatalf("the new palette is %v", got)
	}
	p.placed(p.place(6, 6, 39))
	p.same(r)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	// A restart with the old name, a beginning of what is there, and with the file.
	serve(t, "--data", data, "--palette", "place2022").end()
	r = serve(t, "--data", data, "--palette", file)
	if p := r.fresh(1).hello(""); len(p.init.Config.Colors) != 40 {
		t.Errorf("after a restart there are %d colours", len(p.init.Config.Colors))
	}
}

// refused runs an edge that is expected not to start, and returns why.
func refused(t *testing.T, s settings) error {
	t.Helper()
	return run(t.Context(), s, &bytes.Buffer{}, newLogger(Config{LogLevel: "error"}))
}

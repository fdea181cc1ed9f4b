package web

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Golden vectors, run against the decoder of the committed bundle: the worker
// of the served page answers what it makes of them.

const testdata = "../../wire/testdata"

func readVectors(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testdata, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// A codecVector is one entry of testdata/codec: CODEC.md, section 6.
type codecVector struct {
	Name          string
	Bits          int
	Width, Height int
	Stride        int
	Canvas        string
	Coding, Param int
	Payload       string
	Pixels        [][2]int
	Error         string
}

// packed returns the valid area as the protocol packs it: no padding between rows.
func (v codecVector) packed() ([]byte, error) {
	canvas, err := hex.DecodeString(v.Canvas)
	if err != nil {
		return nil, err
	}
	out := make([]byte, (v.Width*v.Height*v.Bits+7)/8)
	for i := range v.Width * v.Height {
		p := i/v.Width*v.Stride + i%v.Width
		switch {
		case v.Bits == 8:
			out[i] = canvas[p]
		default:
			color := canvas[p/2] >> (4 * (1 - p%2)) & 15
			out[i/2] |= color << (4 * (1 - i%2))
		}
	}
	return out, nil
}

type decoded struct {
	Changes []uint32
	Fault   *string
	Millis  []float64
}

func (p *page) decode(v codecVector) decoded { return p.decodeTimed(v, 1) }

func (p *page) decodeTimed(v codecVector, rounds int) decoded {
	p.t.Helper()
	packed, err := v.packed()
	if err != nil {
		p.t.Fatal(err)
	}
	return eval[decoded](p, fmt.Sprintf("pixelwall.ask({kind: 'decode', rounds: %d, coding: %d, param: %d, payload: %s, packed: %s, width: %d, height: %d, bits: %d})",
		rounds, v.Coding, v.Param, bytesOf(v.Payload), bytesOf(hex.EncodeToString(packed)), v.Width, v.Height, v.Bits))
}

// bytesOf is a Uint8Array in JavaScript.
func bytesOf(hexText string) string {
	return fmt.Sprintf("Uint8Array.from(%q.match(/../g) ?? [], (h) => parseInt(h, 16))", hexText)
}

func TestTheBundleDecodesTheGoldenBatches(t *testing.T) {
	p := openPage(t, startEdge(t).url+"/?debug", desktop)
	p.until("globalThis.pixelwall")
	files, err := filepath.Glob(filepath.Join(testdata, "codec", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	good, bad := 0, 0
	for _, file := range files {
		var vectors []codecVector
		readVectors(t, filepath.Join("codec", filepath.Base(file)), &vectors)
		for _, v := range vectors {
			got := p.decode(v)
			switch {
			case v.Error != "":
				bad++
				if got.Fault == nil || *got.Fault != v.Error || len(got.Changes) > 0 {
					t.Errorf("%s: fault %s and %d pixels, want fault %s", v.Name, text(got.Fault), len(got.Changes), v.Error)
				}
			case got.Fault != nil:
				t.Errorf("%s: fault %s", v.Name, *got.Fault)
			default:
				good++
				compareChanges(t, v, got.Changes)
			}
		}
	}
	t.Logf("%d vectors decoded, %d refused", good, bad)
	if good == 0 || bad == 0 {
		t.Error("the vectors are all of one sort")
	}
}

func compareChanges(t *testing.T, v codecVector, got []uint32) {
	t.Helper()
	if len(got) != len(v.Pixels) {
		t.Errorf("%s: %d pixels, want %d", v.Name, len(got), len(v.Pixels))
		return
	}
	for i, want := range v.Pixels {
		if int(got[i]>>8) != want[0] || int(got[i]&0xff) != want[1] {
			t.Errorf("%s: pixel %d is %d colour %d, want %v", v.Name, i, got[i]>>8, got[i]&0xff, want)
			return
		}
	}
}

func text(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// messageKinds are the server's messages by type. Client messages are not for
// the page to parse.
var messageKinds = map[string]string{
	"41": "init", "42": "placed", "43": "error", "44": "resync", "45": "check", "46": "config",
	"47": "presence", "48": "bye", "49": "pong", "4a": "catchup", "4b": "allowance",
}

func kindOf(hexText string) string {
	if hexText == "" || hexText[0] >= '8' {
		return "batch"
	}
	return messageKinds[hexText[:2]]
}

func TestTheBundleParsesTheGoldenMessages(t *testing.T) {
	p := openPage(t, startEdge(t).url+"/?debug", desktop)
	p.until("globalThis.pixelwall")
	var vectors struct {
		Good, Later []struct {
			Name, Hex string
			Message   json.RawMessage
		}
		Malformed []struct{ Name, Hex, Code string }
	}
	readVectors(t, "messages.json", &vectors)
	type answer struct {
		Message json.RawMessage
		Fault   *string
	}
	parse := func(hexText string) answer {
		return eval[answer](p, fmt.Sprintf("pixelwall.ask({kind: 'parse', message: %s})", bytesOf(hexText)))
	}
	good, bad := 0, 0
	for _, v := range slices.Concat(vectors.Good, vectors.Later) {
		kind := kindOf(v.Hex)
		if kind == "" {
			continue
		}
		good++
		got := parse(v.Hex)
		have, _ := canonical(t, got.Message).(map[string]any)
		if got.Fault != nil || have["kind"] != kind {
			t.Errorf("%s: kind %v, fault %s, want kind %s", v.Name, have["kind"], text(got.Fault), kind)
			continue
		}
		delete(have, "kind")
		if inner, ok := have[kind].(map[string]any); ok && len(have) == 1 {
			have = inner // config and allowance lie within their message
		}
		if want := canonical(t, v.Message); !reflect.DeepEqual(want, any(have)) {
			t.Errorf("%s:\nhave %v\nwant %v", v.Name, have, want)
		}
	}
	for _, v := range vectors.Malformed {
		if kindOf(v.Hex) == "" {
			continue
		}
		bad++
		if got := parse(v.Hex); text(got.Fault) != v.Code {
			t.Errorf("%s: fault %s, want %s", v.Name, text(got.Fault), v.Code)
		}
	}
	t.Logf("%d messages parsed, %d refused", good, bad)
	if good == 0 || bad == 0 {
		t.Error("the vectors are all of one sort")
	}
}

// canonical makes the vectors' messages and the page's comparable: names in
// small letters, numbers as text, bytes as base64.
func canonical(t *testing.T, text json.RawMessage) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return canonicalValue("", v)
}

func canonicalValue(key string, v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			name = strings.ToLower(name)
			if other, ok := map[string]string{"burstmax": "max", "timeadv": "timeadvance"}[name]; ok {
				name = other
			}
			out[name] = canonicalValue(name, value)
		}
		return out
	case []any:
		if key == "payload" || key == "shards" {
			var b []byte
			for _, n := range v {
				value, _ := n.(json.Number).Int64()
				b = append(b, byte(value))
			}
			return base64.StdEncoding.EncodeToString(b)
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = canonicalValue("", v[i])
		}
		return out
	case nil:
		return ""
	default:
		return v
	}
}

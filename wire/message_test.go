package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"
)

// parsed is a message that was parsed, as something that can append itself.
func parsed(msg []byte) (message, error) {
	switch TypeOf(msg) {
	case TypeHello:
		return wrap(ParseHello(msg))
	case TypeWatch:
		return wrap(ParseWatch(msg, nil))
	case TypePlace:
		return wrap(ParsePlace(msg))
	case TypePing:
		return wrap(ParsePing(msg))
	case TypeInit:
		m, err := ParseInit(msg)
		return &m, err
	case TypePlaced:
		return wrap(ParsePlaced(msg))
	case TypeError:
		return wrap(ParseRefusal(msg))
	case TypeResync:
		return wrap(ParseResync(msg))
	case TypeCheck:
		return wrap(ParseCheck(msg))
	case TypeConfig:
		return wrap(ParseConfig(msg))
	case TypePresence:
		return wrap(ParsePresence(msg))
	case TypeBye:
		return wrap(ParseBye(msg))
	case TypePong:
		return wrap(ParsePong(msg))
	case TypeCatchUp:
		return wrap(ParseCatchUp(msg))
	case TypeAllowance:
		return wrap(ParseAllowance(msg))
	case TypeBatch:
		return wrap(ParseBatch(msg))
	default:
		return nil, &Error{Code: BadType, Msg: "type"}
	}
}

func wrap[M message](m M, err error) (message, error) { return m, err }

// goldenMessages are one good message of every type and the edges of fields.
func goldenMessages() []struct {
	Name string
	M    message
} {
	config := Config{Version: 3, Width: 1000, Height: 700, Bits: 4, Blank: 0, CooldownMS: 5000, BurstMax: 1, TickMS: 1000,
		Colors: []Color{{0xFFFFFF, "white"}, {0x222222, "black"}, {0x0083C7, "Blau-grün"}}}
	return []struct {
		Name string
		M    message
	}{
		{"hello of a painter who decodes the range coder", Hello{1, 0x0123456789abcdef, CanRange, "token"}},
		{"hello of a watcher", Hello{Version: 1, Instance: 1}},
		{"watch of two shards, one going on and one from seq 0", Watch{Canvas: 0xfedcba9876543210, Shards: []WatchShard{{Shard: 0}, {Shard: 3, Resume: true}}}},
		{"watch of one shard anew after a check differed", Watch{Canvas: 7, Diverged: true, Shards: []WatchShard{{Shard: 63, Resume: true, Held: 1 << 40}}}},
		{"watch of nothing", Watch{Canvas: 7}},
		{"place at the far corner of the largest canvas", Place{Number: 1<<32 - 1, X: 4095, Y: 4095, Color: 255}},
		{"place of one byte fields", Place{Number: 1, X: 0, Y: 127, Color: 5}},
		{"ping", Ping{300}},
		{"init", &Init{Version: 1, Canvas: 0xfedcba9876543210, Epoch: 1, Config: config, User: 0x1f0c5a7b9d3e2468, Name: "guest-7f3a",
			Allowance: Allowance{0, 1, 1795000004000}, TimeMS: 1795000000000, Online: 12, Build: "v1.0.0", CanvasURL: "/api/v1/canvas",
			Heads: []Head{{0, 7}, {1, 0}, {2, 1 << 33}, {3, 128}}}},
		{"placed", Placed{Number: 9, Shard: 2, Seq: 1 << 33, TimeMS: 1795000000123, Allowance: Allowance{0, 1, 1795000005123}}},
		{"error cooldown", Refusal{Code: 5, Number: 10, RetryAfterMS: 4321, Allowance: Allowance{0, 1, 1795000005123}, Message: "wait"}},
		{"error about no place", Refusal{Code: 9, Message: "this server does not know messages of type 0x3f"}},
		{"resync", Resync{Reason: ResyncTooOld, Shards: []uint8{0, 2, 63}}},
		{"check", Check{Shard: 3, Seq: 128, CRC: 0xdeadbeef}},
		{"config", config},
		{"config read-only", Config{Version: 4, Width: 1, Height: 4096, Bits: 8, BurstMax: 6, TickMS: 20, ReadOnly: true, Colors: config.Colors[:2]}},
		{"presence", Presence{10_400_000}},
		{"bye", Bye{1000, 30000}},
		{"pong", Pong{300, 1795000000000}},
		{"catchup to the same seq", CatchUp{Shard: 1, From: 5, To: 5, TimeTenths: 17950000000}},
		{"catchup with a payload", CatchUp{Shard: 1, From: 5, To: 500, TimeTenths: 17950000000, Param: 3, Payload: []byte{1, 2, 3}}},
		{"allowance", Allowance{1, 6, 1795000005123}},
		{"batch in Rice without a payload", Batch{Coding: CodingRice, Shard: 3, Advance: 2, TimeAdv: 10}},
		{"batch of coding 1", Batch{Coding: 1, Param: 31, Shard: 0, Advance: 300, TimeAdv: 0, Payload: []byte{0xff}}},
	}
}

// laterMessages are what a later server may send: a client takes the fields that
// it knows, and ignores the rest.
func laterMessages() []struct {
	Name, Hex string
	M         message
} {
	return []struct {
		Name, Hex string
		M         message
	}{
		{"presence with fields behind it", "47" + "05" + "ff80", Presence{5}},
		{"placed with fields behind it", "42" + "01" + "0007" + "00" + "010100" + "00", Placed{Number: 1, Seq: 7, Allowance: Allowance{1, 1, 0}}},
		{"config with unknown flags", "46" + "01" + "0a0a" + "0400" + "000101" + "fe" + twoColors,
			Config{Version: 1, Width: 10, Height: 10, Bits: 4, BurstMax: 1, TickMS: 1, Colors: []Color{{0xffffff, ""}, {0, ""}}}},
		{"config with unknown flags, read-only", "46" + "01" + "0a0a" + "0400" + "000101" + "81" + twoColors,
			Config{Version: 1, Width: 10, Height: 10, Bits: 4, BurstMax: 1, TickMS: 1, ReadOnly: true, Colors: []Color{{0xffffff, ""}, {0, ""}}}},
		{"error of an unknown code", "43" + "c8" + "0a" + "00" + "000000" + "00", Refusal{Code: 200, Number: 10}},
		{"resync for an unknown reason", "44" + "09" + "01" + "03", Resync{Reason: 9, Shards: []uint8{3}}},
	}
}

// twoColors is the smallest palette: white and black, without names.
const twoColors = "02" + "ffffff00" + "00000000"

// malformedMessages are what every implementation must refuse, with the reason.
var malformedMessages = []struct{ Name, Hex, Code string }{
	{"an empty message", "", "type"},
	{"a hello that ends in its instance", "010101020304", "truncated"},
	{"a hello whose token is longer than the message", "0101" + "0000000000000000" + "00" + "05" + "6162", "truncated"},
	{"a hello whose token is longer than 512", "0101" + "0000000000000000" + "00" + "8104", "range"},
	{"a hello whose token is not UTF-8", "0101" + "0000000000000000" + "00" + "01" + "ff", "utf8"},
	{"a place with a varint that is longer than needed", "03" + "8100" + "0000" + "00", "varint"},
	{"a place with number 0", "03" + "00" + "0000" + "00", "range"},
	{"a place whose x needs 17 bits", "03" + "01" + "808004" + "00" + "00", "range"},
	{"a place without a colour", "03010000", "truncated"},
	{"a ping with a varint of nine bytes", "04" + "808080808080808001", "varint"},
	{"a ping with a varint of 2^53", "04" + "8080808080808010", "varint"},
	{"a watch with 65 shards", "02" + "0000000000000000" + "00" + "41", "range"},
	{"a watch with fewer shards than it says", "02" + "0000000000000000" + "00" + "02" + "0000", "truncated"},
	{"a watch whose shards fall", "02" + "0000000000000000" + "00" + "02" + "01000000", "order"},
	{"a watch with the same shard twice", "02" + "0000000000000000" + "00" + "02" + "01000100", "order"},
	{"a watch of shard 64", "02" + "0000000000000000" + "00" + "01" + "4000", "range"},
	{"a watch with an unknown reason", "02" + "0000000000000000" + "02" + "00", "range"},
	{"a resync of nothing", "440100", "range"},
	{"a check without all of its crc", "45" + "03" + "01" + "efbead", "truncated"},
	{"a bye whose most is less than its least", "48" + "0201", "range"},
	{"a catchup that goes back", "4a" + "00" + "0504" + "01" + "00", "range"},
	{"a catchup with a parameter of 32", "4a" + "00" + "0505" + "01" + "20", "range"},
	{"a config of 5 bits a pixel", "46" + "01" + "0a0a" + "0500" + "000101" + "00" + twoColors, "range"},
	{"a config of width 0", "46" + "01" + "000a" + "0400" + "000101" + "00" + twoColors, "range"},
	{"a config of height 4097", "46" + "01" + "0a8120" + "0400" + "000101" + "00" + twoColors, "range"},
	{"a config with more colours than bytes", "46" + "01" + "0a0a" + "0400" + "00010100" + "8002", "truncated"},
	{"a config with 257 colours", "46" + "01" + "0a0a" + "0400" + "00010100" + "8102", "range"},
	{"a config without a colour", "46" + "01" + "0a0a" + "0400" + "00010100" + "00", "range"},
	{"a config with one colour", "46" + "01" + "0a0a" + "0400" + "00010100" + "01" + "ffffff00", "range"},
	{"a config whose version needs 33 bits", "46" + "8080808010" + "0a0a" + "0400" + "000101" + "00" + twoColors, "range"},
	{"a config whose max needs 33 bits", "46" + "01" + "0a0a" + "0400" + "00808080801001" + "00" + twoColors, "range"},
	{"a config whose tick needs 33 bits", "46" + "01" + "0a0a" + "0400" + "00018080808010" + "00" + twoColors, "range"},
	{"an init without a shard", "41" + "01" + "0000000000000000" + "00" + "01" + "0a0a" + "0400" + "000101" + "00" + twoColors +
		"0000000000000000" + "00" + "000000" + "00" + "00" + "00" + "00" + "00", "range"},
	{"an init whose version needs 33 bits", "41" + "8080808010" + "0000000000000000", "range"},
	{"an allowance whose available needs 33 bits", "4b" + "8080808010" + "01" + "00", "range"},
	{"an allowance whose max needs 33 bits", "4b" + "01" + "8080808010" + "00", "range"},
	{"a placed with number 0", "42" + "00" + "0001" + "00" + "000000", "range"},
	{"a placed whose number needs 33 bits", "42" + "8080808010" + "0001" + "00" + "000000", "range"},
	{"an error whose number needs 33 bits", "43" + "05" + "8080808010" + "00" + "000000" + "00", "range"},
	{"a batch of shard 200", "80" + "c8" + "0101", "range"},
	{"a batch that ends after its shard", "8003", "truncated"},
	{"a message of no known type", "3f", "type"},
}

type vector struct {
	Name    string `json:"name"`
	Hex     string `json:"hex"`
	Code    string `json:"code,omitempty"`
	Message any    `json:"message,omitempty"`
}

const goldenFile = "testdata/messages.json"

func TestMessagesAreTheGoldenOnes(t *testing.T) {
	var now struct {
		Good      []vector `json:"good"`
		Later     []vector `json:"later"`
		Malformed []vector `json:"malformed"`
	}
	for _, g := range goldenMessages() {
		now.Good = append(now.Good, vector{Name: g.Name, Hex: hex.EncodeToString(g.M.AppendTo(nil)), Message: g.M})
	}
	for _, l := range laterMessages() {
		now.Later = append(now.Later, vector{Name: l.Name, Hex: l.Hex, Message: l.M})
	}
	for _, m := range malformedMessages {
		now.Malformed = append(now.Malformed, vector{Name: m.Name, Hex: m.Hex, Code: m.Code})
	}
	sameAsGolden(t, goldenFile, now, " ")
}

func TestEveryMessageIsParsedAsItWasWritten(t *testing.T) {
	for _, g := range goldenMessages() {
		msg := g.M.AppendTo(nil)
		m, err := parsed(msg)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		if again := m.AppendTo(nil); !bytes.Equal(again, msg) {
			t.Errorf("%s: %x became %x", g.Name, msg, again)
		}
		if TypeOf(msg) != TypeBatch && TypeOf(msg) != TypeCatchUp {
			longer, err := parsed(append(bytes.Clone(msg), 1, 2, 3))
			if err != nil || !bytes.Equal(longer.AppendTo(nil), msg) {
				t.Errorf("%s: bytes of a later version behind it change it: %v", g.Name, err)
			}
		}
		for n := range msg {
			if _, err := parsed(msg[:n]); err == nil && TypeOf(msg) != TypeBatch && TypeOf(msg) != TypeCatchUp {
				t.Errorf("%s: its first %d bytes pass", g.Name, n)
			}
		}
	}
}

func TestWhatALaterVersionAddsIsIgnored(t *testing.T) {
	for _, l := range laterMessages() {
		msg, err := hex.DecodeString(l.Hex)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parsed(msg)
		if got, want := known(t, m), known(t, l.M); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", l.Name, got, err, want)
		}
	}
}

// known is what the vectors tell of m: all but the flags of later versions.
func known(t *testing.T, m message) string {
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	for _, m := range malformedMessages {
		msg, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parsed(msg)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code.String() != m.Code {
			t.Errorf("%s: got %v, want code %s", m.Name, err, m.Code)
		}
	}
}

func TestFrameHeadersHaveTheShortestLength(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want string
	}{
		{0, "8200"}, {125, "827d"}, {126, "827e007e"}, {65535, "827effff"}, {65536, "827f0000000000010000"},
	} {
		if got := hex.EncodeToString(AppendFrameHeader(nil, tt.n)); got != tt.want {
			t.Errorf("a message of %d bytes gets the header %s, want %s", tt.n, got, tt.want)
		}
		frame := AppendFrame([]byte("before"), Batch{Payload: make([]byte, max(0, tt.n-4))})
		if want := 6 + len(tt.want)/2 + max(4, tt.n); tt.n >= 4 && len(frame) != want {
			t.Errorf("a frame of %d bytes has %d, want %d", tt.n, len(frame), want)
		}
	}
}

func TestParsingDoesNotAllocateForWhatIsNotThere(t *testing.T) {
	msg := append(Hello{Version: 1}.AppendTo(nil)[:11], 0xff, 0x03) // a token of 511 bytes that is not there
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseHello(msg) }); n > 1 {
		t.Errorf("%v allocations, want only the error", n)
	}
	place := Place{Number: 1000, X: 500, Y: 500, Color: 3}.AppendTo(nil)
	if n := testing.AllocsPerRun(100, func() { _, _ = ParsePlace(place) }); n > 0 {
		t.Errorf("a place costs %v allocations", n)
	}
}

// Whatever is accepted encodes again to the same bytes, but for what a later
// version may have put behind it.
func FuzzMessage(f *testing.F) {
	for _, g := range goldenMessages() {
		f.Add(g.M.AppendTo(nil))
	}
	for _, m := range malformedMessages {
		msg, _ := hex.DecodeString(m.Hex)
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		m, err := parsed(msg)
		if !bytes.Equal(msg, before) {
			t.Fatal("the parser wrote to its input")
		}
		if err != nil {
			return
		}
		if again := m.AppendTo(nil); !bytes.HasPrefix(msg, again) {
			t.Fatalf("round trip\n in %x\nout %x", msg, again)
		}
	})
}

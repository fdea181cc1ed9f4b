package main

import (
	"path"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	p := func(from string, imports ...string) Package { return Package{ImportPath: from, Imports: imports} }
	for _, tt := range []struct {
		name string
		p    Package
		want string // "" allows
	}{
		{"core may use the standard library", p("pixelwall/core", "fmt", "hash/crc32"), ""},
		{"core may not use wire", p("pixelwall/core", "pixelwall/wire"), "core imports wire: core may import nothing of ours (the rules know of nothing)"},
		{"core may not use another module", p("pixelwall/core", "github.com/a/b"), "core imports github.com/a/b: the standard library only"},
		{"wire may not use core", p("pixelwall/wire", "pixelwall/core"), "wire imports core"},
		{"the contracts may use core", p("pixelwall/core/coretest", "pixelwall/core"), ""},
		{"an adapter may use core, wire and persist", p("pixelwall/persist/redis", "pixelwall/core", "pixelwall/wire", "pixelwall/persist", "github.com/redis/rueidis"), ""},
		{"an adapter may not use another", p("pixelwall/persist/redis", "pixelwall/persist/kafka"), "persist/redis imports persist/kafka"},
		{"Redis alone knows the stream and the folder", p("pixelwall/persist/alone", "pixelwall/persist/redis", "pixelwall/persist/archive", "pixelwall/persist/embedded"), ""},
		{"Redis alone may not know Kafka", p("pixelwall/persist/alone", "pixelwall/persist/kafka"), "persist/alone imports persist/kafka"},
		{"an adapter may use the contracts in its tests", Package{ImportPath: "pixelwall/persist/redis", XTestImports: []string{"pixelwall/core/coretest"}}, ""},
		{"an adapter may not use the contracts elsewhere", p("pixelwall/persist/redis", "pixelwall/core/coretest"), "persist/redis imports core/coretest"},
		{"a test may not use another adapter either", Package{ImportPath: "pixelwall/persist/redis", TestImports: []string{"pixelwall/persist/kafka"}}, "persist/redis imports persist/kafka (in a test)"},
		{"an adapter may start servers in its tests", Package{ImportPath: "pixelwall/persist/redis", XTestImports: []string{"pixelwall/tools/stack/stacktest"}}, ""},
		{"the stack may know nothing of ours", p("pixelwall/tools/stack/servers", "pixelwall/core"), "tools/stack/servers imports core"},
		{"the gateway may use what others made", p("pixelwall/edge/gateway", "github.com/panjf2000/gnet/v2"), ""},
		{"the gateway may not know pixels", p("pixelwall/edge/gateway", "pixelwall/core"), "edge/gateway imports core"},
		{"a session drives the gateway", p("pixelwall/edge/session", "pixelwall/edge/gateway", "pixelwall/core", "pixelwall/wire"), ""},
		{"a session may not know a store", p("pixelwall/edge/session", "pixelwall/persist/embedded"), "edge/session imports persist/embedded"},
		{"the api may not know a store", p("pixelwall/edge/api", "pixelwall/persist/embedded"), "edge/api imports persist/embedded"},
		{"the page may know nothing", p("pixelwall/edge/web/build", "pixelwall/wire"), "edge/web/build imports wire"},
		{"the wiring may know all", p("pixelwall/edge", "pixelwall/persist/embedded", "pixelwall/edge/api", "pixelwall/tools/trace"), ""},
		{"the wiring may not know its load test", p("pixelwall/edge", "pixelwall/loadtest/client"), "edge imports loadtest/client"},
		{"the load test may know wire and traces", p("pixelwall/loadtest", "pixelwall/wire", "pixelwall/tools/trace", "pixelwall/loadtest/client"), ""},
		{"the load test may not know core", p("pixelwall/loadtest/client", "pixelwall/core"), "loadtest/client imports core"},
		{"the chaos run may know clients", p("pixelwall/tools/chaos", "pixelwall/loadtest/client", "pixelwall/tools/stack", "pixelwall/persist/redis"), ""},
		{"the chaos run may not know the edge's code", p("pixelwall/tools/chaos", "pixelwall/edge/fanout"), "tools/chaos imports edge/fanout"},
		{"no other tool may know clients", p("pixelwall/tools/audit", "pixelwall/loadtest/client"), "tools/audit imports loadtest/client"},
		{"a package without a rule is told", p("pixelwall/misc"), "pixelwall/misc has no rule"},
		{"a package whose name only begins like ours is not ours", p("pixelwall/core", "pixelwallet"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(check([]Package{tt.p}), "\n")
			if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("check = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEveryPatternIsOne(t *testing.T) {
	for _, r := range rules {
		for _, pattern := range append(append([]string{r.From}, r.May...), r.Tests...) {
			if _, err := path.Match(pattern, "x"); err != nil {
				t.Errorf("%q: %v", pattern, err)
			}
		}
		if r.Why == "" {
			t.Errorf("the rule of %s has no reason", r.From)
		}
	}
}

func TestDecodeReadsWhatGoListSays(t *testing.T) {
	got, err := decode(strings.NewReader(`{"ImportPath":"pixelwall/a","Imports":["fmt"]}` + "\n" + `{"ImportPath":"pixelwall/b"}`))
	if err != nil || len(got) != 2 || got[0].Imports[0] != "fmt" || got[1].ImportPath != "pixelwall/b" {
		t.Errorf("decode = %+v, %v", got, err)
	}
	if _, err := decode(strings.NewReader(`{"ImportPath":`)); err == nil {
		t.Error("a cut list is accepted")
	}
}

func TestTheProjectKeepsItsArrows(t *testing.T) {
	t.Chdir("../..")
	packages, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Fatalf("only %d packages", len(packages))
	}
	for _, f := range check(packages) {
		t.Error(f)
	}
}

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const module = "pixelwall"

// A Rule says what the packages that match From may import of ours. The first
// rule that matches a package holds for it. Patterns are paths below the module;
// "/..." at the end is the folder and all below it, "*" is one folder.
type Rule struct {
	From       string
	May        []string
	Tests      []string // what its tests may import in addition
	StdlibOnly bool     // nothing of anybody else's either
	Why        string
}

var rules = []Rule{
	{From: "core", StdlibOnly: true, Tests: []string{"core/coretest"},
		Why: "the rules know of nothing"},
	{From: "core/coretest", May: []string{"core"}, StdlibOnly: true,
		Why: "a contract knows the ports, not who keeps them"},
	{From: "wire/...", StdlibOnly: true,
		Why: "the bytes know neither sockets nor rules"},
	{From: "persist", May: []string{"core", "wire"}, Tests: []string{"core/coretest"},
		Why: "what all stores share"},
	{From: "persist/sim", Tests: []string{"core", "core/coretest", "persist/archive", "persist", "persist/failover", "persist/relay", "persist/snapshot"},
		Why: "a cluster without servers: tests that drive production code through the ports"},
	{From: "persist/redis", May: []string{"core", "wire", "persist"}, Tests: []string{"core/coretest", "persist/relay", "tools/stack/..."},
		Why: "adapters of ports never know each other; a full server is one that a real relay empties"},
	{From: "persist/alone", May: []string{"core", "persist", "persist/archive", "persist/embedded", "persist/redis"}, Tests: []string{"core/coretest"},
		Why: "it brings the streams of Redis to a folder, so it knows both"},
	{From: "persist/*", May: []string{"core", "wire", "persist"}, Tests: []string{"core/coretest", "tools/stack/..."},
		Why: "adapters of ports never know each other"},
	{From: "edge/gateway", May: []string{"edge/limit"}, Tests: []string{"core/coretest"},
		Why: "the gateway knows frames, not pixels"},
	{From: "edge/limit", StdlibOnly: true,
		Why: "what the clients of one network may do: addresses and counts"},
	{From: "edge/seldom", StdlibOnly: true,
		Why: "lines of a log know nothing of what they tell"},
	{From: "edge/session", May: []string{"core", "wire", "edge/gateway", "edge/fanout", "edge/limit", "edge/seldom"}, Tests: []string{"core/coretest", "tools/stack/..."},
		Why: "what a client may say: wire on one side, core on the other"},
	{From: "edge/fanout", May: []string{"core", "wire", "edge/gateway"}, Tests: []string{"core/coretest", "tools/stack/..."},
		Why: "from the log to the gateway's loops"},
	{From: "edge/api", May: []string{"core", "wire", "edge/token", "edge/limit", "edge/seldom"}, Tests: []string{"core/coretest", "tools/stack/..."},
		Why: "HTTP over the ports, whatever store is behind them; the canvas file's bytes are wire's, a guest's token is a token"},
	{From: "edge/token", May: []string{"core", "edge/limit"},
		Why: "a token names a user"},
	{From: "edge/web/...", Tests: []string{"wire", "tools/trace"},
		Why: "the page is a stranger that speaks the protocol"},
	{From: "edge", May: []string{"core", "wire", "persist/...", "edge/...", "tools/trace"}, Tests: []string{"core/coretest", "tools/stack/..."},
		Why: "the wiring knows all but its load test"},
	{From: "loadtest/...", May: []string{"wire", "tools/trace", "loadtest/..."},
		Why: "a stranger: it proves that the protocol is enough"},
	{From: "tools/trace", May: []string{"wire"}, Why: "a file format for everybody"},
	{From: "tools/stack/...", May: []string{"tools/stack/..."},
		Why: "it starts other people's servers and knows nothing of ours"},
	{From: "tools/chaos/...", May: []string{"core", "wire", "persist/...", "tools/...", "loadtest/client"},
		Why: "it breaks a cluster while real clients use it"},
	{From: "tools/...", May: []string{"core", "wire", "persist/...", "tools/..."}, Tests: []string{"core/coretest"},
		Why: "tools work on data, not inside a running edge"},
	{From: "benchmarks/...", May: []string{"core/...", "wire", "persist/...", "edge/...", "tools/..."},
		Why: "a benchmark measures what it wants, but the load test is its own program"},
}

// check returns a line for each import that no rule allows.
func check(packages []Package) (findings []string) {
	for _, p := range packages {
		from := below(p.ImportPath)
		at := slices.IndexFunc(rules, func(r Rule) bool { return match(r.From, from) })
		if at < 0 {
			findings = append(findings, fmt.Sprintf("%s has no rule in tools/depcheck", p.ImportPath))
			continue
		}
		r := rules[at]
		tests := slices.Concat(p.TestImports, p.XTestImports)
		slices.Sort(tests)
		findings = append(findings, r.judge(from, "", p.Imports, r.May)...)
		findings = append(findings, r.judge(from, " (in a test)", slices.Compact(tests), slices.Concat(r.May, r.Tests))...)
	}
	return findings
}

func (r *Rule) judge(from, where string, imports, may []string) (findings []string) {
	for _, path := range imports {
		to := below(path)
		switch {
		case !ours(path):
			if r.StdlibOnly && foreign(path) {
				findings = append(findings, fmt.Sprintf("%s imports %s%s: the standard library only (%s)", from, path, where, r.Why))
			}
		case to == from || slices.ContainsFunc(may, func(pattern string) bool { return match(pattern, to) }):
		default:
			findings = append(findings, fmt.Sprintf("%s imports %s%s: %s may import %s (%s)", from, to, where, r.From, orNothing(may), r.Why))
		}
	}
	return findings
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// foreign reports whether a path is of a module that is not the standard
// library: those begin with a domain.
func foreign(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}

func below(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

func match(pattern, p string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == folder || strings.HasPrefix(p, folder+"/")
	}
	ok, _ := path.Match(pattern, p) // the patterns are constants, and a test matches each
	return ok
}

func orNothing(may []string) string {
	if len(may) == 0 {
		return "nothing of ours"
	}
	return strings.Join(may, ", ")
}

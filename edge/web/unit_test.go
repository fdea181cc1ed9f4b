package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// unitPage opens a page with the TypeScript tests of test/, bundled by the same
// esbuild as the page, and waits until they have run.
func unitPage(t testing.TB) *page {
	t.Helper()
	browser(t)
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{"test/all.ts"}, Bundle: true, Format: api.FormatESModule, Target: api.ES2022,
		Sourcemap: api.SourceMapInline, Outdir: "out", Define: map[string]string{"localeURLs": "{}"},
	})
	if len(built.Errors) > 0 {
		t.Fatal(strings.Join(api.FormatMessages(built.Errors, api.FormatMessagesOptions{}), "\n"))
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/all.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(built.OutputFiles[0].Contents)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><link rel="icon" href="data:,"><script type="module" src="/all.js"></script>`))
	}))
	t.Cleanup(s.Close)
	p := openPage(t, s.URL, desktop)
	p.until("globalThis.results?.then(() => true)")
	return p
}

// TestUnits runs the TypeScript tests of test/ in Chromium.
func TestUnits(t *testing.T) {
	p := unitPage(t)
	results := eval[[]struct{ Name, Fault string }](p, "results")
	if len(results) < 50 {
		t.Errorf("only %d tests ran", len(results))
	}
	for _, r := range results {
		t.Run(r.Name, func(t *testing.T) {
			if r.Fault != "" {
				t.Error(r.Fault)
			}
		})
	}
}

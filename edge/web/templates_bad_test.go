package web

import (
	"context"
	"fmt"
	"image"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

func TestBadTemplatesSayWhatIsWrong(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	closed := startHost(t, false, map[string][]byte{"/t.png": pngOf(t, image.NewNRGBA(image.Rect(0, 0, 2, 2)))})
	open := startHost(t, true, map[string][]byte{
		"/large.png": make([]byte, 17<<20), "/text.png": []byte("hello"), "/list.json": []byte(`{"templates":[{"name":"x"}]}`), "/other.json": []byte(`{"a":1}`),
	})
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.trust()
	p.untilLive()
	p.openTemplates()
	file := func(body []byte) func() { return func() { p.chooseFile("t.png", body) } }
	address := func(text string) func() { return func() { p.typeAddress(text) } }
	paste := func(text string) func() {
		return func() {
			eval[bool](p, fmt.Sprintf(`(() => {
				const clipboardData = new DataTransfer();
				clipboardData.setData("text/plain", %q);
				document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
				return true;
			})()`, text))
		}
	}
	for _, tt := range []struct {
		name string
		give func()
		said string
	}{
		{"a file of 100 MB", file(make([]byte, 100<<20)), "too large: 16 MB is the most"},
		{"an image of 20 000 × 20 000", file(hugePNG(t, 20_000)), "20,000 × 20,000 pixels"},
		{"a file that is no image", file([]byte("not an image")), "no image that the browser can read"},
		{"an image that breaks off", file(hugePNG(t, 64)[:20]), "no image that the browser can read"},
		{"a file of JSON that is no list", file([]byte(`{"a": 1}`)), "no list of templates"},
		{"a host without CORS", address(closed.URL + "/t.png"), "does not let other pages read it (CORS)"},
		{"an address without https", address("http://example.com/t.png"), "begin with https://"},
		{"an address of nothing", address(open.URL + "/nothing.png"), "does not have it (status 404)"},
		{"an address of too much", address(open.URL + "/large.png"), "too large: 16 MB is the most"},
		{"an address of text", address(open.URL + "/text.png"), "no image that the browser can read"},
		{"a list of nothing", address(open.URL + "/list.json"), "no template in this list"},
		{"a list that is none", address(open.URL + "/other.json"), "no list of templates"},
		{"text in the field", address("hello"), "neither an image nor a link"},
		{"pasted text", paste("hello there"), "neither an image nor a link"},
		{"a pasted link to a script", paste("javascript:alert(1)"), "neither an image nor a link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eval[bool](p, "(document.getElementById('toasts').replaceChildren(), true)")
			tt.give()
			p.untilToast(tt.said)
			if got := p.templates(); len(got) != 0 {
				t.Errorf("the page has %+v", got)
			}
		})
	}
	if left := eval[string](p, "document.getElementById('template-url').value"); left != "hello" {
		t.Errorf("the field has %q, want what could not be added", left)
	}
	if closed.asked.Load() == 0 {
		t.Error("the host without CORS was not even asked")
	}
	// The page goes on as if nothing had been.
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.key("6")
	p.click(p.cell(60, 60))
	p.untilDrawn(60, 60, red)
}

func TestTemplatesWithoutStorageLastAsLongAsThePage(t *testing.T) {
	s := startEdge(t)
	img, _, wrong := picture(s.palette(), 12)
	for _, tt := range []struct{ name, script, said string }{
		{"forbidden", `Object.defineProperty(globalThis, "indexedDB", { get() { throw new DOMException("no", "SecurityError"); } })`, "keeps nothing here"},
		{"full", `IDBObjectStore.prototype.put = () => { throw new DOMException("no", "QuotaExceededError"); }`, "storage is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := openPage(t, "about:blank", desktop)
			p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: tt.script})
				return err
			}))
			p.do(chromedp.Navigate(s.url + "/?debug#300,300,16"))
			p.untilLive()
			p.chooseFile("t.png", pngOf(t, img))
			p.untilToast(tt.said)
			if got := p.untilCounted(1)[0]; got.Wrong != wrong {
				t.Errorf("the page counts %+v, want %d wrong", got, wrong)
			}
		})
	}
}

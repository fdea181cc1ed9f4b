package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Servers and browsers that are not as they should be, and what the page may ask.

func TestAServerOfAnotherProtocolIsSaidAndAReloadOffered(t *testing.T) {
	s := startEdge(t)
	at := closingProxy(t, s.url, 4002)
	p := openPage(t, at+"/?debug#60,60,20", desktop)
	p.until("document.documentElement.dataset.link === 'outdated'")
	p.until("!document.getElementById('banner').hidden && document.querySelector('#banner span').textContent === 'This page is too old for the server.'")
	p.untilDrawn(60, 60, white) // the canvas is there by HTTP
	p.click(p.cell(60, 60))
	p.until("document.getElementById('toasts').textContent.includes('too old for the server. Reload')")
	eval[bool](p, "(globalThis.old = true)")
	p.click(p.at("#banner button"))
	p.until("globalThis.old === undefined && globalThis.pixelwall && document.documentElement.dataset.link === 'outdated'")
	axe, dark := readAxe(t), phone
	dark.dark = true
	p.audit(axe, "a server of another protocol")
	other := openPage(t, at+"/?debug#60,60,20", dark)
	other.until("document.documentElement.dataset.link === 'outdated' && !document.getElementById('banner').hidden")
	other.audit(axe, "a server of another protocol, in the dark")
}

// closingProxy answers the hello of each WebSocket with a close of that code.
func closingProxy(t *testing.T, target string, code ws.StatusCode) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			proxy.ServeHTTP(w, r)
			return
		}
		conn, _, _, err := ws.HTTPUpgrader{Protocol: func(string) bool { return true }}.Upgrade(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		if _, _, err := wsutil.ReadClientData(conn); err == nil {
			_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
			_, _ = io.Copy(io.Discard, conn) // until it has read that
		}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// A browser may keep nothing for a page.
func TestWithoutAnyStorageThePagePaints(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, "about:blank", desktop)
	const forbid = `for (const name of ["localStorage", "sessionStorage", "indexedDB", "caches"])
		Object.defineProperty(globalThis, name, { get() { throw new DOMException("no", "SecurityError"); } });`
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: forbid})
		return err
	}))
	p.do(chromedp.Navigate(s.url + "/?debug#60,60,20"))
	p.untilLive()
	p.key("6")
	p.click(p.cell(60, 61))
	p.untilDrawn(60, 61, red)
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.until("pixelwall.state().hopes === 0")
}

// Nobody but the server hears of a visit.
func TestNoOtherHostIsAsked(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	ctx, stop := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext())
	p := newPage(t, ctx, stop, "about:blank", desktop)
	var mu sync.Mutex
	asked := map[string]bool{}
	if err := chromedp.Listen(ctx, func(ev any) {
		address := ""
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			address = ev.Request.URL
		case *network.EventWebSocketCreated:
			address = ev.URL
		}
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			mu.Lock()
			defer mu.Unlock()
			asked[u.Host] = true
		}
	}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
		return err
	}))
	p.do(chromedp.Navigate(s.url + "/?debug#60,60,20"))
	p.untilLive()
	p.key("6")
	p.click(p.cell(60, 61))
	p.key("i")
	p.until("document.querySelector('#inspector .history .who')")
	for _, id := range []string{"templates-open", "settings-open"} {
		p.click(p.at("#" + id))
	}
	mu.Lock()
	defer mu.Unlock()
	if host := strings.TrimPrefix(s.url, "http://"); !asked[host] || len(asked) != 1 {
		t.Errorf("the page asked %v, want %s alone", asked, host)
	}
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"pixelwall/wire"
)

const (
	canvasBytesMax = 32 << 20
	jsonBytesMax   = 1 << 20
	requestMax     = 30 * time.Second
)

// A Server is the HTTP side of what a client needs. It may be used concurrently.
type Server struct {
	WS      string // ws://host:port/ws
	base    *url.URL
	http    *http.Client
	fetches atomic.Int64
}

// NewServer returns the server behind a WebSocket address.
func NewServer(address string) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("address %q: want ws://host:port/ws", address)
	}
	base := &url.URL{Scheme: strings.Replace(u.Scheme, "ws", "http", 1), Host: u.Host}
	transport := &http.Transport{MaxIdleConnsPerHost: 8, MaxConnsPerHost: 8, Proxy: http.ProxyFromEnvironment}
	return &Server{WS: address, base: base, http: &http.Client{Transport: transport, Timeout: requestMax}}, nil
}

// Fetches returns how often a canvas was fetched.
func (s *Server) Fetches() int64 { return s.fetches.Load() }

// do makes one request and returns the body of an answer with the wanted status.
func (s *Server) do(ctx context.Context, method, ref string, status int, bytesMax int64) ([]byte, error) {
	u, err := s.base.Parse(ref)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "pixelwall-loadtest")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bytesMax))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != status {
		return nil, fmt.Errorf("%s %s: %s: %.200s", method, u.Path, resp.Status, body)
	}
	return body, nil
}

// Session makes a guest and returns its token.
func (s *Server) Session(ctx context.Context) (token string, err error) {
	body, err := s.do(ctx, http.MethodPost, "/api/v1/session", http.StatusCreated, jsonBytesMax)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("session: %w", err)
	}
	return answer.Token, nil
}

// Canvas fetches the newest canvas.
func (s *Server) Canvas(ctx context.Context) (*Canvas, error) {
	s.fetches.Add(1)
	body, err := s.do(ctx, http.MethodGet, "/api/v1/canvas", http.StatusOK, canvasBytesMax)
	if err != nil {
		return nil, err
	}
	f, err := wire.ParseCanvasFile(body)
	if err != nil {
		return nil, fmt.Errorf("canvas: %w", err)
	}
	return newCanvas(&f), nil
}

// A PastEvent is one item of a pixel's history.
type PastEvent struct {
	Seq   uint64 `json:"seq"`
	Color uint8  `json:"color"`
	User  struct {
		ID string `json:"id"`
	} `json:"user"`
}

// Pixel returns the events of a pixel with a seq above after, newest first.
func (s *Server) Pixel(ctx context.Context, x, y int, after uint64) (all []PastEvent, err error) {
	before := ""
	for {
		ref := fmt.Sprintf("/api/v1/pixel?x=%d&y=%d&limit=100%s", x, y, before)
		body, err := s.do(ctx, http.MethodGet, ref, http.StatusOK, jsonBytesMax)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []PastEvent `json:"items"`
			Next  *uint64     `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("pixel %d,%d: %w", x, y, err)
		}
		for _, e := range page.Items {
			if e.Seq <= after {
				return all, nil
			}
			all = append(all, e)
		}
		if page.Next == nil {
			return all, nil
		}
		before = fmt.Sprintf("&before=%d", *page.Next)
	}
}

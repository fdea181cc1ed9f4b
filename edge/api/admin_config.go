package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pixelwall/core"
)

const configureTimeout = 10 * time.Second

// A config is the configuration as an operator sees it.
type config struct {
	Version    uint32      `json:"version"`
	Width      int         `json:"width"`
	Height     int         `json:"height"`
	Bits       uint8       `json:"bits"`
	Blank      uint8       `json:"blank"`
	Colors     []infoColor `json:"colors"`
	CooldownMS int64       `json:"cooldown_ms"`
	Max        int         `json:"max"`
}

// A configPatch names what shall change; what it leaves out stays.
type configPatch struct {
	Version      *uint32    `json:"version"` // refuse the change unless this is the present one
	Width        *int       `json:"width"`
	Height       *int       `json:"height"`
	CooldownMS   *int64     `json:"cooldown_ms"`
	Max          *int       `json:"max"`
	AppendColors []newColor `json:"append_colors"`
}

type newColor struct {
	Name string `json:"name"`
	Hex  string `json:"hex"`
}

func configOf(c *core.Config) config {
	return config{c.Version, c.Width, c.Height, c.Bits, c.Blank, colorsOf(c.Palette), c.CooldownMS, c.BurstMax}
}

func (a *API) getConfig(r *request) error {
	return r.json(configOf(a.o.Canvas.Config()), noStore)
}

// patchConfig stores the next configuration. It is in force at a place of each
// shard's order, which may be a tick after the answer.
func (a *API) patchConfig(r *request) error {
	if a.o.Configure == nil {
		return core.NewError(core.CodeUnavailable, "this server cannot change the configuration")
	}
	if t, _, _ := strings.Cut(string(r.Request.Header.ContentType()), ";"); strings.TrimSpace(t) != "application/json" {
		// What a page of another origin can send without asking is not this type.
		return withStatus(http.StatusUnsupportedMediaType, core.NewError(core.CodeInvalid, "the body must be application/json"))
	}
	var p configPatch
	d := json.NewDecoder(bytes.NewReader(r.PostBody()))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return core.NewError(core.CodeInvalid, "the body is not a change of the configuration: "+clip(strings.TrimPrefix(err.Error(), "json: ")))
	}
	if d.More() {
		return core.NewError(core.CodeInvalid, "something follows the change of the configuration")
	}
	next, err := p.apply(a.o.Canvas.Config())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), configureTimeout)
	defer cancel()
	if err := a.o.Configure(ctx, next); err != nil {
		return err
	}
	a.o.Log.Info("the configuration was changed", "version", next.Version, "width", next.Width, "height", next.Height,
		"colors", len(next.Palette), "cooldown_ms", next.CooldownMS, "max", next.BurstMax, "by", peerOf(r.RequestCtx))
	return r.json(configOf(&next), noStore)
}

// apply returns the configuration that follows old.
func (p *configPatch) apply(old *core.Config) (core.Config, error) {
	if p.Version != nil && *p.Version != old.Version {
		return *old, core.NewError(core.CodeMismatch, fmt.Sprintf("the present version is %d, not %d", old.Version, *p.Version))
	}
	next := *old
	next.Version++
	next.Palette = old.Palette[:len(old.Palette):len(old.Palette)]
	set(&next.Width, p.Width)
	set(&next.Height, p.Height)
	set(&next.CooldownMS, p.CooldownMS)
	set(&next.BurstMax, p.Max)
	for i, c := range p.AppendColors {
		rgb, err := strconv.ParseUint(strings.TrimPrefix(c.Hex, "#"), 16, 32)
		if err != nil || len(c.Hex) != 7 || c.Hex[0] != '#' {
			return *old, core.NewError(core.CodeInvalid, fmt.Sprintf("append_colors[%d].hex is not #rrggbb", i))
		}
		next.Palette = append(next.Palette, core.Color{Name: c.Name, RGB: uint32(rgb)})
	}
	return next, next.Follows(old)
}

func set[T any](field *T, v *T) {
	if v != nil {
		*field = *v
	}
}

package api

import (
	"pixelwall/core"
	"pixelwall/edge/token"
)

// An info is what a client must know to draw and to place.
type info struct {
	Canvas     string      `json:"canvas"`
	Width      int         `json:"width"`
	Height     int         `json:"height"`
	Shard      int         `json:"shard"`
	Bits       uint8       `json:"bits"`
	Colors     []infoColor `json:"colors"`
	CooldownMS int64       `json:"cooldown_ms"`
	Max        int         `json:"max"`
	TickMS     int64       `json:"tick_ms"`
	CanvasURL  string      `json:"canvas_url"`
}

type infoColor struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Hex  string `json:"hex"`
}

func (a *API) getInfo(r *request) error {
	c := a.o.Canvas.Config()
	return r.json(info{
		Canvas: token.FormatID(a.o.CanvasID),
		Width:  c.Width, Height: c.Height, Shard: core.ShardSide, Bits: c.Bits,
		Colors:     colorsOf(c.Palette),
		CooldownMS: c.CooldownMS, Max: c.BurstMax, TickMS: a.o.TickMS(),
		CanvasURL: a.CanvasURL(),
	}, brief)
}

func colorsOf(p core.Palette) []infoColor {
	colors := make([]infoColor, len(p))
	for i, c := range p {
		colors[i] = infoColor{i, c.Name, c.Hex()}
	}
	return colors
}

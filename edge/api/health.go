package api

import (
	"pixelwall/core"
)

// A Status sums up how a server does.
type Status string

const (
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded" // a dependency is down, the server does its work
	StatusReadOnly Status = "read_only"
	StatusDraining Status = "draining"
)

// A Health is how a server does.
type Health struct {
	Status       Status            `json:"status"`
	Connections  int               `json:"connections"`
	Dependencies map[string]string `json:"dependencies"` // by name: "ok", or a word on what is wrong
}

func (a *API) getHealth(r *request) error {
	h := a.o.Health()
	if h.Dependencies == nil {
		h.Dependencies = map[string]string{}
	}
	return r.json(h, noStore)
}

// getLive says that the process answers, whatever it depends on.
func (a *API) getLive(r *request) error { return r.text("ok\n") }

// getReady says whether a load balancer should send people here. A server that
// takes no placements still shows the canvas, and in a cluster all of them are so
// at once: taking them out of service would turn a pause into an outage.
func (a *API) getReady(r *request) error {
	if a.o.Health().Status == StatusDraining {
		return core.NewError(core.CodeDraining, "this server goes away")
	}
	return r.text("ok\n")
}

func (r *request) text(body string) error {
	r.Response.Header.Set("Cache-Control", noStore)
	r.SetContentType("text/plain; charset=utf-8")
	r.SetBodyString(body)
	return nil
}

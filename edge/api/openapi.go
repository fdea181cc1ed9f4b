package api

import (
	_ "embed"
)

// openAPI describes every route of the public listener.
//
//go:embed openapi.json
var openAPI []byte

func (a *API) getOpenAPI(r *request) error {
	c := negotiate(string(r.Request.Header.Peek("Accept-Encoding")))
	body, err := a.spec.in(c, a.work)
	if err != nil {
		return err
	}
	if c != identity {
		r.Response.Header.Set("Content-Encoding", c.String())
	}
	r.Response.Header.Set("Vary", "Accept-Encoding")
	r.Response.Header.Set("Cache-Control", "public, max-age=300")
	r.SetContentType("application/json")
	r.Response.SetBodyRaw(body)
	return nil
}

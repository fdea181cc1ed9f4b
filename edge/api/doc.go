// Package api answers everything on the public port that is not a WebSocket:
// the canvas and its pictures, history, sessions, health, metrics and the page.
//
//	gateway -> ServeConn -> strict head check -> route -> handler -> body | problem
//	                 Canvas.Snapshot -> versions -> blob (each encoding made once)
//	gateway <- Upgrade   <- a WebSocket handshake on a connection that served HTTP before
//
// What comes in are connections and the small interfaces in Options. What goes
// out are HTTP answers, every one of them described by openapi.json. Nothing here
// places a pixel, and no canvas is read but through a Snapshot: what was given
// out under a version name never changes.
//
// fasthttp recycles a RequestCtx with all that it points to when the handler
// returns, so its types stop at this package.
package api

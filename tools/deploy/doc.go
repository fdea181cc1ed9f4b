// Package deploy holds how Pixelwall is run for others: configurations of nginx,
// HAProxy and Caddy that add TLS, and a systemd unit.
//
//	visitor -> proxy (nginx.conf, haproxy.cfg, Caddyfile) -> edge (pixelwall.service)
//
// Its tests run each of these files as it is, but for names, ports and paths,
// with the real proxy before the real edge. There is no code here beside tests.
package deploy

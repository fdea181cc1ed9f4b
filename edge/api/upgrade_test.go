package api

const handshake = "GET /ws?page=1 HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pixelwall.v1\r\n\r\n"

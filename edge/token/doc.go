// Package token names guests: it makes, signs and checks what a client shows in
// hello, and budgets how many guests an address may make.
//
//	POST /api/v1/session -> Issuer -> Guest{Token} ... hello{token} -> Keys.Verify -> uid
//
// What comes in are addresses, times and bytes of chance. What goes out are
// tokens and errors of core. No token is ever part of an error or a log line,
// nothing is stored per guest, and nothing here reads the clock.
package token

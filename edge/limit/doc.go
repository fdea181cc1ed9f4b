// Package limit budgets what the clients of one network may do.
//
//	Network(addr) -> an IPv4 address, or a /64, and its Site -> Budget.Take
//
// What comes in are addresses, counts and times; what goes out is how long to
// wait. Nothing here reads the clock, and the memory is bounded.
package limit

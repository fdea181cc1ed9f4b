// Package core holds the rules of the canvas and the ports through which the
// rest of the program keeps its promises.
//
//	placement -> Cooldowns -> Sequencer -> Record -> Log.Tail -> Follower -> Board
//
// What comes in are plain values, and time is one of them. What goes out are
// plain values and errors with a stable Code. Nothing here reads the clock,
// draws a random number, starts a goroutine or touches a file or a socket.
package core

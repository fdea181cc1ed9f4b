// Package servers runs the real servers that a cluster of edges stands on:
// Redis, Apache Kafka and Apache Cassandra, on loopback addresses of this
// machine, for tests, benchmarks and a first look.
//
// In come Options; out goes a Stack of Servers, each of which has answered a
// client before it is handed out, and can be killed, paused and restarted on the
// same port with the same data. Servers listen on loopback only and hold no
// secret. Nothing of ours is imported here, and no server keeps data that
// anybody would miss: Down deletes it.
package servers

// Package coretest holds one contract suite for each port of core, and Memory,
// the simplest store that keeps all of them.
//
//	TestSequencer TestLog TestHistory TestCooldowns TestSnapshots <- open <- a store
//
// What comes in is a function that opens a fresh store for a Setup; what goes
// out are the test's failures. A store that is only one port (a Kafka log, a CQL
// history) is opened with Memory as its sequencer and whatever carries the
// records over. The suites never look inside a store, never wait for a time to
// pass, and ask only for what core's ports promise. That each case can fail is
// proven by running the suites against ports that are broken on purpose.
package coretest

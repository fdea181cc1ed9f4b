package servers

import (
	"context"
	"path/filepath"
)

// A jvm starts programs of one release's jars.
type jvm struct {
	java, lib, heap string
}

// niceness keeps a busy JVM from starving the edges, which would look like a
// fault of Redis.
const niceness = "10"

func newJVM(ctx context.Context, o *Options, kind Kind, heap string) (v jvm, err error) {
	installing.Lock()
	defer installing.Unlock()
	v.heap = heap
	if v.java, err = javaProgram(ctx, o); err != nil {
		return v, err
	}
	v.lib, err = jars(ctx, o, kind)
	return v, err
}

// command returns the command line that runs a main class.
func (v jvm) command(options []string, class string, args ...string) []string {
	line := []string{"nice", "-n", niceness, v.java, "-Xms" + v.heap, "-Xmx" + v.heap, "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"}
	line = append(line, options...)
	line = append(line, "-cp", filepath.Join(v.lib, "*"), class)
	return append(line, args...)
}

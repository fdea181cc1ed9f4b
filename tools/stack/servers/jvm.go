package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// niceness keeps a busy JVM from starving the edges, which would look like a
// fault of Redis.
const niceness = "10"

// java returns the beginning of a command that runs a JVM of a small heap with
// all jars of lib.
func java(lib, heap string, more ...string) []string {
	args := []string{"nice", "-n", niceness, "java", "-Xms" + heap, "-Xmx" + heap, "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"}
	args = append(args, more...)
	return append(args, "-cp", filepath.Join(lib, "*"))
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// wantJava checks that there is a Java which Kafka and Cassandra both accept.
func wantJava(title string) error {
	out, err := exec.Command("java", "-version").CombinedOutput()
	if err != nil {
		return &MissingError{What: title, Why: "Debian's package openjdk-17-jdk-headless is not installed"}
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("java -version says nothing about its version: %q", out)
	}
	if major, _ := strconv.Atoi(string(m[1])); major < 17 {
		return &MissingError{What: title, Why: fmt.Sprintf("java is version %s, and 17 is needed", m[1])}
	}
	return nil
}

// prepareJVM checks Java and the jars before anything is started.
func (o *Options) makeDirs(servers []*Server) error {
	for _, s := range servers {
		if err := os.MkdirAll(filepath.Join(s.Dir, "data"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

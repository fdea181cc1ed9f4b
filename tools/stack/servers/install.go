package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// Install installs and fetches all that Up may need, so that a later Up needs no
// registry. It goes on after a failure, and tells all of them.
func Install(ctx context.Context, o Options) error {
	o.Install = true
	if err := o.setDefaults(); err != nil {
		return err
	}
	_, redisErr := redisProgram(ctx, &o)
	_, kafkaErr := newJVM(ctx, &o, Kafka, kafkaHeap)
	_, cassandraErr := newJVM(ctx, &o, Cassandra, cassandraHeap)
	return errors.Join(redisErr, kafkaErr, cassandraErr)
}

// installing is held by who looks for a program and installs it where it is
// missing: servers are started side by side, and apt-get bears no second one.
var installing sync.Mutex

func redisProgram(ctx context.Context, o *Options) (string, error) {
	installing.Lock()
	defer installing.Unlock()
	return debian(ctx, o, "Redis", "redis-server", "redis-server")
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// javaProgram returns a Java 17: Cassandra 5.0 starts on no later one, and Kafka
// 4 on no earlier one.
func javaProgram(ctx context.Context, o *Options) (string, error) {
	if path := java17(ctx); path != "" {
		return path, nil
	}
	if err := aptInstall(ctx, o, "Java 17", "openjdk-17-jdk-headless"); err != nil {
		return "", err
	}
	if path := java17(ctx); path != "" {
		return path, nil
	}
	return "", &MissingError{What: "Java 17", Why: "Debian's openjdk-17-jdk-headless brought none"}
}

func java17(ctx context.Context) string {
	candidates, _ := filepath.Glob("/usr/lib/jvm/java-17-*/bin/java")
	for _, path := range append([]string{"java"}, candidates...) {
		out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
		if m := javaVersion.FindSubmatch(out); err == nil && m != nil && string(m[1]) == "17" {
			return path
		}
	}
	return ""
}

// debian returns the path of a program, and installs its package where it is
// missing.
func debian(ctx context.Context, o *Options, title, program, pkg string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	if err := aptInstall(ctx, o, title, pkg); err != nil {
		return "", err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &MissingError{What: title, Why: fmt.Sprintf("Debian's %s brought no %s", pkg, program)}
	}
	return path, nil
}

func aptInstall(ctx context.Context, o *Options, title, pkg string) error {
	if !o.Install {
		return &MissingError{What: title, Why: "Debian's " + pkg + " is not installed; make deps does it"}
	}
	if err := ctx.Err(); err != nil {
		return err // what was looked for may be there after all
	}
	o.say("installing Debian's " + pkg)
	// An old list names packages that are gone; without a new one the install says what is wrong.
	asRoot(ctx, "apt-get", "update", "-qq").Run()
	out, err := asRoot(ctx, "apt-get", "install", "-y", "-qq", "--no-install-recommends", pkg).CombinedOutput()
	if err != nil {
		return &MissingError{What: title, Why: fmt.Sprintf("apt-get install %s: %s", pkg, firstLine(out, err))}
	}
	return nil
}

func asRoot(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, args...)
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// firstLine returns what a command said first that is worth a line to a person.
func firstLine(out []byte, err error) string {
	for line := range bytes.Lines(out) {
		if text := strings.TrimSpace(string(line)); text != "" {
			return text[:min(len(text), 300)]
		}
	}
	return err.Error()
}

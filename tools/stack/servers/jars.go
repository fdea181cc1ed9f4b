package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pinned has for each server a pom.xml with its version, and the SHA-256 of every
// file that Maven copies for it, as sha256sum writes them.
//
//go:embed kafka cassandra
var pinned embed.FS

// A release is a version of a server as its project publishes it.
type release struct {
	folder  string // in pinned
	title   string
	version string
	pom     []byte
	sums    map[string]string // file name to SHA-256
}

func readRelease(kind Kind) (r release, err error) {
	r = release{folder: string(kind), title: titles[kind]}
	if r.pom, err = pinned.ReadFile(r.folder + "/pom.xml"); err != nil {
		return r, err
	}
	sums, err := pinned.ReadFile(r.folder + "/sha256")
	if err != nil {
		return r, err
	}
	if r.sums, err = parseSums(string(sums)); err != nil {
		return r, err
	}
	var project struct {
		Version []string `xml:"dependencies>dependency>version"`
	}
	if err := xml.Unmarshal(r.pom, &project); err != nil {
		return r, err
	}
	if len(project.Version) == 0 {
		return r, fmt.Errorf("%s/pom.xml names no version", r.folder)
	}
	r.version = project.Version[0]
	return r, nil
}

func parseSums(text string) (map[string]string, error) {
	sums := map[string]string{}
	for line := range strings.Lines(text) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || len(sum) != 2*sha256.Size || name != filepath.Base(name) {
			return nil, fmt.Errorf("%q is not a line of sha256sum", line)
		}
		sums[name] = sum
	}
	return sums, nil
}

// jars returns the folder with the jars of a server. They are fetched once; each
// use compares all of them with the pinned sums, which takes 0.2 s.
func jars(ctx context.Context, o *Options, kind Kind) (string, error) {
	r, err := readRelease(kind)
	if err != nil {
		return "", err
	}
	target := filepath.Join(o.Cache, r.folder+"-"+r.version)
	if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
		if err := r.fetch(ctx, o, target); err != nil {
			return "", err
		}
	}
	return target, r.verify(target)
}

// fetch lets Maven copy the jars into a folder beside the target, which gets its
// name only when all is right.
func (r *release) fetch(ctx context.Context, o *Options, target string) error {
	if !o.Install {
		return &MissingError{What: r.title, Why: target + " is not there; make deps fetches it"}
	}
	mvn, err := debian(ctx, o, "Maven", "mvn", "maven")
	if err != nil {
		return err
	}
	o.say(fmt.Sprintf("fetching %s %s from Maven Central", r.title, r.version))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(target), r.folder+"-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pom, lib := filepath.Join(work, "pom.xml"), filepath.Join(work, "lib")
	if err := os.WriteFile(pom, r.pom, 0o644); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+lib).CombinedOutput()
	if err != nil {
		return &MissingError{What: r.title + " " + r.version, Why: "Maven Central gave no jars: " + mavenError(out)}
	}
	if err := r.verify(lib); err != nil {
		return err
	}
	if err := os.Rename(lib, target); err != nil && r.verify(target) != nil { // nil: another process was faster
		return err
	}
	return nil
}

// mavenError returns the first line that Maven calls an error, without the pages
// that follow it.
func mavenError(out []byte) string {
	for line := range bytes.Lines(out) {
		if _, text, ok := strings.Cut(string(line), "ERROR"); ok {
			text = strings.TrimLeft(strings.TrimSpace(text), "]\x1b[m01;3 ")
			text, _, _ = strings.Cut(text, " -> [")
			return text[:min(len(text), 300)]
		}
	}
	return "it said nothing"
}

// verify reports the first file of a folder that is not what was pinned. A file
// that was not pinned would be loaded just the same.
func (r *release) verify(lib string) error {
	entries, err := os.ReadDir(lib)
	if err != nil {
		return err
	}
	for _, e := range entries {
		want, ok := r.sums[e.Name()]
		if !ok {
			return fmt.Errorf("%s has %s, which does not belong to %s %s; delete the folder to fetch it again", lib, e.Name(), r.title, r.version)
		}
		got, err := sumOf(filepath.Join(lib, e.Name()))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s in %s has the SHA-256 %s instead of %s; delete the folder to fetch it again", e.Name(), lib, got, want)
		}
	}
	if len(entries) != len(r.sums) {
		return fmt.Errorf("%s has %d files instead of %d; delete the folder to fetch it again", lib, len(entries), len(r.sums))
	}
	return nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

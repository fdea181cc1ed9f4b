// Command edge runs Pixelwall: it serves the page, the WebSocket and the REST
// API of one canvas, and keeps the canvas in a folder, or is one of many edges and
// workers of a canvas in Redis, Kafka and CQL.
//
//	go run ./edge                   everything on :8080, canvas in ./pixelwall-data
//	go run ./edge --redis …         one process of a cluster, in the roles that --roles names
//	go run ./edge config print      what the flags, environment and file come to
//
// main reads the configuration, run.go wires the parts and waits for the end.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Config
	File    configFile       `name:"config" help:"JSON file of flags: {\"listen\": \":80\", …}" placeholder:"FILE"`
	Version kong.VersionFlag `help:"print the version and exit" env:"-"`

	Run       struct{} `cmd:"" default:"1" help:"run the server"`
	ConfigCmd struct {
		Print struct{} `cmd:"" help:"print the configuration as JSON, without secrets"`
		Check struct{} `cmd:"" help:"report every mistake in the configuration, and exit 1 if there is one"`
	} `cmd:"" name:"config" help:"look at the configuration"`
}

func main() {
	if err := realMain(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "edge: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nedge: "))
		os.Exit(1)
	}
}

func realMain(args []string, out io.Writer) error {
	var c cli
	parser, err := kong.New(&c, kong.Name("edge"), kong.Description("Pixelwall: one canvas that everybody paints together."),
		kong.DefaultEnvars("PIXELWALL"), kong.Vars{"version": version()}, kong.Writers(out, os.Stderr))
	if err != nil {
		return err
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w; see edge --help", err)
	}
	s, err := c.Config.read()
	if err := errors.Join(checkEnvironment(parser.Model, os.Environ()), err); err != nil {
		return err
	}
	switch ctx.Command() {
	case "config check":
		if _, err := s.newCanvas(); err != nil {
			return err
		}
		fmt.Fprintln(out, "the configuration is good")
		return nil
	case "config print":
		return printConfig(out, c.Config)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	go func() {
		<-stop.Done()
		cancel() // a second signal ends the process at once
	}()
	return run(stop, s, out, newLogger(s.Config))
}

// notOurs are variables whose names begin like ours: those of our tests and of the
// Python client, and those that Kubernetes sets for a service called "pixelwall…".
var notOurs = regexp.MustCompile(`^PIXELWALL_((TEST|CHAOS|SOAK|AUTOBAHN)(_.*)?|TESTDATA|TOKEN|(.*_)?SERVICE_(HOST|PORT)(_.*)?|(.*_)?PORT(_\d+_(TCP|UDP)(_.*)?)?)$`)

// checkEnvironment reports variables of ours that no flag reads: a misspelt one must
// not pass for a default. It tells no values, which may be secrets.
func checkEnvironment(app *kong.Application, environ []string) error {
	known := map[string]bool{}
	for _, group := range app.AllFlags(false) {
		for _, flag := range group {
			for _, name := range flag.Envs {
				known[name] = true
			}
		}
	}
	var errs []error
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PIXELWALL_") && !known[name] && !notOurs.MatchString(name) {
			errs = append(errs, fmt.Errorf("%s in the environment: there is no flag of this name", name))
		}
	}
	return errors.Join(errs...)
}

// A flagFile is what --config names: values by the names of flags, as config print
// writes them. Kong lets a file win over the environment; here it is the reverse,
// so that one file serves a fleet.
type flagFile map[string]any

// A configFile is the name of a flagFile.
type configFile string

// BeforeResolve reads the file. Kong's own flag for this would not say in its errors
// which file they are about.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	name := string(ctx.FlagValue(trace.Flag).(configFile))
	var f flagFile
	text, err := os.ReadFile(kong.ExpandPath(name))
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return fmt.Errorf("--config %s: %w", name, err)
	}
	ctx.AddResolver(&f)
	return nil
}

// Validate reports names that no flag has: a misspelt one must not pass for a default.
func (f *flagFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, group := range app.AllFlags(false) {
		for _, flag := range group {
			known[flag.Name] = true
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(*f)) {
		if !known[name] {
			errs = append(errs, fmt.Errorf("--config: there is no flag %q", name))
		}
	}
	return errors.Join(errs...)
}

func (f *flagFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return (*f)[flag.Name], nil
}

// printConfig prints c under the names of its flags, so that what it prints can
// be given to --config.
func printConfig(out io.Writer, c Config) error {
	values := map[string]any{}
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		kind := f.Type.Kind()
		notGiven := v.Field(i).IsZero() && (kind == reflect.String || kind == reflect.Slice)
		if f.Tag.Get("json") == "-" || notGiven {
			continue
		}
		value := v.Field(i).Interface()
		if s, ok := value.(fmt.Stringer); ok {
			value = s.String()
		}
		values[flagName(f.Name)] = value
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(values)
}

// flagName is the name that kong gives to a field: AdminListen is admin-listen,
// CanvasURL is canvas-url.
func flagName(field string) string {
	var b strings.Builder
	for i, r := range field {
		upper := r >= 'A' && r <= 'Z'
		startsWord := upper && i > 0 && (field[i-1] < 'A' || field[i-1] > 'Z')
		if startsWord {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func newLogger(c Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong allows the four names only
	opt := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opt))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opt))
}

// build may be set by the linker: -ldflags "-X main.build=v1.2.3".
var build string

// version is what init tells the page: when it changes, a page offers a reload.
func version() string {
	if build != "" {
		return build
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+"
		}
	}
	if rev == "" {
		return "devel"
	}
	return rev + dirty
}

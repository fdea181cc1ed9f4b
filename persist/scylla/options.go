package scylla

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"pixelwall/core"
)

// InFlightMax is the largest number of statements that a Store has on their way.
const InFlightMax = 256

// Options say where the database is and how it is used. Only Hosts must be set.
type Options struct {
	Hosts              []string // host or host:port; all nodes listen on the port of the first
	Keyspace           string   // pixelwall when empty
	Username, Password string
	Replication        int // of a keyspace that is made; 3 when 0 and there are 3 nodes, else 1

	Canvas  uint64        // what the keyspace must hold; 0 takes what is there
	Migrate bool          // make or raise the tables when connecting; else Migrate must have been called
	Timeout time.Duration // how long the database may take to answer; 2 s when 0

	InFlight  int           // statements on their way at once; InFlightMax when 0
	PollEvery time.Duration // how often Tail looks at the end of the log; 1 s when 0
	Logger    *slog.Logger  // nothing is logged when nil
}

// keyspaceName is what needs no quotes in CQL, since a keyspace cannot be bound.
var keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

func (o *Options) ensureDefaults() {
	setDefault(&o.Keyspace, "pixelwall", o.Keyspace == "")
	setDefault(&o.Timeout, 2*time.Second, o.Timeout == 0)
	setDefault(&o.InFlight, InFlightMax, o.InFlight == 0)
	setDefault(&o.PollEvery, time.Second, o.PollEvery == 0)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler), o.Logger == nil)
}

func setDefault[T any](field *T, value T, unset bool) {
	if unset {
		*field = value
	}
}

func (o *Options) validate() error {
	var errs []error
	if len(o.Hosts) == 0 {
		errs = append(errs, errors.New("no host of the CQL database"))
	}
	if !keyspaceName.MatchString(o.Keyspace) {
		errs = append(errs, fmt.Errorf("keyspace %q: must be a small letter and up to 47 small letters, digits and underscores", o.Keyspace))
	}
	if o.Replication < 0 {
		errs = append(errs, fmt.Errorf("replication %d: must be at least 1", o.Replication))
	}
	if o.InFlight < 1 || o.InFlight > InFlightMax {
		errs = append(errs, fmt.Errorf("%d statements in flight: must be 1 to %d", o.InFlight, InFlightMax))
	}
	if o.Timeout < 0 || o.PollEvery < 0 {
		errs = append(errs, errors.New("a time is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return core.NewError(core.CodeInvalid, err.Error())
	}
	return nil
}

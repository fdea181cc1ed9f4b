package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
)

// Options say which topic and how it is used. Only Brokers must be set.
type Options struct {
	Brokers []string      // host:port, some of them are enough
	Topic   string        // pixel_events when empty
	Canvas  func() uint64 // id of the canvas that is followed, 0 while unknown; any canvas when nil

	// For Ensure alone.
	Partitions  int           // highest shard id + 1; at least 16 are made
	Replication int           // 3 where there are 3 brokers, else 1, when 0
	MinISR      int           // 2 with 3 replicas or more, else 1, when 0
	Retention   time.Duration // 7 days when 0, for ever when negative

	FetchMaxWait time.Duration // how long a broker may hold back an empty answer; 50 ms when 0
	Logger       *slog.Logger  // nothing is logged when nil

	said *sync.Map // what the log was told of the client library, see logger
}

const (
	defaultTopic  = "pixel_events"
	partitionsMin = 16
)

func (o *Options) ensureDefaults() {
	if o.Topic == "" {
		o.Topic = defaultTopic
	}
	if o.Canvas == nil {
		o.Canvas = func() uint64 { return 0 }
	}
	o.Partitions = max(o.Partitions, partitionsMin)
	if o.Retention == 0 {
		o.Retention = 7 * 24 * time.Hour
	}
	if o.FetchMaxWait == 0 {
		o.FetchMaxWait = 50 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.said = new(sync.Map)
}

func (o *Options) validate() error {
	var errs []error
	if len(o.Brokers) == 0 {
		errs = append(errs, errors.New("no broker is named"))
	}
	for _, b := range o.Brokers {
		_, port, err := net.SplitHostPort(b)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("broker %q is not host:port", b))
		}
	}
	if o.Partitions > core.ShardsMax {
		errs = append(errs, errors.New("more partitions than a canvas has shards"))
	}
	if o.Replication < 0 || o.MinISR < 0 || o.FetchMaxWait < time.Millisecond {
		errs = append(errs, errors.New("a number of replicas or a time is too small"))
	}
	if o.Replication > 0 && o.MinISR > o.Replication {
		errs = append(errs, errors.New("more replicas must be in sync than there are"))
	}
	if err := errors.Join(errs...); err != nil {
		return &core.Error{Code: core.CodeInvalid, Msg: "Kafka options", Err: err}
	}
	return nil
}

// client makes a client with what all of them share.
func (o *Options) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID("pixelwall"),
		kgo.WithLogger(logger{o.Logger, o.said}),
		kgo.DialTimeout(3 * time.Second),
		kgo.RequestTimeoutOverhead(5 * time.Second),
		kgo.RetryBackoffFn(backoff),
		// New partitions and leaders are to be known soon.
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(10 * time.Second),
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, &core.Error{Code: core.CodeInvalid, Msg: "Kafka options", Err: err}
	}
	return cl, nil
}

// backoff is how long to wait after so many failures. It stays short, since a
// broker that is back should be used at once.
func backoff(failures int) time.Duration {
	return min(50*time.Millisecond<<min(failures, 5), time.Second)
}

// A logger writes what the client library complains of. Its errors are our
// warnings: it goes on by itself. It says the same several times a second for as
// long as a broker is away, so a text is repeated every quietFor only.
type logger struct {
	*slog.Logger
	said *sync.Map // text -> time.Time
}

const quietFor = 30 * time.Second

func (logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l logger) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	now := time.Now()
	if before, ok := l.said.Swap(msg, now); ok && now.Sub(before.(time.Time)) < quietFor {
		l.said.Store(msg, before)
		return
	}
	l.Warn("kafka: "+msg, keyvals...)
}

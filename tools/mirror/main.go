// Command mirror copies the event log of a canvas to the Kafka of another region,
// whose edges then follow it there.
//
//	pixel_events of --from -> record by record -> pixel_events.<region> of --to
//
//	go run ./tools/mirror --from kafka.us:9092 --to kafka.eu:9092 --region eu
//
// It copies at least once and in the order of each partition, and may be killed
// at any time: where it goes on is read from the copy itself. Offsets differ
// between the two, and what was copied twice is dropped by readers, by seq.
// Several may run at once. It writes nothing to the source, and stops with an
// error rather than leave a hole.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"pixelwall/core"
	"pixelwall/persist/kafka"
)

type cli struct {
	From        []string      `help:"Brokers of the source." required:"" placeholder:"HOST:PORT"`
	To          []string      `help:"Brokers of the region." required:"" placeholder:"HOST:PORT"`
	Topic       string        `help:"Topic of the source." default:"pixel_events"`
	Region      string        `help:"Name of the region: the copy is called TOPIC.REGION." required:"" placeholder:"REGION"`
	Recopy      int64         `help:"Begin so many records earlier than needed, in each partition." default:"0"`
	Replication int           `help:"Replicas of the copy, when it is made (0: 3 where there are 3 brokers, else 1)." default:"0"`
	Retention   time.Duration `help:"For how long the copy is kept, when it is made." default:"168h"`
	TellEvery   time.Duration `help:"How often to tell how much was copied." default:"1m"`
}

func main() {
	var c cli
	kong.Parse(&c, kong.Name("mirror"), kong.Description("Copies the event log of a canvas to the Kafka of another region."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	if err := c.run(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "mirror:", err)
		os.Exit(1)
	}
}

var nameOfRegion = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (c *cli) check() error {
	if !nameOfRegion.MatchString(c.Region) {
		return fmt.Errorf("--region %q: letters, digits, dots, dashes and underscores make a topic's name", c.Region)
	}
	if c.Recopy < 0 {
		return errors.New("--recopy is a number of records, 0 or more")
	}
	if c.TellEvery <= 0 {
		return errors.New("--tell-every is a time above 0")
	}
	return nil
}

// run copies until ctx ends, which is no error.
func (c *cli) run(ctx context.Context, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return err
	}
	source, err := kafka.Open(kafka.Options{Brokers: c.From, Topic: c.Topic, Logger: log.With("side", "source")})
	if err != nil {
		return err
	}
	defer source.Close()
	partitions, err := source.Partitions(ctx)
	if err != nil {
		return c.ended(ctx, err)
	}
	region, err := kafka.Open(kafka.Options{
		Brokers: c.To, Topic: c.Topic + "." + c.Region, Partitions: partitions,
		Replication: c.Replication, Retention: c.Retention, Logger: log.With("side", "region"),
	})
	if err != nil {
		return err
	}
	defer region.Close()
	if err := ensure(ctx, region, log); err != nil {
		return c.ended(ctx, err)
	}
	job := &kafka.Copy{From: source, To: region, Recopy: c.Recopy}
	log.Info("copying", "from", source.Name(), "to", region.Name(), "partitions", partitions)
	told := make(chan struct{})
	tell, quiet := context.WithCancel(ctx)
	go func() {
		defer close(told)
		c.tell(tell, job, log)
	}()
	err = job.Run(ctx)
	quiet()
	<-told
	log.Info("stopped", "records", job.Copied())
	return c.ended(ctx, err)
}

// ended makes the end that was asked for no error.
func (c *cli) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ensure makes the copy's topic, however long its Kafka takes to answer.
func ensure(ctx context.Context, region *kafka.Topic, log *slog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := region.Ensure(ctx)
		if err == nil || core.CodeOf(err) != core.CodeUnavailable {
			return err
		}
		log.Warn("the copy's topic cannot be made yet", "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (c *cli) tell(ctx context.Context, job *kafka.Copy, log *slog.Logger) {
	tick := time.NewTicker(c.TellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			log.Info("copied", "records", job.Copied())
		}
	}
}

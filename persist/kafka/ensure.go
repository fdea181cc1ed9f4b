package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"pixelwall/core"
)

const messageBytesMax = 1 << 20

// Ensure makes the topic, or adds the partitions that it lacks. A topic that
// stands on other terms than it should is left as it is and warned of.
func (t *Topic) Ensure(ctx context.Context) error {
	adm := kadm.NewClient(t.cl)
	err := t.create(ctx, adm)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		if err := t.check(ctx, adm); err != nil {
			return unavailable(err)
		}
		return t.atLeast(ctx, t.o.Partitions)
	}
	if err != nil {
		return unavailable(err)
	}
	t.o.Logger.Info("the topic was made", "topic", t.o.Topic, "partitions", t.o.Partitions)
	return t.settle(ctx, t.o.Partitions)
}

// create makes the topic. Kafka refuses all settings where it does not know one,
// so those that older versions lack are left out in a second attempt.
func (t *Topic) create(ctx context.Context, adm *kadm.Client) error {
	replicas, inSync, err := t.replicas(ctx, adm)
	if err != nil {
		return err
	}
	retention := "-1"
	if t.o.Retention > 0 {
		retention = strconv.FormatInt(t.o.Retention.Milliseconds(), 10)
	}
	settings := map[string]*string{
		"cleanup.policy":         kadm.StringPtr("delete"),
		"retention.ms":           &retention,
		"min.insync.replicas":    kadm.StringPtr(strconv.Itoa(inSync)),
		"max.message.bytes":      kadm.StringPtr(strconv.Itoa(messageBytesMax)),
		"message.timestamp.type": kadm.StringPtr("CreateTime"),
	}
	all := map[string]*string{
		"unclean.leader.election.enable": kadm.StringPtr("false"),
		// A record bears the sequencer's time. A sequencer whose clock is wrong must
		// not become a partition that takes nothing any more.
		"message.timestamp.after.max.ms": kadm.StringPtr("9223372036854775807"),
	}
	for k, v := range settings {
		all[k] = v
	}
	_, err = adm.CreateTopic(ctx, int32(t.o.Partitions), int16(replicas), all, t.o.Topic)
	if errors.Is(err, kerr.InvalidConfig) {
		t.o.Logger.Warn("Kafka does not know every setting of the topic, which is made without", "topic", t.o.Topic, "err", err)
		_, err = adm.CreateTopic(ctx, int32(t.o.Partitions), int16(replicas), settings, t.o.Topic)
	}
	return err
}

func (t *Topic) replicas(ctx context.Context, adm *kadm.Client) (replicas, inSync int, err error) {
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return 0, 0, err
	}
	if replicas = t.o.Replication; replicas == 0 {
		if replicas = 1; len(brokers) >= 3 {
			replicas = 3
		}
	}
	if inSync = t.o.MinISR; inSync == 0 {
		if inSync = 1; replicas >= 3 {
			inSync = 2
		}
	}
	return replicas, inSync, nil
}

// check warns of a topic that was there before.
func (t *Topic) check(ctx context.Context, adm *kadm.Client) error {
	details, err := adm.ListTopics(ctx, t.o.Topic)
	if err == nil {
		err = details.Error()
	}
	if err != nil {
		return err
	}
	want, inSync, err := t.replicas(ctx, adm)
	if err != nil {
		return err
	}
	for _, p := range details[t.o.Topic].Partitions.Sorted() {
		if len(p.Replicas) < want {
			t.o.Logger.Warn("the topic has fewer replicas than there should be: a broker that dies takes acknowledged pixels with it",
				"topic", t.o.Topic, "partition", p.Partition, "replicas", len(p.Replicas), "want", want)
			break
		}
	}
	t.checkSettings(ctx, adm, inSync)
	return nil
}

// checkSettings warns of settings under which records vanish too early.
func (t *Topic) checkSettings(ctx context.Context, adm *kadm.Client, inSync int) {
	log := t.o.Logger.With("topic", t.o.Topic)
	configs, err := adm.DescribeTopicConfigs(ctx, t.o.Topic)
	if err != nil || len(configs) != 1 || configs[0].Err != nil {
		log.Warn("the settings of the topic cannot be read", "err", err)
		return
	}
	for _, c := range configs[0].Configs {
		value := c.MaybeValue()
		switch c.Key {
		case "cleanup.policy":
			if value != "delete" {
				log.Warn("the topic's cleanup.policy takes records out of the middle of the log: set it to delete", "is", value)
			}
		case "unclean.leader.election.enable":
			if value == "true" {
				log.Warn("the topic lets a replica lead that lacks acknowledged records: set unclean.leader.election.enable to false")
			}
		case "retention.ms":
			ms, err := strconv.ParseInt(value, 10, 64)
			if err == nil && ms >= 0 && t.o.Retention > 0 && time.Duration(ms)*time.Millisecond < t.o.Retention {
				log.Warn("the topic forgets earlier than it should", "retention_ms", ms, "want_ms", t.o.Retention.Milliseconds())
			}
		case "min.insync.replicas":
			if value == "1" && inSync > 1 {
				log.Warn("the topic acknowledges what only one broker has: raise min.insync.replicas", "want", inSync)
			}
		}
	}
}

// atLeast sees to it that the topic has n partitions.
func (t *Topic) atLeast(ctx context.Context, n int) error {
	l, err := t.source.refresh(ctx)
	if err != nil {
		return unavailable(err)
	}
	have := len(l.leaders)
	if have >= n {
		t.counts.partitions.Store(int32(have))
		return nil
	}
	responses, err := kadm.NewClient(t.cl).UpdatePartitions(ctx, n, t.o.Topic)
	if err == nil {
		err = responses.Error()
	}
	// Somebody else may have been faster.
	if err != nil && !errors.Is(err, kerr.InvalidPartitions) {
		return unavailable(err)
	}
	t.o.Logger.Info("partitions were added", "topic", t.o.Topic, "from", have, "to", n)
	return t.settle(ctx, n)
}

// settle waits until the brokers tell of n partitions that can be written.
func (t *Topic) settle(ctx context.Context, n int) error {
	err := t.source.again(ctx, func(ctx context.Context) error {
		l, err := t.source.refresh(ctx)
		switch {
		case err != nil:
			return err
		case len(l.leaders) < n:
			return kerr.UnknownTopicOrPartition
		case slices.Min(l.leaders) < 0:
			return kerr.LeaderNotAvailable
		}
		t.counts.partitions.Store(int32(len(l.leaders)))
		return nil
	})
	t.cl.ForceMetadataRefresh()
	return unavailable(err)
}

// reach makes the partition of a shard that the canvas has grown into. It does
// nothing for one that is known.
func (t *Topic) reach(ctx context.Context, s core.ShardID) error {
	if int32(s) < t.counts.partitions.Load() {
		return nil
	}
	if err := t.atLeast(ctx, int(s)+1); err != nil {
		return fmt.Errorf("partition of shard %d: %w", s, err)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/persist/kafka"
	"pixelwall/persist/redis"
	"pixelwall/persist/scylla"
)

// A claim is what somebody says of a shard: the checksum that it has at a seq.
type claim struct {
	source string
	shard  core.ShardID
	seq    uint64
	crc    uint32
}

// services are the connections of one audit.
type services struct {
	redis *redis.Client
	topic *kafka.Topic
	store *scylla.Store
}

func connect(ctx context.Context, o *Options) (s services, err error) {
	quiet := slog.New(slog.DiscardHandler)
	s.redis, err = redis.Open(ctx, redis.Options{Addrs: o.Redis, Username: o.RedisUser, Password: o.RedisPassword, Prefix: o.RedisPrefix, Logger: quiet})
	if err == nil && len(o.Kafka) > 0 {
		s.topic, err = kafka.Open(kafka.Options{Brokers: o.Kafka, Topic: o.KafkaTopic, Logger: quiet})
	}
	if err == nil && len(o.Scylla) > 0 {
		s.store, err = scylla.Open(ctx, scylla.Options{Hosts: o.Scylla, Keyspace: o.ScyllaKeyspace, Username: o.ScyllaUser, Password: o.ScyllaPassword, Logger: quiet})
	}
	if err != nil {
		s.close()
	}
	return s, err
}

func (s *services) close() {
	if s.redis != nil {
		s.redis.Close()
	}
	if s.topic != nil {
		s.topic.Close()
	}
	if s.store != nil {
		s.store.Close()
	}
}

// audit asks everybody, and then reads the logs up to what was said.
func audit(ctx context.Context, o *Options) (*Report, error) {
	s, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.close()
	published, err := retry(ctx, s.redis.Canvas().Snapshot)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	r := newReport(o, published)
	claims := published2claims(published)
	for _, url := range o.Edge {
		said, err := askEdge(ctx, url, published.Canvas)
		if err != nil {
			r.incomplete(url, err)
		}
		claims = append(claims, said...)
	}
	var logs sync.WaitGroup
	fold := func(name string, log core.Log, base *core.Snapshot) {
		logs.Go(func() {
			crcs, err := retry(ctx, func(ctx context.Context) (map[spot]uint32, error) { return foldTo(ctx, log, base, claims) })
			if err != nil {
				err = s.explain(err)
			}
			r.folded(name, crcs, err)
		})
	}
	switch {
	case s.topic != nil:
		base, err := s.kafkaBase(ctx)
		if err != nil {
			r.folded(kafkaFold, nil, err)
			break
		}
		fold(kafkaFold, s.topic, base)
	default:
		fold(streamFold, s.redis.Stream(), published)
	}
	if s.store != nil {
		fold(historyFold, s.store, nil)
	}
	logs.Wait()
	r.conclude(claims)
	return r, nil
}

func published2claims(s *core.Snapshot) (claims []claim) {
	fold, err := core.NewFold(s)
	if err != nil {
		return nil // the snapshot was made from boards of this geometry
	}
	for _, id := range s.Config.Geometry().Shards() {
		crc, _ := fold.Board.Checksum(id, nil)
		claims = append(claims, claim{redisCopy, id, s.Heads[id], crc})
	}
	return claims
}

// kafkaBase returns where a fold of the topic begins: nil, its first record,
// unless the topic has forgotten that; then the newest snapshot.
func (s *services) kafkaBase(ctx context.Context) (*core.Snapshot, error) {
	probe, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := s.topic.Tail(probe, core.Heads{}, func(*core.Record) error { return errEnough })
	if core.CodeOf(err) != core.CodeNotFound || s.store == nil {
		return nil, nil
	}
	return retry(ctx, s.store.Latest)
}

func (s *services) explain(err error) error {
	if core.CodeOf(err) == core.CodeNotFound {
		return fmt.Errorf("the log does not reach back to where the fold begins: %w", err)
	}
	return err
}

// retry asks while the answer is that a service is away, until ctx ends: they are
// connected to in the background.
func retry[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		v, err := ask(ctx)
		if err == nil || core.CodeOf(err) != core.CodeUnavailable {
			return v, err
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return v, err
		case <-timer.C:
		}
	}
}

package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"pixelwall/core"
	"pixelwall/persist/archive"
	"pixelwall/persist/kafka"
	"pixelwall/persist/redis"
	"pixelwall/persist/relay"
	"pixelwall/persist/snapshot"
)

// readings are the metrics of what this process does in a cluster.
func (c *cluster) readings() []reading {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	rd := func(f func(redis.Stats) int64) func() float64 {
		return func() float64 { return float64(f(c.redis.Stats())) }
	}
	all := []reading{
		{"pixelwall_redis_batches_total", "Batches of placements that a shard answered.", counter, rd(func(s redis.Stats) int64 { return s.Batches }), nil},
		{"pixelwall_redis_placements_total", "Placements stored.", counter, rd(func(s redis.Stats) int64 { return s.Placements }), nil},
		{"pixelwall_redis_repeats_total", "Placements that were stored before.", counter, rd(func(s redis.Stats) int64 { return s.Repeats }), nil},
		{"pixelwall_redis_ambiguous_total", "Batches without an answer, sent again.", counter, rd(func(s redis.Stats) int64 { return s.Ambiguous }), nil},
		{"pixelwall_redis_unfenced_total", "Batches under a fence that no longer held.", counter, rd(func(s redis.Stats) int64 { return s.Unfenced }), nil},
		{"pixelwall_redis_reconfigured_total", "Batches that were judged again under a newer configuration.", counter, rd(func(s redis.Stats) int64 { return s.Reconfigured }), nil},
		{"pixelwall_redis_unknown_total", "Placements whose outcome stayed unknown here.", counter, rd(func(s redis.Stats) int64 { return s.Unknown }), nil},
		{"pixelwall_redis_refunds_total", "Cooldowns given back.", counter, rd(func(s redis.Stats) int64 { return s.Refunds }), nil},
		{"pixelwall_redis_refunds_lost_total", "Cooldowns that should have been given back, and were not.", counter, rd(func(s redis.Stats) int64 { return s.RefundsLost }), nil},
		{"pixelwall_redis_fail_open_total", "Placements granted by memory, because the limiter was down.", counter, rd(func(s redis.Stats) int64 { return s.FailOpen }), nil},
		{"pixelwall_redis_breaker_openings_total", "Times that a shard's breaker opened.", counter, rd(func(s redis.Stats) int64 { return s.Openings }), nil},
		{"pixelwall_redis_breakers_open", "Shards whose breaker is open.", gauge, rd(func(s redis.Stats) int64 { return int64(s.BreakersOpen) }), nil},
		writable(c.state),
		{"pixelwall_shards_refusing", "Shards that take no placements.", gauge, func() float64 { n, _, _ := c.refusing(); return float64(n) }, nil},
		{"pixelwall_redis_invalidations_total", "Keys that Redis took out of this process' cache.", counter, rd(func(s redis.Stats) int64 { return s.Invalidations }), nil},
	}
	pic := func(f func(*pictures) int64) func() float64 {
		return func() float64 {
			if p := c.pictures.Load(); p != nil {
				return float64(f(p))
			}
			return 0
		}
	}
	all = append(all,
		reading{"pixelwall_canvas_source_total", "Canvas versions made, by where they came from.", counter, pic(func(p *pictures) int64 { return p.published.Load() }), prometheus.Labels{"source": "redis_csc"}},
		reading{"pixelwall_canvas_source_total", "Canvas versions made, by where they came from.", counter, pic(func(p *pictures) int64 { return p.board.Load() }), prometheus.Labels{"source": "board"}})
	if c.topic != nil {
		all = append(all, c.kafkaReadings()...)
	}
	return append(all, c.roleReadings()...)
}

func (c *cluster) kafkaReadings() []reading {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	kf := func(f func(kafka.Stats) int64) func() float64 {
		return func() float64 { return float64(f(c.topic.Stats())) }
	}
	const switches = "Times that the streams of Redis were gone to: Kafka did not answer, or brought nothing."
	return []reading{
		{"pixelwall_kafka_produced_total", "Records acknowledged by Kafka.", counter, kf(func(s kafka.Stats) int64 { return s.Produced }), nil},
		{"pixelwall_kafka_produce_errors_total", "Records that were given up.", counter, kf(func(s kafka.Stats) int64 { return s.ProduceErrors }), nil},
		{"pixelwall_kafka_retries_total", "Requests that were sent again.", counter, kf(func(s kafka.Stats) int64 { return s.ProduceRetries }), nil},
		{"pixelwall_kafka_data_loss_total", "Times that a partition was found to have lost records.", counter, kf(func(s kafka.Stats) int64 { return s.DataLoss }), nil},
		{"pixelwall_kafka_restarts_total", "Searches and fetches that were made again.", counter, kf(func(s kafka.Stats) int64 { return s.Restarts }), nil},
		{"pixelwall_failover_switches_total", switches, counter, func() float64 { silent, _ := c.follow.Switches(); return float64(silent) }, prometheus.Labels{"why": "silent"}},
		{"pixelwall_failover_switches_total", switches, counter, func() float64 { _, stalled := c.follow.Switches(); return float64(stalled) }, prometheus.Labels{"why": "stalled"}},
		{"pixelwall_failover_active", "1 while the streams of Redis are followed.", gauge, func() float64 {
			if c.follow.OnFallback() {
				return 1
			}
			return 0
		}, nil},
		{"pixelwall_history_disturbed_total", "Times that a node of the history was lost or came back.", counter, func() float64 { return float64(c.store.Disturbed()) }, nil},
	}
}

// roleReadings are zero for the roles that this process does not have.
func (c *cluster) roleReadings() []reading {
	const counter = prometheus.CounterValue
	rl := func(f func(relay.Stats) int64) func() float64 {
		return func() float64 {
			if r := c.relay.Load(); r != nil {
				return float64(f(r.Stats()))
			}
			return 0
		}
	}
	ar := func(f func(archive.Stats) int64) func() float64 {
		return func() float64 {
			if c.alone != nil {
				return float64(f(c.alone.Stats()))
			}
			if w := c.archive.Load(); w != nil {
				return float64(f(w.Stats()))
			}
			return 0
		}
	}
	sn := func(f func(snapshot.Stats) int64) func() float64 {
		return func() float64 {
			if w := c.snapshot.Load(); w != nil {
				return float64(f(w.Stats()))
			}
			return 0
		}
	}
	return []reading{
		{"pixelwall_relay_carried_total", "Records brought from Redis to Kafka.", counter, rl(func(s relay.Stats) int64 { return s.Carried }), nil},
		{"pixelwall_relay_takeovers_total", "Shards taken over.", counter, rl(func(s relay.Stats) int64 { return s.TakeOvers }), nil},
		{"pixelwall_relay_stood_down_total", "Take-overs given up because another relay was at the same shard.", counter, rl(func(s relay.Stats) int64 { return s.StoodDown }), nil},
		{"pixelwall_relay_republished_total", "Records published again by a take-over.", counter, rl(func(s relay.Stats) int64 { return s.Republished }), nil},
		{"pixelwall_relay_holes_total", "Take-overs that found records missing in Redis and Kafka.", counter, rl(func(s relay.Stats) int64 { return s.Holes }), nil},
		{"pixelwall_relay_stale_total", "Records of deposed relays seen in Kafka.", counter, rl(func(s relay.Stats) int64 { return s.Stale }), nil},
		{"pixelwall_archive_records_total", "Records written to the history.", counter, ar(func(s archive.Stats) int64 { return s.Records }), nil},
		{"pixelwall_archive_events_total", "Placements written to the history.", counter, ar(func(s archive.Stats) int64 { return s.Events }), nil},
		{"pixelwall_archive_stale_total", "Records of deposed relays that were not archived.", counter, ar(func(s archive.Stats) int64 { return s.Stale }), nil},
		{"pixelwall_archive_gaps_total", "Times that the log was asked again for a missing record.", counter, ar(func(s archive.Stats) int64 { return s.Gaps }), nil},
		{"pixelwall_archive_taken_back_total", "Times that a stream was found to have lost its end.", counter, ar(func(s archive.Stats) int64 { return s.TakenBack }), nil},
		{"pixelwall_archive_restarts_total", "Times that archiving went back to its watermark.", counter, ar(func(s archive.Stats) int64 { return s.Restarts }), nil},
		{"pixelwall_snapshot_put_total", "Snapshots put.", counter, sn(func(s snapshot.Stats) int64 { return s.Put }), nil},
		{"pixelwall_snapshot_stale_total", "Records of deposed relays that no snapshot holds.", counter, sn(func(s snapshot.Stats) int64 { return s.Stale }), nil},
		{"pixelwall_snapshot_gaps_total", "Records that did not join what was read before.", counter, sn(func(s snapshot.Stats) int64 { return s.Gaps }), nil},
	}
}

// history returns what answers questions about the past.
func (c *cluster) history() core.History {
	if c.alone != nil {
		return c.alone.History()
	}
	return c.store
}

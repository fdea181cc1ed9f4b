package sim

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

func is(p *process, actor string) bool { return strings.HasPrefix(p.name, actor) }

// noHolders makes every record one of the holder, whoever wrote it.
func noHolders() func(*core.Record, func(*core.Record) error) error {
	var holders [core.ShardsMax]core.Holder
	return func(r *core.Record, fn func(*core.Record) error) error {
		if h := &holders[r.Shard]; r.Kind == core.KindClaim {
			if r.Epoch > h.Epoch {
				*h = r.Holder()
			}
		} else {
			r.Epoch, r.Relay = h.Epoch, h.Relay
		}
		return fn(r)
	}
}

var plants = []plant{
	{name: "has consumers that take data from anybody", wrapTail: func(_ *process, l core.Log) core.Log {
		return &logOf{l, noHolders}
	}},

	{name: "has relays that do not heed the claims of others", wrapTopic: func(p *process, t core.Topic) core.Topic {
		return &topicOf{Topic: t, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
			return t.Tail(ctx, from, func(r *core.Record) error {
				if r.Kind == core.KindClaim && r.Relay != p.relayID() {
					r.Epoch = 0
				}
				return fn(r)
			})
		}}
	}},

	{name: "reads the stream before the fence", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o,
			fence: func(ctx context.Context, s core.ShardID, _ uint32) (uint64, error) {
				st, err := o.Stand(ctx, s)
				return st.Seq, err
			},
			rebuild: func(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
				if _, err := o.Fence(ctx, s, epoch); err != nil {
					return err
				}
				return o.Rebuild(ctx, s, epoch, b)
			}}
	}},

	{name: "tells nobody that seq jumped", wrapTopic: func(_ *process, t core.Topic) core.Topic {
		return &topicOf{Topic: t, append: func(ctx context.Context, rs []*core.Record) error {
			var others []*core.Record
			for _, r := range rs {
				if r.Kind != core.KindMarker {
					others = append(others, r)
				}
			}
			if len(others) == 0 {
				return nil
			}
			return t.Append(ctx, others)
		}}
	}},

	{name: "puts the marker behind what was placed meanwhile", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, read: func(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error {
			var all []*core.Record
			err := o.Read(ctx, s, after, limit, func(r *core.Record) error {
				all = append(all, r)
				return nil
			})
			for i := range all {
				if i+1 < len(all) && all[i].Kind == core.KindMarker {
					all[i], all[i+1] = all[i+1], all[i]
				}
				if err == nil {
					err = fn(all[i])
				}
			}
			return err
		}}
	}},

	{name: "trims what is not in the topic yet", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, trim: func(ctx context.Context, s core.ShardID, epoch uint32, _ uint64) error {
			return o.Trim(ctx, s, epoch, core.EpochSeq(epoch+1))
		}}
	}},

	{name: "takes over without the requests", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, recall: func(context.Context, core.ShardID, uint32, []core.PastEvent) error { return nil }}
	}},

	{name: "knows the requests since the newest snapshot only", wrapKept: func(_ *process, s core.Snapshots) core.Snapshots {
		return keptOf{s}
	}},

	{name: "goes on with the seq after the last one in the topic", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, arm: func(ctx context.Context, s core.ShardID, h core.Holder, _, lastOld uint64) error {
			return o.Arm(ctx, s, h, lastOld, lastOld)
		}}
	}},

	{name: "does not publish the frozen stream again", wrapOutbox: func(_ *process, o placer) placer {
		frozen := false
		return &outboxOf{placer: o,
			fence: func(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error) {
				frozen = true
				return o.Fence(ctx, s, epoch)
			},
			rebuild: func(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
				frozen = false
				return o.Rebuild(ctx, s, epoch, b)
			},
			read: func(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error {
				if frozen {
					return nil
				}
				return o.Read(ctx, s, after, limit, fn)
			}}
	}},

	{name: "takes the outbox's pixels for right", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, rebuild: func(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
			if st, err := o.Stand(ctx, s); err != nil || st.Canvas != 0 {
				return err
			}
			return o.Rebuild(ctx, s, epoch, b)
		}}
	}},

	{name: "publishes again with other boundaries", wrapTopic: func(_ *process, t core.Topic) core.Topic {
		return &topicOf{Topic: t, append: func(ctx context.Context, rs []*core.Record) error {
			var merged []*core.Record
			for _, r := range rs {
				if n := len(merged); n > 0 && r.Kind == core.KindPlacements && merged[n-1].Kind == core.KindPlacements {
					merged[n-1].Events = append(merged[n-1].Events, r.Events...)
					continue
				}
				merged = append(merged, r.Clone())
			}
			return t.Append(ctx, merged)
		}}
	}},

	{name: "believes that a shard stays armed", wrapOutbox: func(p *process, o placer) placer {
		if !is(p, "relay") {
			return o
		}
		var armed [core.ShardsMax]*core.Stand
		return &outboxOf{placer: o, stand: func(ctx context.Context, s core.ShardID) (core.Stand, error) {
			if armed[s] != nil {
				return *armed[s], nil
			}
			st, err := o.Stand(ctx, s)
			if err == nil && st.Armed {
				armed[s] = &st
			}
			return st, err
		}}
	}},

	{name: "believes what a master that comes back remembers", wrapOutbox: func(_ *process, o placer) placer {
		return &outboxOf{placer: o, rebuild: func(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
			b.Jumps = nil
			return o.Rebuild(ctx, s, epoch, b)
		}}
	}},

	{name: "has edges that go on behind a gap", skipGaps: true},
	{name: "has edges that keep what is in nobody's log", noPhantoms: true},
	{name: "trusts what the archive wrote just now", unsettled: true},
	{name: "does not notice that a node of the archive was lost", wrapArchive: func(_ *process, a core.Archive) core.Archive {
		return archiveOf{a}
	}},
	{name: "has a sequencer that is armed again after a restart", mistake: coretest.StoresArmed},
	{name: "has a sequencer that arms what was put back since its fence", mistake: coretest.ArmsAnyFence,
		weather: func(r *rates) { *r = rates{held: 0.06, lose: 0.5, failover: 0.5} }},
}

// onlyRelays plants what edges must not have.
func onlyRelays(wrap func(o placer) placer) func(*process, placer) placer {
	return func(p *process, o placer) placer {
		if is(p, "relay") {
			return wrap(o)
		}
		return o
	}
}

// Where the streams are the log.
var plantsAlone = []plant{
	{name: "goes on with the seq after the last one that it finds", alone: true, wrapOutbox: onlyRelays(func(o placer) placer {
		return &outboxOf{placer: o, arm: func(ctx context.Context, s core.ShardID, h core.Holder, _, lastOld uint64) error {
			return o.Arm(ctx, s, h, lastOld, lastOld)
		}}
	})},

	{name: "says where it stood before the fence", alone: true, wrapOutbox: onlyRelays(func(o placer) placer {
		var stood [core.ShardsMax]uint64
		return &outboxOf{placer: o,
			stand: func(ctx context.Context, s core.ShardID) (core.Stand, error) {
				st, err := o.Stand(ctx, s)
				if err == nil && stood[s] == 0 {
					stood[s] = st.Seq
				}
				return st, err
			},
			arm: func(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
				was := stood[s]
				stood[s] = 0
				return o.Arm(ctx, s, h, minSeq, max(was, lastOld))
			}}
	})},

	{name: "does not hear what edges have seen", alone: true, wrapOutbox: onlyRelays(func(o placer) placer {
		return &outboxOf{placer: o, stand: func(ctx context.Context, s core.ShardID) (core.Stand, error) {
			st, err := o.Stand(ctx, s)
			st.Seen = 0
			return st, err
		}}
	})},

	{name: "builds a shard again that somebody has built", alone: true, wrapOutbox: onlyRelays(func(o placer) placer {
		return &outboxOf{placer: o, stand: func(ctx context.Context, s core.ShardID) (core.Stand, error) {
			st, err := o.Stand(ctx, s)
			if !st.Armed {
				st.Canvas = 0
			}
			return st, err
		}}
	})},
}

// plantSeeds is how many seeds a planted bug may hide in.
const plantSeeds = 400

// What the steps of a take-over are for: without any one of them some seed loses,
// doubles or forks something. The sound cluster passes the same seeds.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, p := range slices.Concat(plants, plantsAlone) {
		t.Run("a cluster that "+p.name, func(t *testing.T) {
			for seed := uint64(1); seed <= plantSeeds; seed++ {
				if w := run(t, seed, p); len(w.problems) > 0 {
					t.Logf("caught by seed %d: %s", seed, w.problems[0])
					return
				}
			}
			t.Errorf("%d seeds have not caught it", plantSeeds)
		})
	}
}

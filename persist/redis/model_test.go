package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
	"pixelwall/wire"
)

// modelled is an Outbox with the call by which the sequencer's queues place.
type modelled struct{ *Outbox }

// PlaceBatch implements coretest.Placer.
func (m modelled) PlaceBatch(ctx context.Context, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (placed coretest.Placed, err error) {
	var blob, questions []byte
	for _, e := range events {
		blob = wire.AppendRecordEvent(blob, wire.RecordEvent{
			Offset: e.Offset, Color: e.Color, User: e.User, Instance: e.Request.Instance, Number: e.Request.Number,
		})
	}
	for _, r := range asked {
		questions = appendAsked(questions, r)
	}
	k := &m.c.keys[s]
	said, err := m.c.fcall(ctx, s, fnPlace, []string{k.bmp, k.meta, k.out, k.requests[0], k.requests[1]},
		decimal(epoch), decimal(version), string(blob), string(questions))
	if conclude(err) == unfenced {
		return placed, unavailable(err)
	}
	if err != nil {
		return placed, asError(err)
	}
	text, err := said.ToString()
	if err != nil {
		return placed, err
	}
	a, err := parseAnswer(text)
	for range len(events) + len(asked) {
		var st status
		var seq uint64
		var timeMS int64
		if st, seq, timeMS, err = a.one(); err != nil {
			return placed, err
		}
		placed.Answers = append(placed.Answers, coretest.Answer{
			Seq: seq, TimeMS: timeMS, Repeat: st == statusRepeated, Expire: st == statusExpired,
		})
	}
	return placed, err
}

// The library does what the model of the simulation does, also when its server is
// killed in between.
func TestLibraryIsTheModel(t *testing.T) {
	stack := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}})
	if stack == nil {
		return
	}
	server := stack.Redis[0]
	coretest.TestOutbox(t, func(t *testing.T) *coretest.OutboxStore {
		c := open(t, Options{Addrs: []string{server.Addr()}, Prefix: fmt.Sprintf("t%016x", rand.Uint64()), CommandTimeout: patience, slow: true})
		up := func() bool {
			_, err := c.Outbox().Stand(t.Context(), 0)
			return err == nil
		}
		until(t, "Redis answers", up)
		return &coretest.OutboxStore{
			Placer: modelled{c.Outbox()},
			Pixels: func(ctx context.Context, s core.ShardID) ([]byte, error) {
				m, err := c.do(ctx, s, func(r rueidis.Client) rueidis.Completed { return r.B().Get().Key(c.keys[s].bmp).Build() })
				if err != nil {
					return nil, err
				}
				return m.AsBytes()
			},
			Restart: func() {
				if err := server.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				until(t, "Redis answers again", up)
			},
		}
	})
}

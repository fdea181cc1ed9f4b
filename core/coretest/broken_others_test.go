package coretest

import (
	"context"
	"slices"

	"pixelwall/core"
)

// spoiledHistory forwards to Memory but for what it breaks.
type spoiledHistory struct {
	*Memory
	pixel   func(m *Memory, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error)
	user    func(m *Memory, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error)
	shiftMS int64 // of HeadsAt
	ahead   uint64
	behind  uint64
}

func (h spoiledHistory) Pixel(ctx context.Context, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	if h.pixel == nil {
		return h.Memory.Pixel(ctx, s, off, before, limit)
	}
	return h.pixel(h.Memory, s, off, before, limit)
}

func (h spoiledHistory) User(ctx context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	if h.user == nil {
		return h.Memory.User(ctx, user, cursor, limit)
	}
	return h.user(h.Memory, user, cursor, limit)
}

func (h spoiledHistory) HeadsAt(ctx context.Context, timeMS int64) (core.Heads, error) {
	return h.Memory.HeadsAt(ctx, timeMS+h.shiftMS)
}

func (h spoiledHistory) Indexed(ctx context.Context) (core.Heads, error) {
	at, err := h.Memory.Indexed(ctx)
	at[0] += h.ahead
	at[0] -= min(at[0], h.behind)
	return at, err
}

func spoil(h spoiledHistory) func(*Memory, *Store, Setup) {
	return func(m *Memory, st *Store, _ Setup) {
		h.Memory = m
		st.History = h
	}
}

const (
	pixelNewest = "a pixel tells its events newest first, and no other's"
	pixelPages  = "a pixel's pages meet without hole or double"
	pixelNobody = "a pixel that nobody painted has no events"
	userPages   = "a user's pages are all the user's events, newest first, without hole or double"
	headsOfTime = "the heads of a time are the last events up to it"
	indexHeads  = "the index reaches the log and never goes beyond it"
)

var brokenHistories = []broken{
	{"tells a pixel's events oldest first", spoil(spoiledHistory{pixel: func(m *Memory, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
		all, err := m.Pixel(context.Background(), s, off, before, 1000)
		slices.Reverse(all)
		return all[:min(limit, len(all))], err
	}}), []string{pixelNewest, pixelPages}},

	{"takes a pixel of another shard for this one", spoil(spoiledHistory{pixel: func(m *Memory, _ core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		all := m.past(func(p core.PastEvent) bool { return p.Offset == off && (before == 0 || p.Seq < before) })
		return all[:min(limit, len(all))], nil
	}}), []string{pixelNewest, pixelNobody}},

	{"begins a pixel's page with the end of the last", spoil(spoiledHistory{pixel: func(m *Memory, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
		if before > 0 {
			before++
		}
		return m.Pixel(context.Background(), s, off, before, limit)
	}}), []string{pixelPages}},

	{"tells a pixel's neighbour too", spoil(spoiledHistory{pixel: func(m *Memory, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		all := m.past(func(p core.PastEvent) bool {
			return p.Shard == s && p.Offset>>2 == off>>2 && (before == 0 || p.Seq < before)
		})
		return all[:min(limit, len(all))], nil
	}}), []string{pixelNewest, pixelNobody}},

	{"skips an event between a user's pages", spoil(spoiledHistory{user: func(m *Memory, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
		all, err := m.User(context.Background(), user, cursor, limit+1)
		if cursor != nil && len(all) > 0 {
			all = all[1:]
		}
		return all[:min(limit, len(all))], err
	}}), []string{userPages}},

	{"pages a user by time alone", spoil(spoiledHistory{user: func(m *Memory, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		all := m.past(func(p core.PastEvent) bool { return p.User == user && (cursor == nil || p.TimeMS < cursor.TimeMS) })
		return all[:min(limit, len(all))], nil
	}}), []string{userPages}},

	{"tells other users' events", spoil(spoiledHistory{user: func(m *Memory, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
		return m.User(context.Background(), 1, cursor, limit)
	}}), []string{userPages}},

	{"takes a time for excluded", spoil(spoiledHistory{shiftMS: -1}), []string{headsOfTime}},
	{"takes the next millisecond for included", spoil(spoiledHistory{shiftMS: 1}), []string{headsOfTime}},
	{"says that it has indexed what is not in the log", spoil(spoiledHistory{ahead: 1}), []string{indexHeads}},
	{"never indexes the end", spoil(spoiledHistory{behind: 1}), []string{indexHeads}},

	{"loses history in a crash", func(m *Memory, st *Store, _ Setup) {
		st.Crash = func() *Store {
			n := m.Crash().Store()
			n.History = spoiledHistory{Memory: n.History.(*Memory), pixel: func(*Memory, core.ShardID, uint32, uint64, int) ([]core.PastEvent, error) {
				return nil, nil
			}}
			return n
		}
	}, []string{"history survives a crash"}},
}

// chargingCooldowns charges for being asked.
type chargingCooldowns struct{ *Memory }

func (c chargingCooldowns) Allowance(_ context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.allowance(user, nowMS)
	c.charge(user, nowMS)
	return a, nil
}

const (
	coolAsking = "asking for the allowance charges nothing"
	coolCrowd  = "users in a crowd get exactly their burst each"
	coolLong   = "it is the arithmetic of core over a long time"
)

var brokenCooldowns = []broken{
	{"grants everything", beforePlace(func(m *Memory) { clear(m.users) }), []string{coolAsking, coolCrowd, coolLong}},

	{"charges for a refusal", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		err := m.Place(ctx, ps, out)
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range out {
			if out[i].Err != nil {
				m.charge(ps[i].User, m.clock.Now())
			}
		}
		return err
	}), []string{coolLong}},

	{"charges for asking", func(m *Memory, st *Store, _ Setup) { st.Cooldowns = chargingCooldowns{m} }, []string{coolAsking, coolLong}},
}

// spoiledSnapshots forwards to Memory but for what it breaks.
type spoiledSnapshots struct {
	*Memory
	put    func(m *Memory, s *core.Snapshot)
	latest func(m *Memory) *core.Snapshot
	at     func(m *Memory, timeMS int64) *core.Snapshot
}

func (p spoiledSnapshots) Put(ctx context.Context, s *core.Snapshot) error {
	if p.put == nil {
		return p.Memory.Put(ctx, s)
	}
	p.put(p.Memory, s)
	return nil
}

func (p spoiledSnapshots) Latest(ctx context.Context) (*core.Snapshot, error) {
	if p.latest == nil {
		return p.Memory.Latest(ctx)
	}
	return p.latest(p.Memory), nil
}

func (p spoiledSnapshots) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	if p.at == nil {
		return p.Memory.At(ctx, timeMS)
	}
	if s := p.at(p.Memory, timeMS); s != nil {
		return s, nil
	}
	return nil, core.NewError(core.CodeNotFound, "none")
}

func snap(p spoiledSnapshots) func(*Memory, *Store, Setup) {
	return func(m *Memory, st *Store, _ Setup) {
		p.Memory = m
		st.Snapshots = p
	}
}

const (
	snapNone   = "a store without snapshots says not found"
	snapLatest = "the latest snapshot comes back as it was put, whatever became of the memory"
	snapTime   = "the snapshot of a time is the newest up to it"
	snapAhead  = "a snapshot that is ahead of the log is not the latest"
	snapFold   = "a snapshot and the log after it give the canvas"
	snapCrash  = "a snapshot survives a crash"
)

var brokenSnapshots = []broken{
	{"invents a snapshot", snap(spoiledSnapshots{at: func(m *Memory, _ int64) *core.Snapshot {
		return &core.Snapshot{Canvas: m.canvas, Config: m.config}
	}}), []string{snapNone, snapTime}},

	{"keeps the caller's memory", snap(spoiledSnapshots{put: func(m *Memory, s *core.Snapshot) {
		m.snapshots = append(m.snapshots, s)
	}}), []string{snapLatest, snapFold}},

	{"hands out its own memory", snap(spoiledSnapshots{latest: func(m *Memory) *core.Snapshot {
		return m.snapshots[len(m.snapshots)-1]
	}}), []string{snapLatest, snapAhead}},

	{"has the first for the latest", snap(spoiledSnapshots{latest: func(m *Memory) *core.Snapshot {
		return cloneSnapshot(m.snapshots[0])
	}}), []string{snapLatest}},

	{"has the latest for every time", snap(spoiledSnapshots{at: func(m *Memory, _ int64) *core.Snapshot {
		if len(m.snapshots) == 0 {
			return nil
		}
		return cloneSnapshot(m.snapshots[len(m.snapshots)-1])
	}}), []string{snapTime}},

	{"puts heads where the canvas is not yet", snap(spoiledSnapshots{put: func(m *Memory, s *core.Snapshot) {
		s = cloneSnapshot(s)
		s.Heads[0] += 3
		m.mu.Lock()
		m.snapshots = append(m.snapshots, s)
		m.mu.Unlock()
	}}), []string{snapLatest}},

	{"loses the last snapshot in a crash", onCrash(func(m *Memory) { m.snapshots = m.snapshots[:len(m.snapshots)-1] }), []string{snapCrash}},
}

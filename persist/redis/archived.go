package redis

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// Where the streams are the log, they may forget only what every archive holds.
// Each archive says how far it is; one that has been silent for a day is taken for
// gone, or a server that was given up would let the streams grow for ever.

const (
	archivedBytes = 8 * core.ShardsMax
	archivedMax   = 256 // archives that are waited for; one more is told that it is not
)

var (
	// KEYS archived, ARGV owner heads max: an entry is the time (8) and the heads.
	// Those of archives that are gone are dropped here.
	archivedScript = newScript(allowOOM + `
local t, day = redis.call('TIME'), 86400000
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all, n = redis.call('HGETALL', KEYS[1]), 0
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] and now - struct.unpack('<I8', all[i + 1]) > day then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    n = n + 1
  end
end
if n >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], struct.pack('<I8', now) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], day)
return 1`)

	// KEYS archived: the heads of all that count.
	everyArchiveScript = newScript(`
local t, day = redis.call('TIME'), 86400000
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all, heads = redis.call('HVALS', KEYS[1]), {}
for _, v in ipairs(all) do
  if now - struct.unpack('<I8', v) <= day then heads[#heads + 1] = v:sub(9) end
end
return heads`)
)

func (c *Client) archivedKey() string { return c.opts.Prefix + ":archived" }

// Archived says that the archive called owner holds everything up to heads.
func (o *Outbox) Archived(ctx context.Context, owner uint64, heads core.Heads) error {
	b := make([]byte, 0, archivedBytes)
	for _, seq := range heads {
		b = binary.LittleEndian.AppendUint64(b, seq)
	}
	var noted int64
	err := o.c.link.with(ctx, func(ctx context.Context, r rueidis.Client) (err error) {
		noted, err = evalAll(ctx, r, 1, func(int) eval {
			return eval{archivedScript, o.c.archivedKey(), []string{bytes8(owner), string(b), decimal(uint64(archivedMax))}}
		})[0].AsInt64()
		return err
	})
	if err == nil && noted == 0 {
		return core.NewError(core.CodeTooMany, fmt.Sprintf("there are %d archives already", archivedMax))
	}
	return asError(err)
}

// EverywhereArchived returns what every archive of the last day holds, and how
// many there are.
func (o *Outbox) EverywhereArchived(ctx context.Context) (heads core.Heads, archives int, err error) {
	var all []string
	err = o.c.link.with(ctx, func(ctx context.Context, r rueidis.Client) (err error) {
		all, err = evalAll(ctx, r, 1, func(int) eval { return eval{everyArchiveScript, o.c.archivedKey(), nil} })[0].AsStrSlice()
		return err
	})
	if err != nil {
		return heads, 0, asError(err)
	}
	for i, text := range all {
		if len(text) != archivedBytes {
			return heads, 0, core.NewError(core.CodeMalformed, "an archive's heads in Redis")
		}
		for s := range heads {
			seq := binary.LittleEndian.Uint64([]byte(text[8*s:]))
			if i == 0 || seq < heads[s] {
				heads[s] = seq
			}
		}
	}
	return heads, len(all), nil
}

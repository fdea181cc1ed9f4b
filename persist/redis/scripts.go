package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/redis/rueidis"
)

// A script is a small Lua script that needs no library: the limiter's Redis may
// be another one, and anybody may load these.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text, hex.EncodeToString(sum[:])}
}

// allowOOM is the first line of a script that has to write at maxmemory, so that
// relays can empty the outboxes.
const allowOOM = "#!lua flags=allow-oom"

// listOfIDs begins the scripts of a tat key: the arrival time (8) and the ids of the
// last 16 charges that were not taken back, the oldest first.
const listOfIDs = `
local t, has = redis.call('TIME'), redis.call('GET', KEYS[1])
local now, every = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2])
local ids = has and has:sub(9) or ''
local function find()
  for i = 1, #ids, #ARGV[1] do
    if ids:sub(i, i + #ARGV[1] - 1) == ARGV[1] then return i end
  end
end
local function keep(tat, ids)
  if tat <= now then return redis.call('DEL', KEYS[1]) end
  redis.call('SET', KEYS[1], struct.pack('<I8', tat) .. ids, 'PX', string.format('%d', tat - now))
end
`

var (
	// KEYS lease, ARGV owner ttl
	holdScript = newScript(allowOOM + `
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

	// KEYS lease, ARGV owner
	releaseScript = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)

	// KEYS cd, ARGV id: takes a charge back if it is the last one.
	deleteScript = newScript(`
local has = redis.call('GET', KEYS[1])
if has and has:sub(1, #ARGV[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

	// KEYS tat, ARGV id every max: the generic cell rate algorithm of core.Cooldown.
	// It returns 0 refused, 1 charged, 2 charged before; and how far away the arrival
	// time is. An empty id only asks.
	takeScript = newScript(listOfIDs + `
local rest, tat = every * ARGV[3], now
if has then tat = math.min(math.max(now, (struct.unpack('<I8', has))), now + rest) end
if ARGV[1] == '' then return {0, tat - now} end
if find() then return {2, tat - now} end
if tat + every - now > rest then return {0, tat - now} end
keep(tat + every, (ids .. ARGV[1]):sub(-16 * #ARGV[1]))
return {1, tat + every - now}`)

	// KEYS tat, ARGV id every: takes the charge of id back, if it is there.
	refundScript = newScript(listOfIDs + `
local i = find()
if not i then return 0 end
keep(struct.unpack('<I8', has) - every, ids:sub(1, i - 1) .. ids:sub(i + #ARGV[1]))
return 1`)
)

// An eval is one call of a script.
type eval struct {
	script *script
	key    string
	args   []string
}

// evalAll runs n scripts in one pipeline. Those that the server does not know yet
// are run once more with their text.
func evalAll(ctx context.Context, r rueidis.Client, n int, of func(int) eval) []rueidis.RedisResult {
	cmds := make(rueidis.Commands, n)
	for i := range cmds {
		e := of(i)
		cmds[i] = r.B().Evalsha().Sha1(e.script.sha).Numkeys(1).Key(e.key).Arg(e.args...).Build()
	}
	results := r.DoMulti(ctx, cmds...)
	var again []int
	cmds = nil
	for i := range results {
		if err := results[i].Error(); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
			e := of(i)
			again = append(again, i)
			cmds = append(cmds, r.B().Eval().Script(e.script.text).Numkeys(1).Key(e.key).Arg(e.args...).Build())
		}
	}
	if len(again) > 0 {
		for j, m := range r.DoMulti(ctx, cmds...) {
			results[again[j]] = m
		}
	}
	return results
}

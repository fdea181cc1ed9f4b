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

// listOfCharges begins the scripts of a tat key: the arrival time (8), and the last 16
// charges that were not given back, the oldest first, as charger says.
const listOfCharges = `
local t, has = redis.call('TIME'), redis.call('GET', KEYS[1])
local now, every = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[2])
local list = has and has:sub(9) or ''
if #list % 22 ~= 0 then list = '' end -- of an older edge
local function find()
  for i = 1, #list, 22 do
    if list:sub(i, i + 12) == ARGV[1] then return i, struct.unpack('<I8B', list, i + 13) end
  end
end
local function without(i) return list:sub(1, i - 1), list:sub(i + 22) end
local function keep(tat, list)
  if tat <= now then return redis.call('DEL', KEYS[1]) end
  redis.call('SET', KEYS[1], struct.pack('<I8', tat) .. list, 'PX', string.format('%d', tat - now))
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

	// KEYS cd, ARGV id: one more holds the charge of id. 0 when it is gone.
	holdChargeScript = newScript(`
local has = redis.call('GET', KEYS[1])
if not has or has:sub(1, 13) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], has:sub(1, -2) .. string.char(math.min(has:byte(-1) + 1, 255)), 'KEEPTTL')
return 1`)

	// KEYS cd, ARGV id: one less holds the charge of id. Without any it is given back.
	// Of 255 holders some are not counted.
	giveBackScript = newScript(`
local has = redis.call('GET', KEYS[1])
if not has or has:sub(1, 13) ~= ARGV[1] then return 0 end
local holders = has:byte(-1)
if holders == 1 then return redis.call('DEL', KEYS[1]) end
if holders < 255 then redis.call('SET', KEYS[1], has:sub(1, -2) .. string.char(holders - 1), 'KEEPTTL') end
return 0`)

	// KEYS tat, ARGV id every max at window again: the generic cell rate algorithm of
	// core.Cooldown. It returns 0 refused, 1 charged, 2 charged before by another one;
	// and how far away the arrival time is. An empty id only asks.
	takeScript = newScript(listOfCharges + `
local rest, tat = every * ARGV[3], now
if has then tat = math.min(math.max(now, (struct.unpack('<I8', has))), now + rest) end
if ARGV[1] == '' then return {0, tat - now} end
local i, at, holders = find()
if i and ARGV[4] - at >= tonumber(ARGV[5]) then
  local before, behind = without(i)
  i, list = nil, before .. behind
end
if i then
  if ARGV[6] == '1' and at == tonumber(ARGV[4]) then return {1, tat - now} end
  local before, behind = without(i)
  keep(tat, before .. ARGV[1] .. struct.pack('<I8B', at, math.min(holders + 1, 255)) .. behind)
  return {2, tat - now}
end
if tat + every - now > rest then return {0, tat - now} end
keep(tat + every, (list .. ARGV[1] .. struct.pack('<I8B', ARGV[4], 1)):sub(-16 * 22))
return {1, tat + every - now}`)

	// KEYS tat, ARGV id every: as giveBackScript.
	refundScript = newScript(listOfCharges + `
local i, at, holders = find()
if not i or holders == 255 then return 0 end
local before, behind = without(i)
local tat = struct.unpack('<I8', has)
if holders == 1 then
  keep(tat - every, before .. behind)
else
  keep(tat, before .. ARGV[1] .. struct.pack('<I8B', at, holders - 1) .. behind)
end
return holders == 1 and 1 or 0`)
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

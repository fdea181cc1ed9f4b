#!lua name=pixelwall_1
-- The sequencer of one shard: every function is one atomic step, and checks
-- everything before its first write, because scripts do not roll back.
--
-- Keys of a shard, all in one slot:
--   bmp    the pixels, 512 a row
--   meta   hash: ep (last fence), relay (8 bytes), canvas (8 bytes), seq, time, ver, bits,
--          config (bytes), seen, step (of take-overs), start (until the first arm), copied
--          (epoch-seq), copiedat
--   out    stream: <last seq>-0 -> r, the bytes of one wire.Record; 0-1 is a start canvas
--   req:0, req:1   the requests of even and odd generations, see "Request memory"
--   latest the pointer to the newest published copy
--
-- Numbers are little endian. Canvas, relay, instance and user are never turned
-- into numbers, which would hold 53 bits of them only.

local EVENT, ASKED, BATCH = 25, 12, 512
local PIXELS = 262144
local WINDOW = 120000     -- ms that an outcome is kept, core.ResendWindowMS
local SPAN = 900000       -- ms of a generation of requests
local COPY_MS = 60000     -- a published copy lives so long

-- Nothing but redis.register_function exists while a library is loaded, so these
-- are filled by the first call.
local call, pack, unpack_bytes, unpack, tonumber
local concat, rep, char, floor, max, format
-- Small things that every batch needs many of, made once.
local COLOR, DECIMAL, INDEX, HUNDREDS, LOW, UNITS, FIELDS, PIECES

local function begin()
  call, pack, unpack_bytes, unpack, tonumber = redis.call, struct.pack, struct.unpack, _G.unpack, _G.tonumber
  concat, rep, char, floor, max, format = table.concat, string.rep, string.char, math.floor, math.max, string.format
  COLOR, DECIMAL, INDEX, HUNDREDS, LOW, UNITS, FIELDS, PIECES = {}, {}, {}, {}, {}, {}, {}, {}
  for i = 0, 255 do COLOR[i], DECIMAL[i] = char(i), format('%d', i) end
  for i = 0, floor(PIXELS / 1000) do HUNDREDS[i] = '#' .. i end
  for i = 0, 999 do LOW[i], UNITS[i] = '#' .. i, format('%03d', i) end
  for n = 1, BATCH do
    INDEX[n] = pack('<I2', n)
  end
end

-- What was armed by this process: meta key -> {ep, seq, ver, bits, head}. It is
-- neither replicated nor stored, and that is the fence: a server that restarted,
-- was promoted or was put back does not know it, or knows another seq than it finds.
local armed = {}

-- A shard that stands still for a take-over: meta key -> {ep, step}, as little stored
-- as armed. The fence and every step after it count meta's step, so a server that
-- was put back behind one of them finds another count than it knows of, and is not
-- armed without it.
local standing = {}

-- Written as decimal digits, whatever the size.
local function digits(n) return format('%d', n) end

local function now(last)
  local t = call('TIME')
  return max(tonumber(last or 0), t[1] * 1000 + floor(t[2] / 1000))
end

-- Formats of n events: offset, colour, instance, number; and what lies before and
-- behind each old colour.
local function formats(n)
  if not FIELDS[n] then FIELDS[n], PIECES[n] = '<' .. rep('I3Bxxxxxxxxxc8c4', n), rep('c4xc20', n) end
  return FIELDS[n], PIECES[n]
end

local function is_armed(a, ep, seq) return a and a.ep == ep and a.seq == seq end

local function unfenced(meta, ep, seq)
  local flag = is_armed(armed[meta], ep, seq) and 1 or 0
  return redis.error_reply(format('UNFENCED %s %d', ep or '0', flag))
end

-- The bytes of a record without its body. n is 0 but for placements.
local function header(a, kind, first, time, n)
  return '\1' .. char(kind) .. a.head .. pack('<I8I8I2', first, time, n)
end

---------------------------------------------------------------------------
-- Request memory: what became of every (instance, number) of the last WINDOW.
--
-- A generation is one hash for SPAN, two are kept. Field instance has the page's
-- highest number: number, index and base of its seq, time [, floor, carried]. When
-- that number makes room for a higher one within the window, it is spilled to field
-- instance+number. Numbers below floor that have no spill are expired: one above
-- them has left the window. Numbers below carried had their spills in the generation
-- before, which are complete while that one is kept and gone with it, so below
-- carried is expired then. Every spill is younger in generations than the record
-- that leads to it, or as old.

local VALUE, LONG = '<I4I2I8I8', '<I4I2I8I8I5I5'

local function book(keys, at, time)
  local g = floor(time / SPAN)
  return { time = time, gen = g, cur = keys[at + g % 2], prev = keys[at + 1 - g % 2], writes = {}, n = 0, page = {}, spills = {} }
end

-- open looks up the records of all pages: got[i] is page i's, and old[i] says that
-- it lies in the generation before. Stale generations count as empty.
local function open(b, pages, n)
  local got, old = {}, {}
  local found = call('HMGET', b.cur, 'g', unpack(pages, 1, n))
  local stale = tonumber(found[1] or -1) ~= b.gen
  b.begin = stale
  local missing, at, m = {}, {}, 0
  for i = 1, n do
    local v = not stale and found[i + 1]
    if v then
      got[i] = v
    else
      m = m + 1
      missing[m], at[m] = pages[i], i
    end
  end
  b.alive = true
  if m > 0 then
    found = call('HMGET', b.prev, 'g', unpack(missing, 1, m))
    b.alive = tonumber(found[1] or -1) == b.gen - 1
    if b.alive then
      for i = 1, m do
        if found[i + 1] then got[at[i]], old[at[i]] = found[i + 1], true end
      end
    end
  else
    b.alive = tonumber(call('HGET', b.prev, 'g') or -1) == b.gen - 1
  end
  return got, old
end

local function put(b, field, value)
  local n = b.n
  b.writes[n + 1], b.writes[n + 2] = field, value
  b.n = n + 2
end

-- read returns number, seq, time, floor, carried of a page's record.
local function read(v)
  if #v == 22 then
    local number, index, base, time = unpack_bytes(VALUE, v)
    return number, base + index, time, 0, 0
  end
  local number, index, base, time, low, carried = unpack_bytes(LONG, v)
  return number, base + index, time, low, carried
end

-- find returns seq and time of a request that a page with record v stored; 0 when
-- that is expired; nothing when it was never stored.
local function find(b, page, number, v, old)
  local last, seq, time, low, carried = read(v)
  if number > last then return nil end
  if number < last then
    local field = page .. pack('<I4', number)
    local s = b.spills[field] or not b.begin and call('HGET', b.cur, field) or b.alive and call('HGET', b.prev, field)
    if not s then
      if number < low or number < carried and (old or not b.alive) then return 0 end
      return nil
    end
    seq, time = unpack_bytes('<I8I8', s)
  end
  if time + WINDOW <= b.time then return 0 end
  return seq, time
end

local function spill(b, page, number, seq, time)
  local field, s = page .. pack('<I4', number), pack('<I8I8', seq, time)
  b.spills[field] = s
  put(b, field, s)
end

-- remember enters a request that find did not know, of a page with record v.
local function remember(b, page, number, seq, time, v, old)
  local last, lastseq, lasttime, low, carried = read(v)
  if old then low, carried = max(low, carried), last + 1 end
  if number < last then
    spill(b, page, number, seq, time)
    if not old then return end
    number, seq, time, last = last, lastseq, lasttime, number -- the record moves to this generation
  elseif lasttime + WINDOW > b.time then
    spill(b, page, last, lastseq, lasttime)
  else
    low = max(low, last + 1)
  end
  local r = pack(LONG, number, 0, seq, time, low, carried)
  b.page[page] = r
  put(b, page, r)
end

local function close(b)
  if b.n == 0 then return end
  if b.begin then
    call('UNLINK', b.cur)
    put(b, 'g', digits(b.gen))
  end
  call('HSET', b.cur, unpack(b.writes, 1, b.n))
  if b.begin then call('PEXPIRE', b.cur, 3 * SPAN) end
end

---------------------------------------------------------------------------
-- place. KEYS bmp meta out req:0 req:1, ARGV epoch version events asked
--
-- events: n * wire.RecordEventBytes, their old colours 0. asked: m * (instance 8,
-- number 4), which are looked up only. The answer: first seq (8), time (8), and per
-- event and per asked request one byte: 0 stored, under the next seq; 1 stored
-- before, followed by seq (8) and time (8); 2 expired; 3 not stored (asked only).

local function place(keys, args)
  local meta = keys[2]
  local m = call('HMGET', meta, 'ep', 'seq', 'time')
  local a = armed[meta]
  if not is_armed(a, m[1], m[2]) or args[1] ~= m[1] then return unfenced(meta, m[1], m[2]) end
  if args[2] ~= a.ver then return redis.error_reply('CONFIG ' .. a.ver) end
  local blob, asked = args[3], args[4]
  local n, k = #blob / EVENT, #asked / ASKED
  if n % 1 ~= 0 or k % 1 ~= 0 or n + k < 1 or n + k > BATCH then return redis.error_reply('BADARG length') end
  local fields, halves = formats(n)
  local ev = { unpack_bytes(fields, blob) }
  local colors, pages = a.colors, {}
  for i = 1, n do
    local at = 4 * i
    if ev[at - 3] >= PIXELS or ev[at - 2] >= colors then return redis.error_reply('BADARG offset or colour') end
    pages[i] = ev[at - 1]
  end
  for i = 1, k do pages[n + i] = asked:sub(ASKED * i - 11, ASKED * i - 4) end

  local time = now(m[3])
  local b = book(keys, 4, time)
  local got, old = open(b, pages, n + k)
  local base = tonumber(m[2])
  local suffix = pack('<I8I8', base, time)
  local page, writes, w = b.page, b.writes, 0
  local kind = a.kind
  local bits, p, j = { 'BITFIELD', keys[1] }, 2, 0
  local stored = {}  -- place of the j-th new event in the blob
  local said         -- status bytes, when not all are 0
  for i = 1, n do
    local at = 4 * i
    local inst, number4 = ev[at - 1], ev[at]
    local v, o = page[inst], false
    if not v then v, o = got[i], old[i] end
    local seq, when
    if v then
      local number = unpack_bytes('<I4', number4)
      seq, when = find(b, inst, number, v, o)
      if not seq then
        b.n = w
        remember(b, inst, number, base + j + 1, time, v, o)
        w = b.n
      end
    else
      local r = number4 .. INDEX[j + 1] .. suffix
      page[inst] = r
      writes[w + 1], writes[w + 2] = inst, r
      w = w + 2
    end
    if seq then
      if not said then
        said = {}
        for x = 1, i - 1 do said[x] = '\0' end
      end
      said[i] = seq == 0 and '\2' or '\1' .. pack('<I8I8', seq, when)
    else
      j = j + 1
      stored[j] = i
      local off = ev[at - 3]
      local high = floor(off / 1000)
      bits[p + 1], bits[p + 2] = 'SET', kind
      bits[p + 3] = high == 0 and LOW[off] or HUNDREDS[high] .. UNITS[off - 1000 * high]
      bits[p + 4] = DECIMAL[ev[at - 2]]
      p = p + 4
      if said then said[i] = '\0' end
    end
  end
  b.n = w
  local statuses = said and concat(said) or rep('\0', n)
  if k > 0 then
    local more = {}
    for i = 1, k do
      local inst = pages[n + i]
      local v, o = page[inst], false
      if not v then v, o = got[n + i], old[n + i] end
      local seq, when
      if v then seq, when = find(b, inst, unpack_bytes('<I4', asked, ASKED * i - 3), v, o) end
      more[i] = not seq and '\3' or seq == 0 and '\2' or '\1' .. pack('<I8I8', seq, when)
    end
    statuses = statuses .. concat(more)
  end
  local answer = pack('<I8I8', base + 1, time) .. statuses
  if j == 0 then return answer end

  -- From here on all succeeds. Should it not, nothing is armed any more.
  armed[meta] = nil
  local olds = call(unpack(bits, 1, p))
  local pieces, parts = { unpack_bytes(halves, blob) }, {}
  local q = 1
  for x = 1, j do
    local at = 2 * stored[x]
    parts[q], parts[q + 1], parts[q + 2] = pieces[at - 1], COLOR[olds[x]], pieces[at]
    q = q + 3
  end
  local last = digits(base + j)
  call('XADD', keys[3], last .. '-0', 'r', header(a, 1, base + 1, time, j) .. concat(parts))
  call('HSET', meta, 'seq', last, 'time', digits(time))
  close(b)
  a.seq = last
  armed[meta] = a
  return answer
end

---------------------------------------------------------------------------
-- The relay's functions.

-- fenced returns an error unless epoch is the last fence, nothing is armed, and
-- nothing that was written since that fence was lost.
local function fenced(meta, epoch)
  local m = call('HMGET', meta, 'ep', 'seq', 'step')
  if not m[1] or m[1] ~= epoch then return redis.error_reply('EPOCH ' .. (m[1] or '0')) end
  if is_armed(armed[meta], m[1], m[2]) then return redis.error_reply('ARMED ' .. m[1]) end
  local f = standing[meta]
  if not f or f.ep ~= epoch or f.step ~= tonumber(m[3]) then return redis.error_reply('EPOCH ' .. m[1] .. ' of another time') end
end

local function stepped(meta, epoch)
  standing[meta] = { ep = epoch, step = call('HINCRBY', meta, 'step', 1) }
end

-- stand. KEYS meta out
local function stand(keys)
  local m = call('HMGET', keys[1], 'ep', 'seq', 'relay', 'canvas', 'ver', 'seen', 'time')
  local bottom = call('XRANGE', keys[2], '1', '+', 'COUNT', 1)[1]
  local top = call('XREVRANGE', keys[2], '+', '1', 'COUNT', 1)[1]
  local zero = rep('\0', 8)
  return {
    m[1] or '0', is_armed(armed[keys[1]], m[1], m[2]) and '1' or '0', m[2] or '0', m[3] or zero, m[4] or zero,
    m[5] or '0', m[6] or '0', m[7] or '0', bottom and bottom[1] or '0-0', top and top[1] or '0-0',
  }
end

-- fence. KEYS meta, ARGV epoch
local function fence(keys, args)
  local meta = keys[1]
  local ep = call('HGET', meta, 'ep') or '0'
  if tonumber(args[1]) < tonumber(ep) then return redis.error_reply('EPOCH ' .. ep) end
  armed[meta] = nil
  call('HSET', meta, 'ep', args[1])
  stepped(meta, args[1])
  return redis.status_reply('OK')
end

-- rebuild. KEYS bmp meta out, ARGV epoch canvas version bits config pixels time start
-- start is the body of a start record; it goes to the stream if nothing was ever there.
local function rebuild(keys, args)
  local meta = keys[2]
  local err = fenced(meta, args[1])
  if err then return err end
  local m = call('HMGET', meta, 'seq', 'time')
  if #args[2] ~= 8 or #args[6] ~= PIXELS * tonumber(args[4]) / 8 then return redis.error_reply('BADARG rebuild') end
  call('SET', keys[1], args[6])
  call('HSET', meta, 'canvas', args[2], 'ver', args[3], 'bits', args[4], 'config', args[5],
    'time', digits(max(tonumber(m[2] or 0), tonumber(args[7]))), 'seq', m[1] or '0')
  if (m[1] or '0') == '0' and call('EXISTS', keys[3]) == 0 then
    call('HSET', meta, 'start', args[8])
  else
    call('HDEL', meta, 'start')
  end
  stepped(meta, args[1])
  return redis.status_reply('OK')
end

-- recall. KEYS meta req:0 req:1, ARGV epoch requests
-- requests: n * (instance 8, number 4, seq 8, time 8)
local function recall(keys, args)
  local meta, blob = keys[1], args[2]
  local err = fenced(meta, args[1])
  if err then return err end
  local n = #blob / 28
  if n % 1 ~= 0 or n < 1 or n > BATCH then return redis.error_reply('BADARG length') end
  local b, pages = book(keys, 2, now(call('HGET', meta, 'time'))), {}
  for i = 1, n do pages[i] = blob:sub(28 * i - 27, 28 * i - 20) end
  local got, old = open(b, pages, n)
  for i = 1, n do
    local inst = pages[i]
    local number, seq, time = unpack_bytes('<I4I8I8', blob, 28 * i - 19)
    local v, o = b.page[inst], false
    if not v then v, o = got[i], old[i] end
    if not v then
      b.page[inst] = pack(VALUE, number, 0, seq, time)
      put(b, inst, b.page[inst])
    elseif not find(b, inst, number, v, o) then
      remember(b, inst, number, seq, time, v, o)
    end
  end
  close(b)
  stepped(meta, args[1])
  return redis.status_reply('OK')
end

-- arm. KEYS meta out, ARGV epoch relay shard minseq lastold
local function arm(keys, args)
  local meta, out = keys[1], keys[2]
  local m = call('HMGET', meta, 'ep', 'seq', 'relay', 'canvas', 'ver', 'bits', 'time', 'start')
  if is_armed(armed[meta], m[1], m[2]) and m[1] == args[1] and m[3] == args[2] then return redis.status_reply('OK') end
  local err = fenced(meta, args[1])
  if err then return err end
  if not m[4] or not m[5] then return redis.error_reply('EPOCH never built') end
  local bits, time = tonumber(m[6]), now(m[7])
  local seq = max(tonumber(m[2]), tonumber(args[4]))
  local top = call('XREVRANGE', out, '+', '-', 'COUNT', 1)[1]
  if top then seq = max(seq, tonumber(top[1]:match('^%d+'))) end
  local first = digits(seq + 1)
  local a = {
    ep = m[1], seq = first, ver = m[5], kind = 'u' .. m[6], colors = 2 ^ bits,
    head = m[4] .. pack('<BI4', tonumber(args[3]), tonumber(m[1])) .. args[2],
  }
  armed[meta] = nil
  if m[8] and not top and args[5] == '0' then
    call('XADD', out, '0-1', 'r', header(a, 2, 0, time, 0) .. m[8])
  end
  call('XADD', out, first .. '-0', 'r', header(a, 5, seq + 1, time, 0) .. pack('<I8', tonumber(args[5])))
  call('HSET', meta, 'seq', first, 'time', digits(time), 'relay', args[2])
  call('HDEL', meta, 'start')
  armed[meta] = a
  return redis.status_reply('OK')
end

-- configure. KEYS meta out, ARGV version config. The caller has compared the
-- configuration with the one before; a version that is not newer changes nothing.
local function configure(keys, args)
  local meta = keys[1]
  local m = call('HMGET', meta, 'ep', 'seq', 'time')
  local a = armed[meta]
  if not is_armed(a, m[1], m[2]) then return unfenced(meta, m[1], m[2]) end
  local version = tonumber(args[1])
  if version <= tonumber(a.ver) then return redis.status_reply('OK') end
  if version ~= tonumber(a.ver) + 1 then return redis.error_reply('CONFIG ' .. a.ver) end
  local seq, time = tonumber(m[2]) + 1, now(m[3])
  armed[meta] = nil
  call('XADD', keys[2], digits(seq) .. '-0', 'r', header(a, 3, seq, time, 0) .. args[2])
  call('HSET', meta, 'seq', digits(seq), 'time', digits(time), 'ver', args[1], 'config', args[2])
  a.seq, a.ver = digits(seq), args[1]
  armed[meta] = a
  return redis.status_reply('OK')
end

-- trim. KEYS meta out, ARGV epoch seq. It may run out of memory, or a full outbox
-- could never be emptied.
local function trim(keys, args)
  local ep = call('HGET', keys[1], 'ep') or '0'
  if ep ~= args[1] then return redis.error_reply('EPOCH ' .. ep) end
  return call('XTRIM', keys[2], 'MINID', args[2] .. '-0')
end

-- report. KEYS meta, ARGV seq
local function report(keys, args)
  if tonumber(args[1]) > tonumber(call('HGET', keys[1], 'seen') or 0) then call('HSET', keys[1], 'seen', args[1]) end
  return redis.status_reply('OK')
end

-- publish. KEYS bmp meta latest copy, ARGV name. The pointer: name (8), epoch (4),
-- relay (8), seq (8), time (8), configuration. A copy that nothing changed since is
-- made again before it expires.
local function publish(keys, args)
  local meta = keys[2]
  local m = call('HMGET', meta, 'ep', 'seq', 'time', 'relay', 'config', 'copied', 'copiedat', 'bits')
  if not is_armed(armed[meta], m[1], m[2]) then return unfenced(meta, m[1], m[2]) end
  local state, t = m[1] .. '-' .. m[2], now()
  local age = t - tonumber(m[7] or 0)
  if m[6] == state and age >= 0 and age < COPY_MS / 2 then return 0 end
  call('COPY', keys[1], keys[4], 'REPLACE')
  call('PEXPIRE', keys[4], COPY_MS)
  call('SET', keys[3], args[1] .. pack('<I4', tonumber(m[1])) .. m[4] .. pack('<I8I8', tonumber(m[2]), tonumber(m[3])) .. m[5])
  call('HSET', meta, 'copied', state, 'copiedat', digits(t))
  return 1
end

local function register(name, body, flags)
  redis.register_function {
    function_name = 'pixelwall_1_' .. name,
    callback = function(keys, args)
      if not call then begin() end
      return body(keys, args)
    end,
    flags = flags,
  }
end

register('place', place)
register('stand', stand, { 'no-writes' })
register('fence', fence)
register('rebuild', rebuild)
register('recall', recall)
register('arm', arm)
register('configure', configure)
register('trim', trim, { 'allow-oom' })
register('report', report)
register('publish', publish)

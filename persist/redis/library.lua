#!lua name=pixelwall_8
-- The sequencer of one shard: every function is one atomic step, and checks
-- everything before its first write, because scripts do not roll back.
--
-- Keys of a shard, all in one slot:
--   bmp    the pixels, 512 a row
--   meta   hash: ep (last fence), relay (8 bytes), canvas (8 bytes), seq, time, ver, bits,
--          config (bytes), seen, step (of take-overs), start (until the first arm), copied
--          (epoch-seq), copiedat
--   out    stream: <last seq>-0 -> r, the bytes of one wire.Record, and for placements
--          o, a byte for each old colour, which are 0 in r; 0-1 is a start canvas
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
local PUBLISH_MS = 900    -- and there is no other one for so long: a little less than the second of
                          -- those who publish, or one that comes early would leave out every other copy

-- Nothing but redis.register_function exists while a library is loaded, so these
-- are filled by the first call.
local call, pack, unpack_bytes, unpack, tonumber, pairs
local concat, rep, char, floor, max, format
-- Small things that every batch needs many of, made once.
local DECIMAL, INDEX, HUNDREDS, UNITS, FIELDS
-- Tables that are used again by every call, each with a length kept beside it:
-- growing new ones is what a batch would spend most of its time on.
local BITS, WRITES

local function begin()
  call, pack, unpack_bytes, unpack, tonumber, pairs = redis.call, struct.pack, struct.unpack, _G.unpack, _G.tonumber, _G.pairs
  concat, rep, char, floor, max, format = table.concat, string.rep, string.char, math.floor, math.max, string.format
  DECIMAL, INDEX, HUNDREDS, UNITS, FIELDS, WRITES = {}, {}, {}, {}, {}, {}
  BITS = { u4 = { 'BITFIELD' }, u8 = { 'BITFIELD' } }
  for i = 0, 255 do DECIMAL[i] = format('%d', i) end
  for i = 1, floor(PIXELS / 1000) do HUNDREDS[i] = '#' .. i end
  for i = 0, 999 do UNITS[i] = format('%03d', i) end
  for n = 1, BATCH do
    INDEX[n] = pack('<I2', n)
    for kind, bits in pairs(BITS) do bits[4 * n - 1], bits[4 * n] = 'SET', kind end
  end
end

-- What was armed by this process: meta key -> {ep, seq, ver, kind, colors, head,
-- gens, jumps}. It is neither replicated nor stored, and that is the fence: a server that
-- restarted, was promoted or was put back does not know it, or knows another seq
-- than it finds. Where both agree, all of it is of that state.
local armed = {}

-- A shard that stands still for a take-over: meta key -> {ep, step, jumps}, as little stored
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

-- The format of n events: offset, colour, old colour, user (not as a number that
-- means anything, but quicker than skipping it), instance, number.
local function fields(n)
  if not FIELDS[n] then FIELDS[n] = '<' .. rep('I3BBdc8c4', n) end
  return FIELDS[n]
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
-- A generation is one hash for SPAN, two are kept.
--   instance (8)              -> the page's highest number (4), where (18) [, below (5), carried (5)]
--   instance (8), number (4)  -> where (18) of a lower number, spilled when a higher one came
--                                while it was in the window, or when it came after a higher one
--   g                         -> the number of the generation
-- where is index (2) and base (8), whose sum is the seq, and time (8).
--
-- A number without a spill is expired if it lies under below: one at or above it
-- has left the window. Numbers under carried had their spills in the generation
-- before; those are complete while it is kept, and gone with it, so then what lies
-- under carried is expired. A page's record is never in an older generation than
-- any of its spills.

local WHERE, RECORD, TAIL = '<I2I8I8', '<I4I2I8I8', '<I5I5'

-- generations returns which ones the hashes at keys[at] are.
local function generations(keys, at)
  return { [0] = tonumber(call('HGET', keys[at], 'g') or -1), tonumber(call('HGET', keys[at + 1], 'g') or -1) }
end

-- open looks up the records of n pages in both generations; gens says which ones
-- the hashes at keys[at] are, jumps is nil or as lost has it. What a batch writes is
-- gathered in WRITES and stored by close.
local function open(keys, at, gens, jumps, time, pages, n)
  local g = floor(time / SPAN)
  local i, o = g % 2, 1 - g % 2
  local b = { time = time, gen = g, gens = gens, jumps = jumps, cur = keys[at + i], prev = keys[at + o], n = 0, page = {}, spills = {} }
  b.begin = gens[i] ~= g -- what lies there is of two generations ago, or older
  b.alive = gens[o] == g - 1
  local missing = true
  if b.begin then
    b.new = {}
  else
    b.new, missing = call('HMGET', b.cur, unpack(pages, 1, n)), false
    for x = 1, n do
      if not b.new[x] then
        missing = true
        break
      end
    end
  end
  b.old = missing and b.alive and call('HMGET', b.prev, unpack(pages, 1, n))
  return b
end

-- record returns what is kept of page i, and whether it lies in the old generation.
local function record(b, i, page)
  local v = b.page[page] or b.new[i]
  if v then return v, false end
  v = b.old and b.old[i]
  return v, v and true
end

local function put(b, field, value)
  local n = b.n
  WRITES[n + 1], WRITES[n + 2] = field, value
  b.n = n + 2
end

-- lost reports whether seq lies within a jump of the log: a server that was deposed
-- gave it out, and it came to no log. jumps is from, to, from, to ...
local function lost(jumps, seq)
  for i = 1, #jumps, 2 do
    if jumps[i] < seq and seq < jumps[i + 1] then return true end
  end
  return false
end

-- find returns seq and time of the request number of a page with record v; 0 when
-- that is expired; nil when it was never stored or is lost, and then the page's
-- highest number and its time.
local function find(b, page, number, v, old)
  local last, index, base, time = unpack_bytes(RECORD, v)
  if number > last then return nil, nil, last, time end
  local at = time
  if number < last then
    local field = page .. pack('<I4', number)
    local w = b.spills[field] or not b.begin and call('HGET', b.cur, field) or b.alive and call('HGET', b.prev, field)
    if not w then
      local below, carried = 0, 0
      if #v > 22 then below, carried = unpack_bytes(TAIL, v, 23) end
      if number < below or number < carried and (old or not b.alive) then return 0 end
      return nil, nil, last, time
    end
    index, base, at = unpack_bytes(WHERE, w)
  end
  if at + WINDOW <= b.time then return 0 end
  if b.jumps and lost(b.jumps, base + index) then return nil, nil, last, time end
  return base + index, at
end

-- remember enters request number4 at where, which find did not know, of a page
-- with record v, highest number last, of time.
local function remember(b, page, number, number4, where, v, old, last, time)
  local below, carried = 0, 0
  if #v > 22 then below, carried = unpack_bytes(TAIL, v, 23) end
  if old then below, carried = max(below, carried), last + 1 end
  local r = number4 .. where
  if number < last then
    local field = page .. number4
    b.spills[field] = where
    put(b, field, where)
    if not old then return end
    r = v:sub(1, 22) -- the record comes to the generation of its spill
  elseif number > last then
    if time + WINDOW > b.time then
      local field, w = page .. v:sub(1, 4), v:sub(5, 22)
      b.spills[field] = w
      put(b, field, w)
    else
      below = max(below, last + 1)
    end
  end
  if below > 0 or carried > 0 then r = r .. pack(TAIL, below, carried) end
  b.page[page] = r
  put(b, page, r)
end

local function close(b)
  if b.n == 0 then return end
  if b.begin then
    call('UNLINK', b.cur)
    put(b, 'g', digits(b.gen))
  end
  call('HSET', b.cur, unpack(WRITES, 1, b.n))
  if b.begin then
    call('PEXPIRE', b.cur, 3 * SPAN)
    b.gens[b.gen % 2] = b.gen
  end
end

---------------------------------------------------------------------------
-- place. KEYS bmp meta out req:0 req:1, ARGV epoch version events asked
--
-- events: n * wire.RecordEventBytes, their old colours 0. asked: m * (instance 8,
-- number 4), which are looked up only. The answer: first seq (8), time (8), and per
-- event and per asked request one byte: 0 stored, under the next seq; 1 stored
-- before, followed by seq (8) and time (8); 2 expired; 3 not stored (asked only).

local function said(seq, time)
  if not seq then return '\3' end
  return seq == 0 and '\2' or '\1' .. pack('<I8I8', seq, time)
end

-- look_up answers the asked requests, whose pages come behind n others.
local function look_up(b, asked, pages, n)
  local answers = {}
  for i = 1, #asked / ASKED do
    local page = pages[n + i]
    local v, old = record(b, n + i, page)
    if v then
      local seq, when = find(b, page, unpack_bytes('<I4', asked, ASKED * i - 3), v, old)
      answers[i] = said(seq, when)
    else
      answers[i] = '\3'
    end
  end
  return concat(answers)
end

-- chosen returns the events of blob that are stored.
local function chosen(blob, stored)
  local parts = {}
  for x, i in ipairs(stored) do parts[x] = blob:sub(EVENT * i - EVENT + 1, EVENT * i) end
  return concat(parts)
end

local function place(keys, args)
  local meta = keys[2]
  local m = call('HMGET', meta, 'ep', 'seq', 'time')
  local a = armed[meta]
  if not is_armed(a, m[1], m[2]) or args[1] ~= m[1] then return unfenced(meta, m[1], m[2]) end
  if args[2] ~= a.ver then return redis.error_reply('CONFIG ' .. a.ver) end
  local blob, asked = args[3], args[4]
  local n, k = #blob / EVENT, #asked / ASKED
  if n % 1 ~= 0 or k % 1 ~= 0 or n + k < 1 or n + k > BATCH then return redis.error_reply('BADARG length') end
  local ev, pages = { unpack_bytes(fields(n), blob) }, {}
  local pixels, colors, at = PIXELS, a.colors, 1
  for i = 1, n do
    if ev[at] >= pixels or ev[at + 1] >= colors then return redis.error_reply('BADARG offset or colour') end
    pages[i], at = ev[at + 4], at + 6
  end
  for i = 1, k do pages[n + i] = asked:sub(ASKED * i - 11, ASKED * i - 4) end

  local time, base = now(m[3]), tonumber(m[2])
  local b = open(keys, 4, a.gens, a.jumps, time, pages, n + k)
  local new, old, page = b.new, b.old, b.page
  local suffix = pack('<I8I8', base, time)
  local index, writes, hundreds, units, decimal = INDEX, WRITES, HUNDREDS, UNITS, DECIMAL
  local bits, p, j = BITS[a.kind], 5, 0
  local repeats, stored -- answers and places, once an event was not stored
  at = 1
  for i = 1, n do
    local inst, number4 = pages[i], ev[at + 5]
    local seq, when
    if page[inst] or new[i] or old and old[i] then
      local v, o = record(b, i, inst)
      local number, last, last_time = unpack_bytes('<I4', number4), nil, nil
      seq, when, last, last_time = find(b, inst, number, v, o)
      if not seq then remember(b, inst, number, number4, index[j + 1] .. suffix, v, o, last, last_time) end
    else
      local r, w = number4 .. index[j + 1] .. suffix, b.n
      page[inst] = r
      writes[w + 1], writes[w + 2] = inst, r
      b.n = w + 2
    end
    if seq then
      if not repeats then
        repeats, stored = {}, {}
        for x = 1, j do repeats[x], stored[x] = '\0', x end
      end
      repeats[i] = said(seq, when)
    else
      local off = ev[at]
      local low = off % 1000
      bits[p] = off < 1000 and '#' .. off or hundreds[(off - low) / 1000] .. units[low]
      bits[p + 1] = decimal[ev[at + 1]]
      p, j = p + 4, j + 1
      if repeats then repeats[i], stored[j] = '\0', i end
    end
    at = at + 6
  end
  local answer = pack('<I8I8', base + 1, time) .. (repeats and concat(repeats) or rep('\0', n))
  if k > 0 then answer = answer .. look_up(b, asked, pages, n) end
  if j == 0 then return answer end

  -- From here on all succeeds. Should it not, nothing is armed any more.
  armed[meta] = nil
  bits[2] = keys[1]
  local olds = call(unpack(bits, 1, 4 * j + 2))
  local last = digits(base + j)
  local events = stored and chosen(blob, stored) or blob
  call('XADD', keys[3], last .. '-0', 'r', header(a, 1, base + 1, time, j) .. events, 'o', char(unpack(olds, 1, j)))
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

local function stepped(meta, epoch, jumps)
  standing[meta] = { ep = epoch, step = call('HINCRBY', meta, 'step', 1), jumps = jumps }
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

-- fence. KEYS meta, ARGV epoch. It returns seq.
local function fence(keys, args)
  local meta = keys[1]
  local m = call('HMGET', meta, 'ep', 'seq')
  local ep = m[1] or '0'
  if tonumber(args[1]) < tonumber(ep) then return redis.error_reply('EPOCH ' .. ep) end
  armed[meta] = nil
  call('HSET', meta, 'ep', args[1])
  stepped(meta, args[1])
  return m[2] or '0'
end

-- rebuild. KEYS bmp meta out, ARGV epoch canvas version bits config pixels time start jumps
-- start is the body of a start record; it goes to the stream if nothing was ever there.
-- jumps: n * (from 8, to 8), which hold until the next fence.
local function rebuild(keys, args)
  local meta = keys[2]
  local err = fenced(meta, args[1])
  if err then return err end
  local m = call('HMGET', meta, 'seq', 'time')
  local n = #args[9] / 16
  if #args[2] ~= 8 or #args[6] ~= PIXELS * tonumber(args[4]) / 8 or n % 1 ~= 0 then return redis.error_reply('BADARG rebuild') end
  call('SET', keys[1], args[6])
  call('HSET', meta, 'canvas', args[2], 'ver', args[3], 'bits', args[4], 'config', args[5],
    'time', digits(max(tonumber(m[2] or 0), tonumber(args[7]))), 'seq', m[1] or '0')
  if (m[1] or '0') == '0' and call('EXISTS', keys[3]) == 0 then
    call('HSET', meta, 'start', args[8])
  else
    call('HDEL', meta, 'start')
  end
  local jumps = { unpack_bytes('<' .. rep('I8I8', n), args[9]) }
  jumps[2 * n + 1] = nil -- where unpack stopped
  stepped(meta, args[1], jumps)
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
  local pages = {}
  for i = 1, n do pages[i] = blob:sub(28 * i - 27, 28 * i - 20) end
  local jumps = standing[meta].jumps
  local b = open(keys, 2, generations(keys, 2), jumps, now(call('HGET', meta, 'time')), pages, n)
  for i = 1, n do
    local page, number4 = pages[i], blob:sub(28 * i - 19, 28 * i - 16)
    local where = '\0\0' .. blob:sub(28 * i - 15, 28 * i)
    local v, old = record(b, i, page)
    if not v then
      b.page[page] = number4 .. where
      put(b, page, number4 .. where)
    else
      local number = unpack_bytes('<I4', number4)
      local seq, _, last, time = find(b, page, number, v, old)
      if not seq then remember(b, page, number, number4, where, v, old, last, time) end
    end
  end
  close(b)
  stepped(meta, args[1], jumps)
  return redis.status_reply('OK')
end

-- arm. KEYS meta out req:0 req:1, ARGV epoch relay shard minseq lastold
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
    head = m[4] .. pack('<BI4', tonumber(args[3]), tonumber(m[1])) .. args[2], gens = generations(keys, 3),
    jumps = standing[meta].jumps,
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
  local seq, time = tonumber(m[2]) + 1, now(m[3])
  armed[meta] = nil
  call('XADD', keys[2], digits(seq) .. '-0', 'r', header(a, 3, seq, time, 0) .. args[2])
  call('HSET', meta, 'seq', digits(seq), 'time', digits(time), 'ver', args[1], 'config', args[2])
  a.seq, a.ver = digits(seq), args[1]
  armed[meta] = a
  return redis.status_reply('OK')
end

-- trim. KEYS meta out, ARGV epoch seq
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
-- relay (8), seq (8), time (8), canvas (8), configuration. A copy that nothing changed
-- since is made again before it expires. Whoever comes soon after another one makes none.
local function publish(keys, args)
  local meta = keys[2]
  local m = call('HMGET', meta, 'ep', 'seq', 'time', 'relay', 'config', 'copied', 'copiedat', 'canvas')
  if not is_armed(armed[meta], m[1], m[2]) then return unfenced(meta, m[1], m[2]) end
  local state, t = m[1] .. '-' .. m[2], now()
  local age = t - tonumber(m[7] or 0)
  if age >= 0 and (age < PUBLISH_MS or m[6] == state and age < COPY_MS / 2) then return 0 end
  call('COPY', keys[1], keys[4], 'REPLACE')
  call('PEXPIRE', keys[4], COPY_MS)
  call('SET', keys[3], args[1] .. pack('<I4', tonumber(m[1])) .. m[4] .. pack('<I8I8', tonumber(m[2]), tonumber(m[3])) .. m[8] .. m[5])
  call('HSET', meta, 'copied', state, 'copiedat', digits(t))
  return 1
end

local function register(name, body, flags)
  redis.register_function {
    function_name = 'pixelwall_8_' .. name,
    callback = function(keys, args)
      if not call then begin() end
      return body(keys, args)
    end,
    flags = flags,
  }
end

-- Redis refuses functions at maxmemory that do not say that they may exceed it. These
-- do, or a full outbox could never be emptied: what they add is bounded, and small
-- beside what is trimmed.
local FULL = { 'allow-oom' }
register('place', place)
register('stand', stand, { 'no-writes' })
register('fence', fence, FULL)
register('rebuild', rebuild, FULL)
register('recall', recall, FULL)
register('arm', arm, FULL)
register('configure', configure, FULL)
register('trim', trim, FULL)
register('report', report, FULL)
register('publish', publish)

-- freeze: a replica tells what Slack has refused and what it has learnt of that, and hears which buckets are closed,
-- who probes them, and what is learnt. crates/scheduler/src/freezes.rs and in_common.rs tell what the words mean.
--
-- KEYS[1]  <prefix>:2:{f}:v  whose memory it is, and who is here (hash)
-- KEYS[2]  <prefix>:2:{f}:z  the buckets that are closed or half-open (hash)
-- KEYS[3]  <prefix>:2:{f}:w  the last refusal under each of the wider buckets (hash)
-- KEYS[4]  <prefix>:2:{f}:l  what was learnt of buckets (hash)
-- ARGV[1]  replica
--     [2]  the number of this message; of two the later one has the greater
--     [3]  the epoch as it knows it; '' if it knows none
--     [4]  the version as it knows it
--     [5]  a new epoch, should one be needed: random
--     [6]  whose turn it is to probe, and who is silent for longer, is gone, in ms
--     [7]  whoever has the turn for longer has lost it, in ms
--     [8]  refusals at most so far apart have one cause, in ms
--     [9]  the run id of this server, as it said when the connection was made
--     [10]  the channel on which all are told
-- then notices:
--   closed bucket ms kept             Slack has refused a call: for ms; that matters for so long after it, and
--                                     after each turn to probe
--   witnessed above below ms kept     it was one under a wider bucket, for which that one below was closed
--   thawed bucket kept                the operator has ended a freeze
--   claimed n bucket ...              the turn to probe in all of these, or in none
--   given_up bucket                   it comes to nothing
--   passed bucket                     a call has passed
--   learnt bucket serial news record  this record goes on from that of the serial, 0 if there was none; news is 1 if
--                                     all are to be told. A record of '-': nothing is left to learn
--   knew bucket serial record         the memory may have lost it: it counts if it is newer
--   forgot bucket                     all forget it, as the operator says, or as it has another name now
-- Answers   {epoch, version, {1 or 0 for each claim}, {buckets that the notices were of}, {all}, {learnt}, {all learnt}}
--             a bucket: its name, its version, for how many ms it is closed (0: it is half-open; -1: it is
--             open), and whose turn it is to probe (0: nobody's; 1: its own; 2: another one's)
--             all: all that are closed or half-open; false if nobody else has changed any
--             learnt: for each learnt, knew and forgot: bucket, serial, ms since then, and the record; '+' if it is
--             the one that was told, '-' if there is none, '=' if it was told to all before
--        or {'late'}: there was a later message
-- Publishes 'closed <replica> <epoch> <version> <ms> <prober or -> <bucket>' when one changes, and
-- 'learnt <replica> <epoch> <version> <serial> <record or -> <bucket>'.
--
-- Fields:
--   v   e  the epoch   r  the run id of the server in which it began   n  the version
--       h<replica>  when that one was heard last, and the number of its message
--   z   <bucket>  until ms kept prober since version
--   w   <bucket>  until since below
--   l   <bucket>  serial version since record: each change of a record has a greater serial; the version is that in
--       which all were told. A record of '-' was forgotten, which is remembered as long: so nobody who was away
--       brings it back. v has in s when it was seen last which of them are too old
local V, Z, W, L, me = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local stale, longest, within = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local run, channel = ARGV[9], ARGV[10]
local MOST, DAY, HOUR = 1024, 86400000, 3600000
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local max, min, tonumber = math.max, math.min, tonumber

local flat, v = redis.call('HGETALL', V), {}
for i = 1, #flat, 2 do v[flat[i]] = flat[i + 1] end
if not v.e or v.r ~= run then
  -- Emptied; or another process, perhaps with older data. Whoever knows of a freeze tells it anew.
  redis.call('DEL', V, Z, W, L)
  v = {e = ARGV[5], r = run, n = '0'}
end
local last = v['h' .. me] and string.match(v['h' .. me], ' (%d+)$')
if last and tonumber(last) >= tonumber(ARGV[2]) then return {'late'} end
for k, at in pairs(v) do
  if string.byte(k) == 104 and now - tonumber(string.match(at, '^%d+')) > 10 * stale then         -- h
    redis.call('HDEL', V, k)
  end
end
local version = tonumber(v.n)
local before = version

-- What found no room is known for as long as it is told.
local unkept = {}
local function read(bucket)
  if unkept[bucket] then return unkept[bucket] end
  local text = redis.call('HGET', Z, bucket)
  if not text then return end
  local till, ms, kept, who, since, is = string.match(text, '^(%d+) (%d+) (%d+) (%S+) (%d+) (%d+)$')
  local e = {till = tonumber(till), ms = tonumber(ms), kept = tonumber(kept), who = who,
    since = min(now, tonumber(since)), version = tonumber(is)}
  e.till = min(e.till, now + e.ms)                                     -- the clock may have gone back
  local turn = e.since + (e.who == '-' and 0 or longest)
  if max(e.till, turn) + e.kept <= now then
    redis.call('HDEL', Z, bucket)
    return
  end
  return e
end
local function left(e) return max(0, e.till - now) end
local function tell(bucket, ms, who)
  redis.call('PUBLISH', channel, table.concat({'closed', me, v.e, int(version), int(ms), who, bucket}, ' '))
end
local function write(bucket, e)
  version = version + 1
  e.version = version
  local has_room = redis.call('HLEN', Z) < MOST or redis.call('HEXISTS', Z, bucket) == 1
  if not has_room then
    for _, name in ipairs(redis.call('HKEYS', Z)) do read(name) end
    has_room = redis.call('HLEN', Z) < MOST
  end
  if has_room then
    redis.call('HSET', Z, bucket, table.concat({int(e.till), int(e.ms), int(e.kept), e.who, int(e.since),
      int(e.version)}, ' '))
  else
    unkept[bucket] = e
  end
  tell(bucket, left(e), e.who)
end
local function closed(bucket, ms, kept)
  local e = read(bucket)
  if e and e.till > now and e.till >= now + ms then return end
  write(bucket, {till = now + ms, ms = ms, kept = max(kept, e and e.kept or 0), who = '-', since = now})
end
local function is_gone(e)
  local at = v['h' .. e.who]
  return not at or now - tonumber(string.match(at, '^%d+')) > stale or now - e.since >= longest
end

local function lesson(bucket)
  local text = redis.call('HGET', L, bucket)
  if not text then return end
  local serial, is, since, record = string.match(text, '^(%d+) (%d+) (%d+) (%S+)$')
  return {serial = tonumber(serial), version = tonumber(is), since = min(now, tonumber(since)), record = record,
    live = record ~= '-'}
end
local function tell_lesson(bucket, serial, record)
  version = version + 1
  redis.call('PUBLISH', channel, table.concat({'learnt', me, v.e, int(version), int(serial), record, bucket}, ' '))
end
-- It is too old, or too many are known.
local function drop(bucket)
  local e = lesson(bucket)
  redis.call('HDEL', L, bucket)
  if e.live then tell_lesson(bucket, e.serial, '-') end
end
-- In the order of their names.
local function lessons()
  local names = redis.call('HKEYS', L)
  table.sort(names)
  return names
end
local function keep(bucket, serial, news, record)
  local e = lesson(bucket)
  if not e and redis.call('HLEN', L) >= MOST then
    local oldest, since
    for _, name in ipairs(lessons()) do
      local other = lesson(name)
      if not since or other.since < since then oldest, since = name, other.since end
    end
    drop(oldest)
  end
  if record == '-' then news = e and e.live end
  if news then tell_lesson(bucket, serial, record) end
  local is = e and not news and e.version or version
  redis.call('HSET', L, bucket, table.concat({int(serial), int(is), int(now), record}, ' '))
end
-- Later records have greater numbers, also than those of a memory that was lost.
local function next_serial(e) return max(now, (e and e.serial or 0) + 1) end
if not v.s or math.abs(now - tonumber(v.s)) >= HOUR then
  for _, name in ipairs(lessons()) do
    if now - lesson(name).since > DAY then drop(name) end
  end
  v.s = int(now)
end

local learnt = {}
local function add_lesson(to, bucket, record)
  local e, n = lesson(bucket), #to
  to[n + 1], to[n + 2], to[n + 3] = bucket, e and e.serial or 0, e and now - e.since or 0
  to[n + 4] = record or e and e.record or '-'
end

local granted, touched, is = {}, {}, {}
local function touch(bucket)
  if not is[bucket] then touched[#touched + 1], is[bucket] = bucket, true end
end
local at = 11
local function arg() at = at + 1; return ARGV[at - 1] end
while at <= #ARGV do
  local kind, bucket = arg(), arg()
  if kind == 'closed' then
    closed(bucket, tonumber(arg()), tonumber(arg()))
    touch(bucket)
  elseif kind == 'witnessed' then
    local below, ms, kept = arg(), tonumber(arg()), tonumber(arg())
    local was = redis.call('HGET', W, bucket)
    if redis.call('HLEN', W) >= MOST then redis.call('DEL', W) end
    redis.call('HSET', W, bucket, table.concat({int(now + ms), int(now), below}, ' '))
    if was then
      local till, since, other = string.match(was, '^(%d+) (%d+) (.*)$')
      till = min(tonumber(till), now + ms)
      if other ~= below and math.abs(now - tonumber(since)) <= within and till > now then
        closed(bucket, till - now, kept)
        touch(bucket)
      end
    end
  elseif kind == 'thawed' then
    local e = read(bucket)
    write(bucket, {till = now, ms = 0, kept = max(tonumber(arg()), e and e.kept or 0), who = '-', since = now})
    touch(bucket)
  elseif kind == 'claimed' then
    local all, may = {}, true
    for i = 1, tonumber(bucket) do
      all[i] = arg()
      local e = read(all[i])
      may = may and (not e or e.till <= now and (e.who == '-' or e.who == me or is_gone(e)))
      touch(all[i])
    end
    for _, name in ipairs(may and all or {}) do
      local e = read(name)
      if e then
        e.who, e.since = me, now
        write(name, e)
      end
    end
    granted[#granted + 1] = may and 1 or 0
  elseif kind == 'learnt' then
    local serial, news, record = tonumber(arg()), arg() == '1', arg()
    local e = lesson(bucket)
    if serial == (e and e.live and e.serial or 0) then
      keep(bucket, next_serial(e), news, record)
      add_lesson(learnt, bucket, '+')
    else
      add_lesson(learnt, bucket)
    end
  elseif kind == 'knew' then
    local serial, record = tonumber(arg()), arg()
    local e = lesson(bucket)
    if not e or serial > e.serial then
      keep(bucket, max(serial, 1), true, record)
      add_lesson(learnt, bucket, '+')
    else
      add_lesson(learnt, bucket)
    end
  elseif kind == 'forgot' then
    keep(bucket, next_serial(lesson(bucket)), true, '-')
    add_lesson(learnt, bucket)
  else
    local e = read(bucket)
    if kind == 'given_up' and e and e.who == me and e.till <= now then
      e.who, e.since = '-', now
      write(bucket, e)
    elseif kind == 'passed' and e and e.till <= now then
      version = version + 1
      redis.call('HDEL', Z, bucket)
      tell(bucket, -1, '-')
    end
    touch(bucket)
  end
end

local function add(to, bucket)
  local e = read(bucket)
  local n = #to
  to[n + 1], to[n + 2] = bucket, e and e.version or version
  to[n + 3] = e and left(e) or -1
  to[n + 4] = e and e.who ~= '-' and (e.who == me and 1 or 2) or 0
  return e
end
local of, all = {}, false
for _, bucket in ipairs(touched) do add(of, bucket) end
-- A list without those that found no room would open them.
if (ARGV[3] ~= v.e or tonumber(ARGV[4]) ~= before) and redis.call('HLEN', Z) < MOST then
  all = {}
  for _, bucket in ipairs(redis.call('HKEYS', Z)) do
    if read(bucket) then add(all, bucket) end
  end
end
local all_learnt = false
if ARGV[3] ~= v.e or tonumber(ARGV[4]) ~= before then
  all_learnt = {}
  for _, bucket in ipairs(lessons()) do
    local e = lesson(bucket)
    local same = ARGV[3] == v.e and e.version <= tonumber(ARGV[4])
    if e.live then add_lesson(all_learnt, bucket, same and '=' or nil) end
  end
end
redis.call('HSET', V, 'e', v.e, 'r', run, 'n', int(version), 's', v.s, 'h' .. me, int(now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', V, 86400000)
redis.call('PEXPIRE', Z, 86400000)
redis.call('PEXPIRE', W, 86400000)
redis.call('PEXPIRE', L, 86400000)
return {v.e, int(version), granted, of, all, learnt, all_learnt}

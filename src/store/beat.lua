-- beat: a replica is here. It joins, begins an epoch where one is needed, and ends the cold time after a
-- loss of memory: for each bucket when whoever is not heard can have no call that counts any more. src/store/mod.rs tells what the words mean.
--
-- KEYS[1]  <prefix>:2:{g}:m  the members of the group (hash)
-- KEYS[2]  <prefix>:2:{g}:h  of which part of each bucket is used (sorted set)
-- KEYS[3]  <prefix>:2:{g}:o  when slots of replicas that are gone become free (sorted set)
-- KEYS[4]  <prefix>:{g}:v  the versions of the scripts (hash): when members of each were heard last, and how many
--          there are. All versions write there, as 'ms members'
-- KEYS[5..]  <prefix>:<version>:{g}:m  the members of versions that did not
-- ARGV[1]  replica
--     [2]  the epoch as it knows it; '' if it knows none
--     [3]  a new epoch, should one be needed: random
--     [4]  who is silent for longer is forgotten, in ms: forget_after
--     [5]  the longest period, in ms
--     [6]  how long a call may be in flight, in ms
--     [7]  who is silent for longer is granted nothing, in ms: three beats
--     [8]  '1': all that it holds is told in this epoch
--     [9]  how many buckets of which much is used it is told of at most
--     [10]  the beginning of a bucket's key: <prefix>:2:{g}:b:
--     [11]  how many names follow that it has taken over from: what they used is in what it tells
--     [12]  the version of this script
--     [13]  the run id of this server, as it said when the connection was made
--     [14..]  those names, and then the other members that it knows of
-- Answers  {epoch, cold, {members}, {buckets}, apart}
--             cold: nothing is granted of limits with such a period, in ms, or a longer one; -1: of none
--             apart: how many replicas have other versions, of whose slots nothing is known here
--             buckets: those of which more than a member's part is used, or slots by others than
--             members, without the beginning of their keys; one more than asked for, if there are
--             too many to tell
--          or {'gone'}: it was forgotten
--
-- Fields of the members:
--   e     the epoch
--   n     the run id of the server in which it began
--   c     since when it is cold: members are waited for that have not told what they hold; '' if it is not
--   l     when anybody was heard last
--   f     when a member was forgotten last
--   x     when a replica with another version was heard last; '' if none has a call that counts
--   m<replica>  when that one was heard last
--   p<replica>  the epoch in which that one has told all
--   d<replica>  since when another one has taken over from that one
--
-- In m, h and o only scripts of this group read and write, and the buckets they name are of this group.
local M, H, O, V, me, knows = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2]
local version, run = ARGV[12], ARGV[13]
local forget, flight, stale = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7])
local grace, most, prefix, ended = tonumber(ARGV[5]) + flight, tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(x) return string.format('%.0f', x) end

local flat, h, ids = redis.call('HGETALL', M), {}, {}
for i = 1, #flat, 2 do
  h[flat[i]] = flat[i + 1]
  if string.byte(flat[i]) == 109 then ids[#ids + 1] = string.sub(flat[i], 2) end        -- m
end
local function set(k, v) h[k] = v; redis.call('HSET', M, k, v) end
local function heard(id, at)
  if not h['m' .. id] then ids[#ids + 1] = id end
  set('m' .. id, int(at))
end

if h['d' .. me] then return {'gone'} end
if not h.e or h.e == '' or h.n ~= run or now - tonumber(h.l) > stale then
  -- Emptied; or another process, perhaps with older data; or it has heard nobody for a while.
  set('e', ARGV[3]); set('n', run); set('c', int(now))
  for _, id in ipairs(ids) do set('m' .. id, int(now)) end
elseif knows == h.e and not h['m' .. me] then
  return {'gone'}
end
-- Who says this in its epoch of now has heard of the others from here.
if h.c ~= '' and knows ~= h.e then
  for i = 14 + ended, #ARGV do
    if not h['m' .. ARGV[i]] and not h['d' .. ARGV[i]] then heard(ARGV[i], now) end
  end
end
heard(me, now); set('l', int(now))
if ARGV[8] == '1' and knows == h.e then
  set('p' .. me, h.e)
  for i = 14, 13 + ended do
    local id = ARGV[i]
    if h['m' .. id] then redis.call('HDEL', M, 'm' .. id, 'p' .. id); h['m' .. id] = nil end
    if not h['d' .. id] then set('d' .. id, int(now)) end
  end
end
-- By then nothing is left of it.
for i = 1, #flat, 2 do
  if string.byte(flat[i]) == 100 and now - tonumber(flat[i + 1]) > grace then              -- d
    redis.call('HDEL', M, flat[i]); h[flat[i]] = nil
  end
end

local members, untold, forgot = {}, nil, false                        -- when the last of them was heard
for _, id in ipairs(ids) do
  local at = tonumber(h['m' .. id] or now)
  if at > now then at = now; set('m' .. id, int(now)) end              -- its clock has gone back
  local told = h['p' .. id] == h.e
  if not h['m' .. id] then
    -- Another one has just taken over from it.
  elseif now - at > forget + (told and 0 or grace) then
    redis.call('HDEL', M, 'm' .. id, 'p' .. id)
    forgot = true
  else
    members[#members + 1] = id
    if not told then untold = math.max(untold or 0, at) end
  end
end
if forgot or h.f and tonumber(h.f) > now then set('f', int(now)) end
local cold = -1
if h.c ~= '' then
  if now - tonumber(h.c) < stale then
    cold = 0
  elseif untold then
    -- Its lease ends, and each of its calls counts no longer than a flight and the limit's period after that.
    cold = math.max(0, now - untold - forget - flight)
  else
    set('c', '')
  end
end
-- Of what others hold that have another version nothing is known. They notice, too, and each replica uses its
-- part only, as long as a call of theirs may count: as of one that was silent since then.
local apart, strangers = nil, 0
local function heard_of(at, n)
  local counts = math.abs(now - at) <= forget + grace
  if counts then apart, strangers = math.max(apart or 0, math.min(at, now)), strangers + n end
  return counts
end
redis.call('HSET', V, version, int(now) .. ' ' .. #members)
local versions = redis.call('HGETALL', V)
for i = 1, #versions, 2 do
  if versions[i] ~= version then
    local at, n = string.match(versions[i + 1], '^(%d+) (%d+)')
    if not (at and heard_of(tonumber(at), tonumber(n))) then redis.call('HDEL', V, versions[i]) end
  end
end
for i = 5, #KEYS do
  local flat, at, n = redis.call('HGETALL', KEYS[i]), nil, 0
  for f = 1, #flat, 2 do
    if flat[f] == 'l' then at = tonumber(flat[f + 1]) end
    if string.byte(flat[f]) == 109 then n = n + 1 end                                   -- m
  end
  if at then heard_of(at, n) end
end
local last = apart and int(apart) or ''
if (h.x or '') ~= last then set('x', last) end
if apart then
  local from = math.max(0, now - apart - forget - flight)
  cold = cold < 0 and from or math.min(cold, from)
end
redis.call('PEXPIRE', M, 86400000)
redis.call('PEXPIRE', V, 86400000)

-- Slots of replicas that are gone become free by themselves. So what is used is reckoned anew.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', O, '-inf', int(now), 'LIMIT', 0, 100)) do
  local flat, used, quota, next = redis.call('HGETALL', prefix .. name), 0, 0, nil
  for i = 1, #flat, 2 do
    local c, v = string.byte(flat[i]), flat[i + 1]
    if c == 114 then                                                                    -- r
      local g, tk, r = string.match(v, '^%S+ %d+ %d+ (%d+) (%d+) (%d+)')
      used = used + math.max(0, g + tk - r)
    elseif c == 111 then                                                                -- o
      for n, till in string.gmatch(v, '(%d+)@(%d+)@') do
        till = tonumber(till)
        if till > now then
          used = used + n
          next = math.min(next or till, till)
        end
      end
    elseif c == 113 then quota = tonumber(v) end                                        -- q
  end
  if next then redis.call('ZADD', O, int(next), name) else redis.call('ZREM', O, name) end
  if used > 0 and quota > 0 then
    redis.call('ZADD', H, string.format('%.17g', used / quota), name)
  else
    redis.call('ZREM', H, name)
  end
end
-- What a bucket that has expired leaves in there is found by chance.
for _, name in ipairs(redis.call('ZRANDMEMBER', H, 3)) do
  if redis.call('EXISTS', prefix .. name) == 0 then redis.call('ZREM', H, name) end
end
-- Whoever was forgotten may use what it held for a period and a flight, and the last of its calls counts as long again.
-- Until then the parts of all members come on top of that, whatever is used.
local hot, is = {}, {}
local function add(set, names, since)
  for _, name in ipairs(names) do
    local period = redis.call('HGET', prefix .. name, 'p')
    if not period then
      redis.call('ZREM', set, name)
    elseif #hot <= most and not is[name] and not (since and since >= 2 * (period + flight)) then
      hot[#hot + 1], is[name] = name, true
    end
  end
end
local part = string.format('%.17g', 1 / math.max(1, #members))
add(H, redis.call('ZRANGEBYSCORE', H, '(' .. part, '+inf', 'LIMIT', 0, most + 1))
local since = h.f and now - tonumber(h.f)
if since and since < 2 * grace then
  local used = redis.call('ZRANGEBYSCORE', H, '(0', part, 'LIMIT', 0, most + 1)
  -- Of too many to look at, each may be one.
  add(H, used, #used <= most and since)
end
add(O, redis.call('ZRANGEBYSCORE', O, '-inf', '+inf', 'LIMIT', 0, most + 1))
return {h.e, cold, members, hot, strangers}

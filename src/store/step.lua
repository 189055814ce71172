-- step: a replica tells what it has taken, given back and wants of some buckets, and hears what it has.
--
-- Of three numbers each is written by one side only and only grows, so a step may be lost, late, doubled
-- or overtaken: GRANTED (ever, to this replica in this life of the bucket) is the store's; TAKEN (used
-- without asking) and RETURNED are the replica's. What a replica may use is GRANTED as it has heard +
-- TAKEN - RETURNED as it has said. No slot's age, and nobody's clock, is in it.
--
-- KEYS[1]   <prefix>:2:{g}:m  the members of the group (hash); see `beat`
-- KEYS[2]   <prefix>:2:{g}:h  of which part of each bucket is used (sorted set)
-- KEYS[3]   <prefix>:2:{g}:o  when slots of replicas that are gone become free (sorted set)
-- KEYS[i]   <prefix>:2:{g}:b:<bucket>  buckets of the group (hash), i > 3
-- ARGV[1]   replica
--     [2]   epoch
--     [3]   who is silent for longer is forgotten, in ms: forget_after
--     [4]   how long a call may be in flight, in ms
--     [5]   who is silent for longer is granted nothing, in ms: three beats
--     [6]   the beginning of the replicas' channels: <prefix>:2:i:
--     [7]   the length of the beginning of a bucket's key
--     [8]   1 if it leaves and has nothing more to say; then its name is gone
--     [9]   the run id of this server, as it said when the connection was made
-- ARGV, thirteen for each bucket:
--   life number                   of the bucket there; of this ask
--   seen taken returned           the highest GRANTED that it has heard of; TAKEN; RETURNED
--   interactive normal background calls that would go but for this bucket
--   callers                       how many callers these are of: its weight; 0 if it goes by that name
--                                 of the bucket no more, and wants nothing there
--   quota period                  slots in all; ms, 0 where a slot ends with the answer. ms+ms where both were
--                                 learnt: how far apart slots are granted
--   people                        1 if an interactive call came since its last ask
--   left                          '-'; if it leaves, n@ms ...: for how long so many of its slots still count
-- Answers   {'ok', then for each bucket: life, GRANTED, used, weight of all who wait, ms, quota, period}
--             used: by all; to whoever goes by that name no more, by those who do
--             ms: when to ask again; 0 if whoever waits is told
--             quota, period: those of another replica that has or wants slots; others than those of
--             the ask, if there is such a replica; 0 if there is none, or if one has learnt the limit
--        or {'cold', epoch}: it is another epoch than yours, or none: `beat` first
--        or {'gone'}: it was forgotten. What it held is not its own any more
-- Publishes '<replica> <epoch> <life> <GRANTED> <bucket>' to others that are granted slots. A replica's
-- channel is named by what is before the '.' of its name.
--
-- Fields of a bucket:
--   e            the epoch in which it was told of last
--   q            its quota: the least that holds
--   p            its period: the longest
--   r<replica>   told life number granted taken returned wants wants wants weight tag quota period
--                  told: 1 if it was told of in that epoch; wants: what is left of them, by class
--   o            n@until@ms@replica ...  slots of replicas that are gone, and how long they were kept at first
--   x            spacing next until  how far apart slots are granted, when the next one may be, and until when
--                that is known; only where it was learnt
--   s            virtual-time normal-passed-over background-passed-over people-until due
local M, H, O, me, epoch = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local forget, flight, stale = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local channel, cut = ARGV[6], tonumber(ARGV[7])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local run = ARGV[9]
local function int(x) return string.format('%.0f', x) end
local max, min, floor, tonumber = math.max, math.min, math.floor, tonumber

local head = redis.call('HMGET', M, 'e', 'c', 'l', 'm' .. me, 'n', 'x')
if epoch == '' or head[1] ~= epoch then return {'cold', head[1] or ''} end
if head[5] ~= run or now - tonumber(head[3]) > stale then
  -- Another process, perhaps with older data; or it has heard nobody for a while, and cannot tell who has
  -- used what since.
  redis.call('HSET', M, 'e', '')
  return {'cold', ''}
end
if not head[4] then return {'gone'} end
redis.call('HSET', M, 'm' .. me, int(now), 'l', int(now))

local members                                   -- read when they matter
local function member(kind, id)
  if not members then
    members = {}
    local flat = redis.call('HGETALL', M)
    for i = 1, #flat, 2 do members[flat[i]] = flat[i + 1] end
  end
  return members[kind .. id]
end
local function silence(id)
  local at = member('m', id)
  return at and max(0, now - at) or math.huge
end
-- The shortest period of limits of which nothing is granted: `beat` tells why.
local from = math.huge
if head[2] ~= '' and now - tonumber(head[2]) < stale then
  from = 0
elseif head[2] ~= '' then
  member('m', me)
  for k, at in pairs(members) do
    if string.byte(k) == 109 and members['p' .. string.sub(k, 2)] ~= epoch then                -- m
      from = min(from, max(0, now - tonumber(at) - forget - flight))
    end
  end
end
if head[6] and head[6] ~= '' then
  from = min(from, max(0, now - tonumber(head[6]) - forget - flight))
end
local function held(rec) return max(0, rec.granted + rec.taken - rec.returned) end
local function waits(rec) return rec[1] + rec[2] + rec[3] > 0 end

-- A turn of a replica of weight one. Divisible by the weights up to sixteen.
local TURN = 720720
local FIELDS = '^(%d) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$'
local out = {'ok'}

for b = 4, #KEYS do
  local B, a = KEYS[b], 9 + (b - 4) * 13
  local function arg(i) return tonumber(ARGV[a + i]) end
  local life, number, quota, period, spacing = arg(1), arg(2), arg(10), arg(11), nil
  if not period then
    period, spacing = string.match(ARGV[a + 11], '^(%d+)%+(%d+)$')
    period, spacing = tonumber(period), tonumber(spacing)
  end
  local cold = period >= from

  -- What is known of it.
  local flat, recs, mine = redis.call('HGETALL', B), {}, nil
  local kept, orphans, s, known, was, x = {}, 0, nil, nil, nil, nil
  for i = 1, #flat, 2 do
    local k, v = flat[i], flat[i + 1]
    local c = string.byte(k)
    if c == 114 then                                                                    -- r
      local told, life, number, g, tk, r, w1, w2, w3, weight, tag, q, p = string.match(v, FIELDS)
      local rec = {tonumber(w1), tonumber(w2), tonumber(w3), id = string.sub(k, 2), told = told == '1',
        life = tonumber(life), number = tonumber(number), granted = tonumber(g), taken = tonumber(tk),
        returned = tonumber(r), weight = tonumber(weight), tag = tonumber(tag), quota = tonumber(q), period = tonumber(p),
        was = v}
      recs[#recs + 1] = rec
      if rec.id == me then mine = rec end
    elseif c == 111 then                                                                -- o
      was = v
      for n, till, ms, of in string.gmatch(v, '(%d+)@(%d+)@(%d+)@(%S+)') do
        till = min(tonumber(till), now + ms)                            -- the clock may have gone back
        if till > now and not member('d', of) then
          kept[#kept + 1] = {tonumber(n), till, tonumber(ms), of}
          orphans = orphans + n
        end
      end
    elseif c == 115 then s = v                                                          -- s
    elseif c == 120 then x = v                                                          -- x
    elseif c == 101 then known = v end                                                  -- e
  end
  if known ~= epoch then
    for _, rec in ipairs(recs) do rec.told = false end
  end
  local v, pn, pb, people, due = 0, 0, 0, 0, 0
  if s then
    local x1, x2, x3, x4, x5 = string.match(s, '^(%d+) (%d+) (%d+) (%d+) (%S+)$')
    v, pn, pb, people, due = tonumber(x1), tonumber(x2), tonumber(x3), tonumber(x4), tonumber(x5)
  end

  -- How far apart slots are granted, if anybody has learnt that: then the limits differ for a moment only.
  local apart, soonest, learnt = nil, 0, nil
  if x then
    local x1, x2, x3 = string.match(x, '^(%d+) (%d+) (%d+)$')
    if tonumber(x3) > now then apart, soonest, learnt = tonumber(x1), tonumber(x2), tonumber(x3) end
  end
  if spacing then apart, learnt = spacing, now + 60000 + 10 * period end

  -- What it says is merged.
  if not mine then
    mine = {0, 0, 0, id = me, life = 0, number = 0, granted = 0, taken = 0, returned = 0, weight = 1, tag = 0,
      quota = quota, period = period}
    recs[#recs + 1] = mine
  end
  if life > mine.life then
    -- Whatever it had in an earlier life, it has given back.
    mine[1], mine[2], mine[3] = 0, 0, 0
    mine.life, mine.number, mine.granted, mine.taken, mine.returned, mine.weight = life, 0, 0, 0, 0, 1
  end
  if life == mine.life and not mine.told then
    -- What it was granted in an earlier epoch and had not heard of it never will. Older data may have that.
    mine.granted = min(mine.granted, arg(3))
  end
  mine.told = true
  if life == mine.life then
    local seen = arg(3)
    local unseen = max(0, mine.granted - seen)   -- on their way: for what it still says that it wants
    mine.granted, mine.taken, mine.returned = max(mine.granted, seen), max(mine.taken, arg(4)), max(mine.returned, arg(5))
    if number > mine.number then                 -- of a late ask the wants do not count
      mine.number, mine.weight, mine.quota, mine.period = number, arg(9), quota, period
      for c = 1, 3 do
        local n = arg(9) > 0 and arg(5 + c) or 0
        local less = min(n, unseen)
        mine[c], unseen = n - less, unseen - less
      end
    end
  end
  if ARGV[a + 12] == '1' then people = now + 10 * period end
  if ARGV[a + 13] ~= '-' then
    -- Whatever it held beyond what is left, it uses no more.
    for at, rec in ipairs(recs) do
      if rec == mine then table.remove(recs, at); break end
    end
    redis.call('HDEL', B, 'r' .. me)
    mine = {0, 0, 0, life = 0, granted = 0, quota = quota, period = period}
    for n, ms in string.gmatch(ARGV[a + 13], '(%d+)@(%d+)') do
      if tonumber(ms) > 0 then
        kept[#kept + 1] = {tonumber(n), now + ms, tonumber(ms), me}
        orphans = orphans + n
      end
    end
  end
  local function total()
    local sum = orphans
    for _, rec in ipairs(recs) do sum = sum + held(rec) end
    return sum
  end
  local function keep(which)
    local left = {}
    for _, rec in ipairs(recs) do
      if rec == mine or which(rec) then left[#left + 1] = rec else redis.call('HDEL', B, 'r' .. rec.id) end
    end
    recs = left
  end

  -- Who has told all and says nothing of this bucket has nothing of it.
  if not cold then keep(function(rec) return rec.told or member('p', rec.id) ~= epoch end) end
  -- Where replicas have been given different limits, so many slots keep to all of them, if each slot ages
  -- for the shortest of the periods at least. Where that is less than one, only who has the longest period
  -- is granted any.
  quota, period = mine.quota, mine.period
  local shortest, least, other = period, 0, nil
  for _, rec in ipairs(recs) do
    local differs = rec.quota ~= quota or rec.period ~= mine.period
    if rec ~= mine and (differs or not other) and (held(rec) > 0 or waits(rec)) then
      rec.differs, period, shortest = differs, max(period, rec.period), min(shortest, rec.period)
      if not other or not other.differs or rec.quota < other.quota or
        rec.quota == other.quota and rec.period > other.period then other = rec end
    end
  end
  if other and other.differs then
    local function least_of(rec)
      return rec.period == shortest and rec.quota or floor(rec.quota / math.ceil(rec.period / shortest))
    end
    quota = least_of(mine)
    for _, rec in ipairs(recs) do
      if rec.differs then quota = min(quota, least_of(rec)) end
    end
    if quota < 1 then quota, least = 1, period end
  end
  -- Who has been silent for too long is gone, as soon as its slots are missed: by others, or by calls of
  -- the background, which may have only a part and would wait for ever. They age as if they had been used
  -- just now.
  local share = min(floor(quota * 3 / 4), quota - 1)
  local others = false
  for _, rec in ipairs(recs) do others = others or (rec ~= mine and waits(rec)) end
  if others or (waits(mine) and total() >= max(1, share)) then
    keep(function(rec)
      if member('d', rec.id) then return false end
      if member('m', rec.id) and member('p', rec.id) ~= epoch then
        -- What it holds of others nobody knows, so it stays a member.
        return silence(rec.id) <= forget + period + flight
      end
      if silence(rec.id) <= forget then return true end
      local n = held(rec)
      if n > 0 then
        kept[#kept + 1] = {n, now + period + flight, period + flight, rec.id}
        orphans = orphans + n
      end
      if member('m', rec.id) then redis.call('HSET', M, 'f', int(now)) end
      redis.call('HDEL', M, 'm' .. rec.id, 'p' .. rec.id)              -- for good: that name never comes back
      members['m' .. rec.id], members['p' .. rec.id] = nil, nil
      return false
    end)
  end

  -- Free slots are granted, one at a time: by class with floors, then in turns of the replicas by their
  -- weights. Who has been silent for a while is granted nothing.
  local ms, told, all = cold and 100 or 0, {}, total()
  if not cold and all < quota then
    local want, ready = {0, 0, 0}, {}
    for _, rec in ipairs(recs) do
      if waits(rec) and rec.period >= least and (rec == mine or silence(rec.id) <= stale) then
        ready[#ready + 1] = rec
        for c = 1, 3 do want[c] = want[c] + rec[c] end
      end
    end
    local pace = period / quota
    while all < quota and want[1] + want[2] + want[3] > 0 do
      if apart and apart > 0 then
        local next = min(soonest, now + apart)                          -- the clock may have gone back
        if next > now then ms = next - now; break end
      end
      local o1, o2, o3 = want[1] > 0, want[2] > 0, want[3] > 0
      if period > 0 and quota > 1 then
        local spread = people > now and all >= floor(quota / 2) and due > now
        o2 = o2 and not spread
        o3 = o3 and not spread and (all < share or pb >= 9)
      end
      local c = (o3 and pb >= 9 and 3) or (o2 and pn >= 3 and 2) or (o1 and 1) or (o2 and 2) or (o3 and 3)
      if not c then ms = max(1, math.ceil(due - now)); break end
      local rec, at
      for _, one in ipairs(ready) do
        if one[c] > 0 then
          local tag = max(one.tag, v)
          if not rec or tag < at then rec, at = one, tag end
        end
      end
      rec.granted, rec[c], rec.tag = rec.granted + 1, rec[c] - 1, at + floor(TURN / rec.weight)
      told[rec.id] = true
      want[c], all, v = want[c] - 1, all + 1, at
      pn = (c ~= 2 and want[2] > 0) and pn + 1 or 0
      pb = (c ~= 3 and want[3] > 0) and pb + 1 or 0
      due = max(due, now - pace) + pace
      if apart then soonest = now + apart end
    end
  end

  -- What has changed is written, and those who were granted something are told.
  local weight, gone, name = 0, 0, string.sub(B, cut + 1)
  local new = {'e', epoch, 'q', int(quota), 'p', int(period)}
  for _, rec in ipairs(recs) do
    if waits(rec) then weight = weight + rec.weight end
    if rec.weight == 0 then gone = gone + held(rec) end
    local is = table.concat({rec.told and '1' or '0', int(rec.life), int(rec.number), int(rec.granted),
      int(rec.taken), int(rec.returned), int(rec[1]), int(rec[2]), int(rec[3]), int(rec.weight), int(rec.tag),
      int(rec.quota), int(rec.period)}, ' ')
    if is ~= rec.was then new[#new + 1], new[#new + 2] = 'r' .. rec.id, is end
    if rec ~= mine and told[rec.id] then
      redis.call('PUBLISH', channel .. string.match(rec.id, '^[^.]+'),
        table.concat({rec.id, epoch, int(rec.life), int(rec.granted), name}, ' '))
    end
  end
  local is = table.concat({int(v), int(pn), int(pb), int(people), string.format('%.17g', due)}, ' ')
  if is ~= (s or '0 0 0 0 0') then new[#new + 1], new[#new + 2] = 's', is end
  if apart then
    new[#new + 1], new[#new + 2] = 'x', table.concat({int(apart), int(soonest), int(learnt)}, ' ')
  elseif x then
    redis.call('HDEL', B, 'x')
  end
  local next
  if #kept > 0 then
    local text = {}
    for _, one in ipairs(kept) do
      text[#text + 1] = table.concat({int(one[1]), int(one[2]), int(one[3]), one[4]}, '@')
      next = min(next or one[2], one[2])
    end
    new[#new + 1], new[#new + 2] = 'o', table.concat(text, ' ')
  elseif was then
    redis.call('HDEL', B, 'o')
  end
  redis.call('HSET', B, unpack(new))
  if next then redis.call('ZADD', O, int(next), name) elseif was then redis.call('ZREM', O, name) end
  if all > 0 then
    redis.call('ZADD', H, string.format('%.17g', all / quota), name)
  else
    redis.call('ZREM', H, name)
  end
  -- A slot may be kept for long by a call that waits for another one, and nothing is said of it meanwhile.
  -- The numbers outlive the slots for a while, so that a step that comes late finds them.
  local lasts = 60000
  if all > 0 then
    lasts = 86400000
  elseif weight > 0 or people > now then
    lasts = max(10 * period, forget + flight + period)
  end
  redis.call('PEXPIRE', B, int(lasts))
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = mine.life, mine.granted, arg(9) > 0 and all or all - gone
  out[n + 4], out[n + 5] = weight, ms
  if apart then other = nil end
  out[n + 6], out[n + 7] = other and other.quota or 0, other and other.period or 0
end
if ARGV[8] == '1' then redis.call('HDEL', M, 'm' .. me, 'p' .. me) end
redis.call('PEXPIRE', H, 86400000)
redis.call('PEXPIRE', O, 86400000)
return out

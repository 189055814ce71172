-- said: what operators say at one replica holds at all, and what each replica tells of itself.
--
-- KEYS[1]  <prefix>:2:{f}:s  what is said, by its name (hash)
-- KEYS[2]  <prefix>:2:{f}:r  what each replica tells of itself (hash)
-- ARGV[1]  replica
--     [2]  the epoch as it knows it; '' if it knows none
--     [3]  the version as it knows it
--     [4]  a new epoch, should one be needed: random
--     [5]  the channel on which all are told
--     [6]  who is silent for so long, in ms, is not told of any more
--     [7]  what it tells of itself; '' if that is as it was
--     [8]  the run id of this server, as it said when the connection was made
-- then what is said:
--   set name value    unset name    clear beginning    new name value (if nothing is said of it)
--   all               asks what each replica tells of itself
-- Answers  {epoch, version, {name, value, ...}, {replica, ms since it was heard, what it tells, ...}}
--            the third is false if it knows that version, the fourth if it was not asked for
-- Publishes 'said <epoch> <version>' when something else is said.
--
-- Fields of what is said: e  the epoch   n  the version   r  the run id of the server in which the epoch began
--   and whatever begins with another letter
local S, R, me, channel = KEYS[1], KEYS[2], ARGV[1], ARGV[5]
local MOST = 4096
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local head, run = redis.call('HMGET', S, 'e', 'n', 'r'), ARGV[8]
local epoch, version = head[1], tonumber(head[2] or 0)
if not epoch or head[3] ~= run then
  -- Emptied; or another process, perhaps with older data. Whoever knows what was said last tells it anew.
  epoch = ARGV[4]
  redis.call('HSET', S, 'e', epoch, 'n', int(version), 'r', run)
end
local before, all = version, false
local function change() version = version + 1 end
local at = 9
local function arg() at = at + 1; return ARGV[at - 1] end
while at <= #ARGV do
  local kind = arg()
  if kind == 'all' then
    all = {}
  elseif kind == 'set' or kind == 'new' then
    local name, value = arg(), arg()
    local was = redis.call('HGET', S, name)
    local has_room = was or redis.call('HLEN', S) < MOST
    if has_room and was ~= value and not (kind == 'new' and was) then
      redis.call('HSET', S, name, value)
      change()
    end
  elseif kind == 'unset' then
    if redis.call('HDEL', S, arg()) == 1 then change() end
  else
    local beginning = arg()
    for _, name in ipairs(redis.call('HKEYS', S)) do
      if string.sub(name, 1, #beginning) == beginning and redis.call('HDEL', S, name) == 1 then change() end
    end
  end
end
if version ~= before then
  redis.call('HSET', S, 'n', int(version))
  redis.call('PUBLISH', channel, 'said ' .. epoch .. ' ' .. int(version))
end
if ARGV[7] ~= '' then redis.call('HSET', R, me, int(now) .. ' ' .. ARGV[7]) end
if ARGV[7] ~= '' or all then
  local flat = redis.call('HGETALL', R)
  for i = 1, #flat, 2 do
    local at, text = string.match(flat[i + 1], '^(%d+) (.*)$')
    local ms = math.max(0, now - tonumber(at))
    if ms > tonumber(ARGV[6]) then
      redis.call('HDEL', R, flat[i])
    elseif all then
      local n = #all
      all[n + 1], all[n + 2], all[n + 3] = flat[i], int(ms), text
    end
  end
end
-- For as long as nobody is there who knows what is said.
redis.call('PEXPIRE', S, 2592000000)
redis.call('PEXPIRE', R, 86400000)
local said = false
if ARGV[2] ~= epoch or tonumber(ARGV[3]) ~= version then
  said = {}
  local flat = redis.call('HGETALL', S)
  for i = 1, #flat, 2 do
    if flat[i] ~= 'e' and flat[i] ~= 'n' and flat[i] ~= 'r' then
      local n = #said
      said[n + 1], said[n + 2] = flat[i], flat[i + 1]
    end
  end
end
return {epoch, int(version), said, all}

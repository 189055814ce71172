-- whose: what one replica has learnt of a token is known to all, and one of them asks Slack.
--
-- KEYS     one for each word, in their order: <prefix>:2:{f}:t:<name>
-- ARGV[1]  replica
--     [2]  the channel on which all are told
--     [3]  for how long what is known is kept, in ms
--     [4]  for how long somebody may ask Slack, in ms
-- then words:
--   learnt name value   that is so
--   first name value    that is so, unless another one has said otherwise before
--   known name          what is known of it
--   whose name          the same; if nothing is, Slack is to be asked
-- Answers  for each word what is known of the name; '' if nothing is; '?' if this one is to ask, '-' if another
--          one asks
-- Publishes 'whose <replica> <name> <value>' with what is learnt
local me, channel, keeps, asks = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local out, at = {}, 5
local function arg() at = at + 1; return ARGV[at - 1] end
for _, key in ipairs(KEYS) do
  local kind, name = arg(), arg()
  local is = redis.call('GET', key)
  local asking = is and string.sub(is, 1, 1) == '?' and string.sub(is, 2)
  if kind == 'learnt' or kind == 'first' then
    local value = arg()
    if kind == 'first' and is and not asking then
      value = is
    else
      redis.call('SET', key, value, 'PX', keeps)
      if is ~= value then
        redis.call('PUBLISH', channel, table.concat({'whose', me, name, value}, ' '))
      end
    end
    out[#out + 1] = value
  elseif is and not asking then
    redis.call('PEXPIRE', key, keeps)
    out[#out + 1] = is
  elseif kind == 'known' then
    out[#out + 1] = ''
  elseif asking and asking ~= me then
    out[#out + 1] = '-'
  else
    redis.call('SET', key, '?' .. me, 'PX', asks)
    out[#out + 1] = '?'
  end
end
return out

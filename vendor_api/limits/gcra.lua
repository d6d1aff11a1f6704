-- Takes all that a request asks of its key's limits, or nothing: one atomic step.
--
-- KEYS[1]  the key's leases: a sorted set, member = request, score = when it frees itself
-- KEYS[n]  one rate each: the instant at which its debt is gone
-- ARGV     now in microseconds ('' = this server's clock), burst in microseconds,
--          lease id, places (0 = no lease asked), lease length in microseconds,
--          then one interval in microseconds for each rate
-- Answers  {admitted, active leases, debt, wait, debt, wait, …}
--
-- Missing keys count nothing. A clock that was set back makes no debt and no lease longer than it
-- can be. Keys outlive what they count by a minute, then they go by themselves.

local SLACK_MS = 60000

local function whole(number)
  return string.format('%.0f', number)
end

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
else
  now = tonumber(ARGV[1])
end
local burst = tonumber(ARGV[2])
local lease, places, length = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local rates = #ARGV - 5

local admitted = 1
local debts, waits = {}, {}
for i = 1, rates do
  local arrival = tonumber(redis.call('GET', KEYS[i + 1]) or '0')
  if arrival > now + burst then
    arrival = now + burst
    redis.call('SET', KEYS[i + 1], whole(arrival), 'PX', whole(math.ceil(burst / 1000) + SLACK_MS))
  end
  debts[i] = math.max(arrival - now, 0)
  waits[i] = math.max(debts[i] + tonumber(ARGV[i + 5]) - burst, 0)
  if waits[i] > 0 then
    admitted = 0
  end
end

local active = 0
if places > 0 then
  local latest = whole(now + length)
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
  for _, late in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. latest, '+inf')) do
    redis.call('ZADD', KEYS[1], latest, late)
  end
  active = redis.call('ZCARD', KEYS[1])
  if active >= places then
    admitted = 0
  end
end

if admitted == 1 then
  for i = 1, rates do
    debts[i] = debts[i] + tonumber(ARGV[i + 5])
    local life = whole(math.ceil(debts[i] / 1000) + SLACK_MS)
    redis.call('SET', KEYS[i + 1], whole(now + debts[i]), 'PX', life)
  end
  if places > 0 then
    redis.call('ZADD', KEYS[1], whole(now + length), lease)
    redis.call('PEXPIRE', KEYS[1], whole(math.ceil(length / 1000) + SLACK_MS))
    active = redis.call('ZCARD', KEYS[1])
  end
end

local answer = { admitted, active }
for i = 1, rates do
  answer[#answer + 1] = debts[i]
  answer[#answer + 1] = waits[i]
end
return answer

-- A limit that all processes share: the generic cell rate algorithm (ITU-T I.371).
--
-- KEYS  1 the key's theoretical arrival time (string: µs), which expires when it is over
-- ARGV  1 time between units at the lasting rate (µs)   2 burst: units at once after a rest
-- Reply {"ok", units left, ms until all are back} | {"wait", ms until there is one}
-- Twice: two units are taken. A refusal takes nothing, whatever the number of refusals.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = interval * burst
local at = math.max(tonumber(redis.call('GET', KEYS[1])) or now, now)
if at > now + window then
    -- No arrival lies further ahead than the window: the rate was another, or a failover set the
    -- clock back. Written, so that time counts from here on.
    at = now + window
    redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil(window / 1000))
end
local after = at + interval
local spare = window - (after - now)
if spare < 0 then return {'wait', math.ceil(-spare / 1000)} end
local full = math.ceil((after - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', full)
return {'ok', math.floor(spare / interval), full}

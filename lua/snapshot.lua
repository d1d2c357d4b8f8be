-- What is taken and what is not for sale in a channel, at one instant.
--
-- KEYS  1 head   2 taken   3 blocked   4 kills   5 counts   6 holds
-- ARGV  1 epoch   2 the version that the caller has ("" none)
-- Reply {"snapshot", version, state, taken, blocked, kills, claimed, sold}
--       | {"same", version, state, claimed, sold}: no bit has changed, but counts may have
--       | {"stale"}
-- Version: seq and the number of records together. It rises with every change of bits: a hold adds
-- a record, and whoever forgets records or changes bits otherwise raises seq.
-- Reads only.

local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'state')
if head[1] ~= ARGV[1] then return {'stale'} end
local version = tostring(head[2] + redis.call('HLEN', KEYS[6]))
local counts = redis.call('HMGET', KEYS[5], 'c', 's')
if version == ARGV[2] then
    return {'same', version, head[3], counts[1] or '0', counts[2] or '0'}
end
return {'snapshot', version, head[3], redis.call('GET', KEYS[2]) or '',
    redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[4]) or '',
    counts[1] or '0', counts[2] or '0'}

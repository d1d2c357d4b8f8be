-- What is taken and what is not for sale in a channel, at one instant.
--
-- KEYS  1 head   2 taken   3 blocked   4 kills   5 counts
-- ARGV  1 epoch   2 the seq that the caller has ("" none)
-- Reply {"snapshot", seq, state, taken, blocked, kills, claimed, sold}
--       | {"same", seq, state, claimed, sold}: no bit has changed, but counts may have
--       | {"stale"}
-- Reads only.

local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'state')
if head[1] ~= ARGV[1] then return {'stale'} end
local counts = redis.call('HMGET', KEYS[5], 'c', 's')
if head[2] == ARGV[2] then
    return {'same', head[2], head[3], counts[1] or '0', counts[2] or '0'}
end
return {'snapshot', head[2], head[3], redis.call('GET', KEYS[2]) or '',
    redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[4]) or '',
    counts[1] or '0', counts[2] or '0'}

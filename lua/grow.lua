-- Adds stretches to a live event: places that Postgres has committed.
--
-- KEYS  1 head   2 stretches   3 hints
-- ARGV  1 epoch   2 number of the first new stretch   3 their descriptions (8 bytes each)
-- Reply {"grown"} | {"stale"}
-- Twice: the second writes the same bytes; hints return to "unknown", which is a bound.

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
redis.call('SETRANGE', KEYS[2], ARGV[2] * 8, ARGV[3])
redis.call('SETRANGE', KEYS[3], ARGV[2], string.rep('\255', #ARGV[3] / 8))
redis.call('HINCRBY', KEYS[1], 'seq', 1)
return {'grown'}

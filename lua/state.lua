-- Opens or closes holds: the sale's state as Postgres has it.
--
-- KEYS  1 head
-- ARGV  1 epoch   2 state
-- Reply {"set"} | {"stale"}
-- Twice: the same state again.

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'seq', 1)
return {'set'}

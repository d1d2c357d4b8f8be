-- Moves a hold's deadline, within a total counted from its creation.
--
-- KEYS  1 head   2 holds   3 deadlines
-- ARGV  1 epoch   2 id   3 account   4 time from now (ms)   5 largest total (ms)
-- Reply {"held", deadline, now} | {"bound", deadline, now}: the total is used up, nothing moved
--       | {"claiming"} | {"gone"} | {"foreign"} | {"stale"}
-- Twice: the second moves the deadline by the time between the calls at most.

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local record = redis.call('HGET', KEYS[2], ARGV[2])
if not record then return {'gone'} end
local state, deadline, account, created, rest =
    string.match(record, '^(%a)|(%d+)|([^|]*)|(%d+)(|.*)$')
if account ~= ARGV[3] then return {'foreign'} end
if state == 'b' or state == 'r' then return {'gone'} end
if state ~= 'h' then return {'claiming'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
deadline = tonumber(deadline)
if now >= deadline then return {'gone'} end
local wanted = math.min(now + ARGV[4], created + ARGV[5])
if wanted <= deadline then return {'bound', deadline, now} end
redis.call('HSET', KEYS[2], ARGV[2],
    'h|' .. wanted .. '|' .. account .. '|' .. created .. rest)
redis.call('ZADD', KEYS[3], wanted, ARGV[2])
return {'held', wanted, now}

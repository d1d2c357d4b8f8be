-- Checkout begins: held -> claiming. From here on no clock ends the record.
--
-- KEYS  1 head   2 holds   3 deadlines   4 claiming (zset: id -> since when, ms)
-- ARGV  1 epoch   2 id   3 account
-- Reply {"claiming", record} | {"claimed", record}: done before | {"expired"} | {"gone"}
--       | {"foreign"}: another account's | {"stale"}
-- Twice: the second answers "claiming" as well.

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local record = redis.call('HGET', KEYS[2], ARGV[2])
if not record then return {'gone'} end
local state, deadline, account, rest = string.match(record, '^(%a)|(%d+)|([^|]*)(|.*)$')
if account ~= ARGV[3] then return {'foreign'} end
if state == 'b' or state == 'r' then return {'gone'} end
if state == 'c' or state == 's' then return {'claimed', record} end
if state == 'g' then return {'claiming', record} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= tonumber(deadline) then return {'expired'} end
record = 'g|' .. deadline .. '|' .. account .. rest
redis.call('HSET', KEYS[2], ARGV[2], record)
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[4], now, ARGV[2])
return {'claiming', record}

-- Ends a hold: the buyer let go, or its claim was refused. Its places come back after a delay
-- that nobody can foresee: until then the record is `returning` and still lists them.
--
-- KEYS  1 head   2 holds   3 deadlines   4 claiming   5 counts
--       6 returning (zset: id -> when its places are free, ms)
-- ARGV  1 epoch   2 id   3 account ("*": the caller is the system)
--       4 states it may be in: "h", or "hg" after a refused claim
--       5 secret of this call: the delay is drawn from it and the id   6 bound of the delay (ms)
-- Reply {"released", number of places} | {"gone"} | {"kept", state}: not in such a state
--       | {"foreign"} | {"stale"}
-- Twice: the second answers "gone".

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local record = call('HGET', KEYS[2], ARGV[2])
if not record then return {'gone'} end
local state, deadline, account, created, promo, digest, places =
    string.match(record, '^(%a)|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|')
if ARGV[3] ~= '*' and account ~= ARGV[3] then return {'foreign'} end
if state == 'b' or state == 'r' then return {'gone'} end
if not string.find(ARGV[4], state, 1, true) then return {'kept', state} end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local drawn = tonumber(string.sub(redis.sha1hex(ARGV[5] .. ARGV[2]), 1, 8), 16)
local n = 0
for offer in string.gmatch(places, '%d+:%d+:(%d+):%d+') do
    call('HINCRBY', KEYS[5], 'o:' .. offer, -1)
    n = n + 1
end
if call('HINCRBY', KEYS[5], 'a:' .. account, -n) <= 0 then
    call('HDEL', KEYS[5], 'a:' .. account)
end
if promo ~= '' then call('HINCRBY', KEYS[5], 'p:' .. promo, -1) end
call('HSET', KEYS[2], ARGV[2], 'b|' .. deadline .. '|' .. account .. '|' .. created .. '||'
    .. digest .. '|' .. places .. '|')
call('ZREM', KEYS[3], ARGV[2])
call('ZREM', KEYS[4], ARGV[2])
call('ZADD', KEYS[6], now + math.floor(drawn / 4294967296 * ARGV[6]), ARGV[2])
return {'released', n}

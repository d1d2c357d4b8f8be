-- Gives a hold's places back: the buyer let go, or its claim was refused.
--
-- KEYS  1 head   2 taken   3 holds   4 deadlines   5 claiming   6 counts   7 hints
--       8 tombs (zset: id -> when to forget it, ms)
-- ARGV  1 epoch   2 id   3 account ("*": the caller is the system)
--       4 states it may be in: "h", or "hg" after a refused claim   5 life of the tombstone (ms)
-- Reply {"released", number of places} | {"gone"} | {"kept", state}: not in such a state
--       | {"foreign"} | {"stale"}
-- Twice: the second answers "gone".

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local record = call('HGET', KEYS[3], ARGV[2])
if not record then return {'gone'} end
local state, deadline, account, created, promo, digest, places =
    string.match(record, '^(%a)|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|')
if ARGV[3] ~= '*' and account ~= ARGV[3] then return {'foreign'} end
if state == 'r' then return {'gone'} end
if not string.find(ARGV[4], state, 1, true) then return {'kept', state} end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local n = 0
for place, stretch, offer in string.gmatch(places, '(%d+):(%d+):(%d+):%d+') do
    call('SETBIT', KEYS[2], place, 0)
    call('SETRANGE', KEYS[7], stretch, '\255')
    call('HINCRBY', KEYS[6], 'o:' .. offer, -1)
    n = n + 1
end
if call('HINCRBY', KEYS[6], 'a:' .. account, -n) <= 0 then
    call('HDEL', KEYS[6], 'a:' .. account)
end
if promo ~= '' then call('HINCRBY', KEYS[6], 'p:' .. promo, -1) end
call('HSET', KEYS[3], ARGV[2],
    'r|' .. deadline .. '|' .. account .. '|' .. created .. '||' .. digest .. '||')
call('ZREM', KEYS[4], ARGV[2])
call('ZREM', KEYS[5], ARGV[2])
call('ZADD', KEYS[8], now + ARGV[5], ARGV[2])
call('HINCRBY', KEYS[1], 'seq', 1)
return {'released', n}

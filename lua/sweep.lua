-- Ends holds past their deadline, forgets old tombstones, and lists claims that hang.
--
-- KEYS  1 head   2 taken   3 holds   4 deadlines   5 claiming   6 counts   7 hints   8 tombs
-- ARGV  1 epoch   2 most records per call   3 life of a tombstone (ms)
--       4 age from which a claiming record hangs (ms)
-- Reply {"swept", ended, forgotten, more = 0/1, {id, record, id, record, ...} that hang}
--       | {"stale"}
-- Twice: the second finds nothing more to end.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

local due = call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(due) do
    local record = call('HGET', KEYS[3], id)
    local state, deadline, account, created, promo, digest, places =
        string.match(record or '', '^(%a)|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|')
    -- Only `held` ends by time; anything else has left this set already.
    if state == 'h' then
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
        call('HSET', KEYS[3], id,
            'r|' .. deadline .. '|' .. account .. '|' .. created .. '||' .. digest .. '||')
        call('ZADD', KEYS[8], now + ARGV[3], id)
    end
    call('ZREM', KEYS[4], id)
end
if #due > 0 then call('HINCRBY', KEYS[1], 'seq', 1) end

local old = call('ZRANGEBYSCORE', KEYS[8], '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(old) do
    call('HDEL', KEYS[3], id)
    call('ZREM', KEYS[8], id)
end

local hanging = {}
for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[4], 'LIMIT', 0, most)) do
    hanging[#hanging + 1] = id
    hanging[#hanging + 1] = call('HGET', KEYS[3], id) or ''
end
local more = (#due == most or #old == most) and 1 or 0
return {'swept', #due, #old, more, hanging}

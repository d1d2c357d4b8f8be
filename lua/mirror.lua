-- Makes a record follow what Postgres has committed for its order. Steps only rise.
--
-- KEYS  1 head   2 taken   3 holds   4 deadlines   5 claiming   6 counts   7 hints   8 tombs
-- ARGV  1 epoch   2 life of a tombstone (ms), then 6 per order:
--       id   state "c" claimed, "s" sold, "r" released   account   promo ("" none)
--       places "place:stretch:offer:tier,..."   opaque
-- Reply {"mirrored", conflicts}: ids, comma-separated, whose places another record lists (nothing
--       was written for those: the event must be rebuilt) | {"stale"}
-- Twice: the second changes nothing.
-- counts "c" and "s" are the places claimed and sold: the drawer count reads them.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local RANK = {h = 1, g = 2, c = 3, s = 4, r = 5}
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local conflicts, moved = {}, false

local function count(state, n)
    if state == 'c' or state == 's' then call('HINCRBY', KEYS[6], state, n) end
end

for a = 3, #ARGV, 6 do
    local id, state, account, promo, places = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3],
        ARGV[a + 4]
    local record = call('HGET', KEYS[3], id)
    local was, tail = string.match(record or '', '^(%a)(|.*)$')
    if state == 'r' then
        if was and was ~= 'r' then
            local deadline, owner, created, code, digest, listed =
                string.match(record, '^%a|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|')
            local n = 0
            for place, stretch, offer in string.gmatch(listed, '(%d+):(%d+):(%d+):%d+') do
                call('SETBIT', KEYS[2], place, 0)
                call('SETRANGE', KEYS[7], stretch, '\255')
                call('HINCRBY', KEYS[6], 'o:' .. offer, -1)
                n = n + 1
            end
            if call('HINCRBY', KEYS[6], 'a:' .. owner, -n) <= 0 then
                call('HDEL', KEYS[6], 'a:' .. owner)
            end
            if code ~= '' then call('HINCRBY', KEYS[6], 'p:' .. code, -1) end
            count(was, -n)
            call('HSET', KEYS[3], id, 'r|' .. deadline .. '|' .. owner .. '|' .. created .. '||'
                .. digest .. '||')
            call('ZREM', KEYS[4], id)
            call('ZREM', KEYS[5], id)
            call('ZADD', KEYS[8], now + ARGV[2], id)
            moved = true
        end
    elseif was then
        if was == 'r' then
            conflicts[#conflicts + 1] = id
        elseif RANK[was] < RANK[state] then
            local _, n = string.gsub(places, '[^,]+', '')
            count(was, -n)
            count(state, n)
            call('HSET', KEYS[3], id, state .. tail)
            call('ZREM', KEYS[4], id)
            call('ZREM', KEYS[5], id)
            moved = true -- snapshots carry the counts
        end
    else
        local free = true
        for place in string.gmatch(places, '(%d+):%d+:%d+:%d+') do
            if call('GETBIT', KEYS[2], place) == 1 then free = false end
        end
        if not free then
            conflicts[#conflicts + 1] = id
        else
            local n = 0
            for place, offer in string.gmatch(places, '(%d+):%d+:(%d+):%d+') do
                call('SETBIT', KEYS[2], place, 1)
                call('HINCRBY', KEYS[6], 'o:' .. offer, 1)
                n = n + 1
            end
            call('HINCRBY', KEYS[6], 'a:' .. account, n)
            if promo ~= '' then call('HINCRBY', KEYS[6], 'p:' .. promo, 1) end
            count(state, n)
            call('HSET', KEYS[3], id, state .. '|0|' .. account .. '|' .. now .. '|' .. promo
                .. '||' .. places .. '|' .. ARGV[a + 5])
            moved = true
        end
    end
end
if moved then call('HINCRBY', KEYS[1], 'seq', 1) end
return {'mirrored', table.concat(conflicts, ',')}

-- Makes a record follow what Postgres has committed for its order. Steps only rise.
--
-- KEYS  1 head   2 taken   3 holds   4 deadlines   5 claiming   6 counts   7 hints   8 tombs
--       9 returning (zset: id -> when its places are free, ms)
-- ARGV  1 epoch   2 life of a tombstone (ms)
--       3 secret of this call   4 bound of the delay (ms): see lua/release.lua; then 6 per order:
--       id   state "c" claimed, "s" sold, "r" released   account   promo ("" none)
--       places "place:stretch:offer:tier,..."   opaque
-- Reply {"mirrored", conflicts}: ids, comma-separated, whose places another record lists (nothing
--       was written for those: the event must be rebuilt) | {"stale"}
-- Twice: the second changes nothing.
-- counts "c" and "s" are the places claimed and sold: the drawer count reads them. The places of
-- a released order come back after a delay, as those of a hold.

local MAX_RETURNING = 1000 -- looked at for places that an order claims

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local RANK = {h = 1, g = 2, c = 3, s = 4, b = 5, r = 6}
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local conflicts, moved = {}, false

local function count(state, n)
    if state == 'c' or state == 's' then call('HINCRBY', KEYS[6], state, n) end
end

local function let_go(id, was, record)
    local deadline, owner, created, code, digest, listed =
        string.match(record, '^%a|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|')
    local n = 0
    for offer in string.gmatch(listed, '%d+:%d+:(%d+):%d+') do
        call('HINCRBY', KEYS[6], 'o:' .. offer, -1)
        n = n + 1
    end
    if call('HINCRBY', KEYS[6], 'a:' .. owner, -n) <= 0 then
        call('HDEL', KEYS[6], 'a:' .. owner)
    end
    if code ~= '' then call('HINCRBY', KEYS[6], 'p:' .. code, -1) end
    count(was, -n)
    call('HSET', KEYS[3], id, 'b|' .. deadline .. '|' .. owner .. '|' .. created .. '||'
        .. digest .. '|' .. listed .. '|')
    call('ZREM', KEYS[4], id)
    call('ZREM', KEYS[5], id)
    local drawn = tonumber(string.sub(redis.sha1hex(ARGV[3] .. id), 1, 8), 16)
    call('ZADD', KEYS[9], now + math.floor(drawn / 4294967296 * ARGV[4]), id)
end

-- Postgres decides: a record that only waits for its places to come back gives way to a claim.
local function give_way(wanted)
    for _, id in ipairs(call('ZRANGE', KEYS[9], 0, MAX_RETURNING - 1)) do
        local deadline, owner, created, digest, listed = string.match(
            call('HGET', KEYS[3], id) or '', '^b|(%d+)|([^|]*)|(%d+)||([^|]*)|([^|]*)|')
        local found = false
        for place in string.gmatch(listed or '', '(%d+):%d+:%d+:%d+') do
            found = found or wanted[place]
        end
        if found then
            for place, stretch in string.gmatch(listed, '(%d+):(%d+):%d+:%d+') do
                call('SETBIT', KEYS[2], place, 0)
                call('SETRANGE', KEYS[7], stretch, '\255')
            end
            call('HSET', KEYS[3], id,
                'r|' .. deadline .. '|' .. owner .. '|' .. created .. '||' .. digest .. '||')
            call('ZREM', KEYS[9], id)
            call('ZADD', KEYS[8], now + ARGV[2], id)
            moved = true
        end
    end
end

local function are_free(places)
    for place in string.gmatch(places, '(%d+):%d+:%d+:%d+') do
        if call('GETBIT', KEYS[2], place) == 1 then return false end
    end
    return true
end

for a = 5, #ARGV, 6 do
    local id, state, account, promo, places = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3],
        ARGV[a + 4]
    local record = call('HGET', KEYS[3], id)
    local was, tail = string.match(record or '', '^(%a)(|.*)$')
    if state == 'r' then
        if was and was ~= 'b' and was ~= 'r' then
            let_go(id, was, record)
            moved = true -- snapshots carry the counts
        end
    elseif was then
        if was == 'b' or was == 'r' then
            conflicts[#conflicts + 1] = id
        elseif RANK[was] < RANK[state] then
            local _, n = string.gsub(places, '[^,]+', '')
            count(was, -n)
            count(state, n)
            call('HSET', KEYS[3], id, state .. tail)
            call('ZREM', KEYS[4], id)
            call('ZREM', KEYS[5], id)
            moved = true
        end
    else
        if not are_free(places) then
            local wanted = {}
            for place in string.gmatch(places, '(%d+):%d+:%d+:%d+') do wanted[place] = true end
            give_way(wanted)
        end
        if not are_free(places) then
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

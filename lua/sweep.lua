-- Ends holds past their deadline, frees places whose delay is over, forgets old tombstones, and
-- lists claims that hang. Nothing else makes a taken place free.
--
-- KEYS  1 head   2 taken   3 holds   4 deadlines   5 claiming   6 counts   7 hints   8 tombs
--       9 returning (zset: id -> when its places are free, ms)   10 asks (zset: id -> until, ms)
-- ARGV  1 epoch   2 most records of a kind per call   3 life of a tombstone (ms)
--       4 age from which a claiming record hangs (ms)
--       5 secret of this call   6 bound of the delay (ms): see lua/release.lua
--       7 "1": the holds for those who ask follow in the same transaction
--       8 id of a returning record whose places are free now whatever its delay ("" none)
--       9 "1": ends nothing, only frees: for who couldn't count what ended
-- Reply {"swept", ended, freed, forgotten, more = 0/1, asks = 0/1, {id, record, ...} that hang,
--         {account, opaque, ...} of the holds that ended, each in one reply only}
--       | {"stale"}; asks = 1: somebody asks for places that come back, so that without ARGV[7]
--       none was freed
-- Twice: the second finds nothing more to end.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

local function delay(id)
    local drawn = tonumber(string.sub(redis.sha1hex(ARGV[5] .. id), 1, 8), 16)
    return math.floor(drawn / 4294967296 * ARGV[6])
end

local due, over = {}, {}
if ARGV[9] ~= '1' then
    due = call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)
end
for _, id in ipairs(due) do
    local record = call('HGET', KEYS[3], id)
    local state, deadline, account, created, promo, digest, places, opaque =
        string.match(record or '', '^(%a)|(%d+)|([^|]*)|(%d+)|(%d*)|([^|]*)|([^|]*)|(.*)$')
    -- Only `held` ends by time; anything else has left this set already.
    if state == 'h' then
        local n = 0
        for offer in string.gmatch(places, '%d+:%d+:(%d+):%d+') do
            call('HINCRBY', KEYS[6], 'o:' .. offer, -1)
            n = n + 1
        end
        if call('HINCRBY', KEYS[6], 'a:' .. account, -n) <= 0 then
            call('HDEL', KEYS[6], 'a:' .. account)
        end
        if promo ~= '' then call('HINCRBY', KEYS[6], 'p:' .. promo, -1) end
        call('HSET', KEYS[3], id, 'b|' .. deadline .. '|' .. account .. '|' .. created .. '||'
            .. digest .. '|' .. places .. '|')
        call('ZADD', KEYS[9], deadline + delay(id), id)
        over[#over + 1] = account
        over[#over + 1] = opaque
    end
    call('ZREM', KEYS[4], id)
end

-- The end of a returning record: its places are free, a tombstone stays.
local freed = 0
local function free(id)
    local record = call('HGET', KEYS[3], id)
    local deadline, account, created, digest, places =
        string.match(record or '', '^b|(%d+)|([^|]*)|(%d+)||([^|]*)|([^|]*)|')
    if places then
        for place, stretch in string.gmatch(places, '(%d+):(%d+):%d+:%d+') do
            call('SETBIT', KEYS[2], place, 0)
            call('SETRANGE', KEYS[7], stretch, '\255')
        end
        call('HSET', KEYS[3], id,
            'r|' .. deadline .. '|' .. account .. '|' .. created .. '||' .. digest .. '||')
        call('ZADD', KEYS[8], now + ARGV[3], id)
        freed = freed + 1
    end
    call('ZREM', KEYS[9], id)
end

if ARGV[8] ~= '' and call('ZSCORE', KEYS[9], ARGV[8]) then free(ARGV[8]) end
local asks = #call('ZRANGEBYSCORE', KEYS[10], now + 1, '+inf', 'LIMIT', 0, 1)
local back = {}
if asks == 0 or ARGV[7] == '1' then
    back = call('ZRANGEBYSCORE', KEYS[9], '-inf', now, 'LIMIT', 0, most)
    for _, id in ipairs(back) do free(id) end
end

local old = call('ZRANGEBYSCORE', KEYS[8], '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(old) do
    call('HDEL', KEYS[3], id)
    call('ZREM', KEYS[8], id)
end
-- Bits have changed; and what is forgotten must not make the version fall: see lua/snapshot.lua.
local raise = (freed > 0 and 1 or 0) + #old
if raise > 0 then call('HINCRBY', KEYS[1], 'seq', raise) end

local hanging = {}
for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[4], 'LIMIT', 0, most)) do
    hanging[#hanging + 1] = id
    hanging[#hanging + 1] = call('HGET', KEYS[3], id) or ''
end
local more = (#due == most or #back == most or #old == most) and 1 or 0
return {'swept', #due, freed, #old, more, asks, hanging, over}

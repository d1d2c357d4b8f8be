-- Puts an ask in line: who was refused for lack of places waits for some that come back.
--
-- KEYS  1 head   2 asks (zset: id -> until, ms)   3 holds
--       4 asked (hash: id -> record; "account:level" -> id of the account's ask for that level)
-- ARGV  1 epoch   2 id   3 id of its hold   4 digest of the request   5 account
--       6 price levels "0,2,..."   7 life (ms)   8 most asks in line   9 the wish
-- Reply {"waiting", until, now, asks before it} | {"again", until, now, asks before it}
--       | {"served"}: its hold was made | {"mismatch"}: known with another digest
--       | {"other", id}: the account asks for one of these levels already | {"full"} | {"stale"}
-- Record: account|digest|levels|wish
-- Twice: the second finds the first ("again").

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
if call('HEXISTS', KEYS[3], ARGV[3]) == 1 then return {'served'} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Those whose time is over; there are never more than the bound of the line.
for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
    local account, levels =
        string.match(call('HGET', KEYS[4], id) or '', '^([^|]*)|[^|]*|([^|]*)|')
    for level in string.gmatch(levels or '', '%d+') do
        call('HDEL', KEYS[4], account .. ':' .. level)
    end
    call('HDEL', KEYS[4], id)
    call('ZREM', KEYS[2], id)
end

local record = call('HGET', KEYS[4], ARGV[2])
if record then
    local digest = string.match(record, '^[^|]*|([^|]*)|')
    if digest ~= ARGV[4] then return {'mismatch'} end
    local till, ahead = call('ZSCORE', KEYS[2], ARGV[2]), call('ZRANK', KEYS[2], ARGV[2])
    return {'again', tonumber(till), now, ahead}
end
for level in string.gmatch(ARGV[6], '%d+') do
    local other = call('HGET', KEYS[4], ARGV[5] .. ':' .. level)
    if other then return {'other', other} end
end
if call('ZCARD', KEYS[2]) >= tonumber(ARGV[8]) then return {'full'} end
call('HSET', KEYS[4], ARGV[2], ARGV[5] .. '|' .. ARGV[4] .. '|' .. ARGV[6] .. '|' .. ARGV[9])
for level in string.gmatch(ARGV[6], '%d+') do
    call('HSET', KEYS[4], ARGV[5] .. ':' .. level, ARGV[2])
end
call('ZADD', KEYS[2], now + ARGV[7], ARGV[2])
return {'waiting', now + ARGV[7], now, call('ZRANK', KEYS[2], ARGV[2])}

-- The next number of a line, below what Postgres has reserved.
--
-- KEYS  1 numbers (hash: first, next, ceiling)
-- ARGV  1 first number of a new reserve, or 0   2 its end
-- Reply {"number", n} | {"empty"}: reserve more and ask again
-- Numbers are texts: they lie beyond 2^53, where Lua's are not exact. All have 19 digits, so
-- their order as texts is their order.
-- Twice: gives two numbers, of which nobody needs the first.

local call = redis.call
local next, ceiling = unpack(call('HMGET', KEYS[1], 'next', 'ceiling'))
if ARGV[1] ~= '0' and (not next or next >= ceiling) and (not ceiling or ARGV[2] > ceiling) then
    -- Several nodes reserve at once: a reserve that lies behind another one is let go.
    next, ceiling = ARGV[1], ARGV[2]
    call('HSET', KEYS[1], 'next', next, 'ceiling', ceiling)
    call('HSETNX', KEYS[1], 'first', next)
end
if not next or next >= ceiling then return {'empty'} end
call('HINCRBY', KEYS[1], 'next', 1)
return {'number', next}

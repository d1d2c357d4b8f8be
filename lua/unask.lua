-- Takes asks out of the line: they were served, are over, or were given up.
--
-- KEYS  1 head   2 asks   3 asked (see lua/ask.lua)
-- ARGV  1 epoch   2 account ("*": the caller is the system), then the ids
-- Reply {"left", number of asks that were the account's and in line} | {"stale"}
-- Twice: the second finds none.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local n = 0
for i = 3, #ARGV do
    local account, levels =
        string.match(call('HGET', KEYS[3], ARGV[i]) or '', '^([^|]*)|[^|]*|([^|]*)|')
    if account and (ARGV[2] == '*' or ARGV[2] == account) then
        for level in string.gmatch(levels, '%d+') do
            call('HDEL', KEYS[3], account .. ':' .. level)
        end
        call('HDEL', KEYS[3], ARGV[i])
        call('ZREM', KEYS[2], ARGV[i])
        n = n + 1
    end
end
return {'left', n}

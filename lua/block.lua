-- Kills places, revives them, or moves them between channels' allocations.
--
-- KEYS  1 head   2 taken   3 hints   4 ... bitmaps to change: kills, blocked of each channel
-- ARGV  1 epoch   2 "1": refuse if one of the places is taken
--       3 one letter for each bitmap: "1" set, "0" clear, "-" leave   4 "place:stretch,..."
-- Reply {"blocked", number of places} | {"taken", places}: nothing was changed | {"stale"}
-- Twice: the second sets the same bits again.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
if ARGV[2] == '1' then
    local taken = {}
    for place in string.gmatch(ARGV[4], '(%d+):%d+') do
        if call('GETBIT', KEYS[2], place) == 1 then taken[#taken + 1] = place end
    end
    if #taken > 0 then return {'taken', table.concat(taken, ',')} end
end
local n = 0
-- The hold script looks at what is blocked only if anything is.
if string.find(ARGV[3], '1', 1, true) then call('HSET', KEYS[1], 'blocked', '1') end
for place, stretch in string.gmatch(ARGV[4], '(%d+):(%d+)') do
    for i = 4, #KEYS do
        local letter = string.sub(ARGV[3], i - 3, i - 3)
        if letter ~= '-' then call('SETBIT', KEYS[i], place, letter) end
    end
    call('SETRANGE', KEYS[3], stretch, '\255')
    n = n + 1
end
call('HINCRBY', KEYS[1], 'seq', 1)
return {'blocked', n}

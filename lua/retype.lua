-- Changes by which offers a hold's places are bought, and its promo code. The places, the deadline
-- and what counts against the buyer stay; so do tier and price of each place that doesn't move.
--
-- KEYS  1 head   2 holds   3 counts
-- ARGV  1 epoch   2 id   3 account
--       4 what the change was planned on: the record from its promo code on
--       5 promo ("" none)   6 promo limit (-1 none)   7 opaque: the price snapshot afterwards
--       then 6 per offer that places move to:
--       offer   quota (-1 none)   from (ms, 0 none)   until (ms, 0 none)
--       tiers "count:until,..." ("" = one endless tier; 0 = no bound)   places "place.place..."
-- Reply {"changed", record, now} | {"moved"}: the record has changed meanwhile, plan anew
--       | {"quota", offer, left} | {"window", offer} | {"promo"}
--       | {"claiming"} | {"gone"} | {"foreign"} | {"stale"}
-- Twice: the second finds everything as it is to be, and answers "changed" as well.
-- Nothing is written before everything is decided.

local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'stale'} end
local record = call('HGET', KEYS[2], ARGV[2])
if not record then return {'gone'} end
local state, deadline, account, created, rest =
    string.match(record, '^(%a)|(%d+)|([^|]*)|(%d+)|(.*)$')
if account ~= ARGV[3] then return {'foreign'} end
if state == 'b' or state == 'r' then return {'gone'} end
if state ~= 'h' then return {'claiming'} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now >= tonumber(deadline) then return {'gone'} end
local promo, digest, listed, opaque = string.match(rest, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')

local wanted = {} -- place -> the offer it moves to
local targets = {}
for a = 8, #ARGV, 6 do
    targets[#targets + 1] = a
    for place in string.gmatch(ARGV[a + 5], '%d+') do wanted[place] = ARGV[a] end
end

local places, out, into = {}, {}, {}
for place, stretch, offer, tier in string.gmatch(listed, '(%d+):(%d+):(%d+):(%d+)') do
    local to = wanted[place]
    if to and to ~= offer then
        out[offer] = (out[offer] or 0) + 1
        into[to] = (into[to] or 0) + 1
        places[#places + 1] = {place, stretch, to}
    else
        places[#places + 1] = {place, stretch, offer, tier}
    end
end
if rest ~= ARGV[4] then
    if not next(into) and promo == ARGV[5] and opaque == ARGV[7] then
        return {'changed', record, now}
    end
    return {'moved'}
end
if promo ~= ARGV[5] and ARGV[5] ~= '' and ARGV[6] ~= '-1'
    and tonumber(call('HGET', KEYS[3], 'p:' .. ARGV[5]) or 0) >= tonumber(ARGV[6]) then
    return {'promo'}
end

-- Each place that moves gets the tier of its own number in its new offer's count, of which those
-- that leave it in the same step are no part.
local sold = {}
for _, a in ipairs(targets) do
    local offer, quota = ARGV[a], tonumber(ARGV[a + 1])
    local from, till = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    local n, left = into[offer] or 0, out[offer] or 0
    if n > 0 then
        if now < from or (till > 0 and now >= till) then return {'window', offer} end
        local count = tonumber(call('HGET', KEYS[3], 'o:' .. offer) or 0)
        if quota >= 0 and n > left and count + n - left > quota then
            return {'quota', offer, math.max(0, quota - count)}
        end
        local tiers = {}
        for bound, ends in string.gmatch(ARGV[a + 4], '(%d+):(%d+)') do
            tiers[#tiers + 1] = {tonumber(bound), tonumber(ends)}
        end
        sold[offer] = {count - left, tiers}
    end
end
local texts = {}
for i, p in ipairs(places) do
    local tier = p[4]
    if not tier then
        local count, tiers = sold[p[3]][1], sold[p[3]][2]
        if #tiers == 0 then tier = 0 end
        for number, bounds in ipairs(tiers) do
            if (bounds[1] == 0 or count < bounds[1]) and (bounds[2] == 0 or now < bounds[2]) then
                tier = number - 1
                break
            end
        end
        if not tier then return {'quota', p[3], 0} end
        sold[p[3]][1] = count + 1
    end
    texts[i] = p[1] .. ':' .. p[2] .. ':' .. p[3] .. ':' .. tier
end

-- Decided. From here on only writes.
record = 'h|' .. deadline .. '|' .. account .. '|' .. created .. '|' .. ARGV[5] .. '|' .. digest
    .. '|' .. table.concat(texts, ',') .. '|' .. ARGV[7]
call('HSET', KEYS[2], ARGV[2], record)
for offer, n in pairs(out) do call('HINCRBY', KEYS[3], 'o:' .. offer, -n) end
for offer, n in pairs(into) do call('HINCRBY', KEYS[3], 'o:' .. offer, n) end
if promo ~= ARGV[5] then
    if promo ~= '' then call('HINCRBY', KEYS[3], 'p:' .. promo, -1) end
    if ARGV[5] ~= '' then call('HINCRBY', KEYS[3], 'p:' .. ARGV[5], 1) end
end
return {'changed', record, now}

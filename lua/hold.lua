-- Holds places for a buyer: all of them or none.
--
-- KEYS  1 head       hash    epoch, state ("on_sale", ...), seq (raised by every change of bits)
--       2 taken      bitmap  places with a live record
--       3 blocked    bitmap  places not for sale in the asked channel
--       4 holds      hash    id -> record
--       5 deadlines  zset    id -> deadline (ms) of held records
--       6 counts     hash    "a:<account>" places, "o:<offer>" places, "p:<promo>" uses
--       7 stretches  string  8 bytes each: first place, length (big-endian u32)
--       8 hints      string  1 byte each: longest free run of a stretch is at most this, in any
--                            channel
--       9 kills      bitmap  places not for sale in any channel
--       10 returning zset    id -> when its places are free (ms)
--       11 asks      zset    id -> until when somebody asks for places that come back (ms)
-- ARGV  1 epoch   2 id   3 digest of the request   4 account   5 account limit (0 none)
--       6 time to live (ms)   7 "1": hold an equivalent if chosen places are taken
--       8 orphan rule: taken places from which on it is relaxed ("" = rule off)
--       9 promo ("" none)   10 promo limit (-1 none)   11 opaque: the price snapshot
--       12 "1": also while the sale is not open (late money takes its places again)
--       then 9 per line:
--       kind "p" chosen | "b" best adjacent | "s" best, split if need be | "a" area
--       offer   quota (-1 none)   from (ms, 0 none)   until (ms, 0 none)
--       tiers "count:until,..." ("" = one endless tier; 0 = no bound)   n
--       what: p "stretch:first:length:orphans=0/1:place.place;..."  b, s, a "from-to,..." stretches
--       instead: stretches "from-to,..." for an equivalent
-- Reply {"held", deadline, now, places} | {"equivalent", deadline, now, places, taken}
--       | {"again", record, now}: this id holds already | {"mismatch"}: with another digest
--       | {"finished"} | {"stale"} | {"closed", state} | {"limit", left} | {"quota", offer, left}
--       | {"window", offer} | {"promo"} | {"orphan", places} | {"taken", places, due}
--       | {"none", line, longest, due}; due = 1: the sweep may free places now, ask again after it
--       places: "place:stretch:offer:tier,..."
-- Record: state|deadline|account|created|promo|digest|places|opaque
--         state h held, g claiming, c claimed, s sold, b returning (over for its buyer, its
--         places come back later), r released
-- Twice with the same arguments: the second finds the first ("again").
-- Nothing is written before everything is decided, except hints, which are only upper bounds.
--
-- The busiest script by far: an event's holds come one after the other through it. So it asks Redis
-- only for what this request needs, looks at what only refusals need once there is one, and makes
-- the functions of a search only for who lets it search.

local MAX_STRETCHES = 4096 -- looked at by one call
local MAX_AFTER_ORPHAN = 32 -- more of them once something was found that leaves an orphan

local call, byte, floor = redis.call, string.byte, math.floor
local bor, band, rshift = bit.bor, bit.band, bit.rshift

local head = call('HMGET', KEYS[1], 'epoch', 'state')
if head[1] ~= ARGV[1] then return {'stale'} end
local id = ARGV[2]
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

-- Refuses with this reply, unless this id is known: it is told what it got before. Without a
-- reply: nil if the id is new.
local function refuse(reply)
    local known = call('HGET', KEYS[4], id)
    if not known then return reply end
    local state, digest = string.match(known, '^(%a)|[^|]*|[^|]*|[^|]*|[^|]*|([^|]*)|')
    if digest ~= ARGV[3] then return {'mismatch'} end
    if state == 'b' or state == 'r' then return {'finished'} end
    return {'again', known, now}
end
if head[2] ~= 'on_sale' and ARGV[12] ~= '1' then return refuse({'closed', head[2] or ''}) end

local mine = {} -- place -> true: chosen by this call
local picked = {} -- {place, stretch, line}
local rows = {} -- stretch -> what chosen places of it were found in

-- Whether a place is of this row, free, and not chosen by this call.
local function is_free(row, place)
    local i = place - row.first
    if i < 0 or i >= row.length or mine[place] then return false end
    -- A stretch that was added may lie beyond the end of a bitmap.
    local at = floor(i / 8) + 1
    local v = bor(byte(row.taken, at) or 0, byte(row.blocked, at) or 0)
    return band(v, rshift(128, i % 8)) == 0
end

-- Places that the chosen ones of all lines together would strand.
local function stranded()
    local orphans, seen = {}, {}
    for _, p in ipairs(picked) do
        local row = rows[p[2]]
        local first, last = row.first, row.first + row.length - 1
        local at = row.watched and not seen[row] and first or last + 1
        seen[row] = true
        while at <= last do
            -- A run that was free before, from `at`: of it remain `rest` places.
            local to, rest, alone = at, 0, {}
            while to <= last and (mine[to] or is_free(row, to)) do
                if not mine[to] then
                    rest = rest + 1
                    if not is_free(row, to - 1) and not is_free(row, to + 1) then
                        alone[#alone + 1] = to
                    end
                end
                to = to + 1
            end
            -- One left over of the whole run could not be helped.
            if rest > 1 and rest < to - at then
                for _, place in ipairs(alone) do orphans[#orphans + 1] = place end
            end
            at = to + 1
        end
    end
    return orphans
end

-- The searches: take_best and take_area.
local function searches()
    local looked = 0

    -- The free flags of a stretch, 1-based: neither taken, nor in the bitmap `blocked`, nor
    -- `chosen`.
    local function free_flags(first, length, blocked, chosen)
        local from, to = first / 8, floor((first + length - 1) / 8)
        local t = call('GETRANGE', KEYS[2], from, to)
        local b = call('GETRANGE', blocked, from, to)
        local flags, i = {}, 0
        for at = 1, to - from + 1 do
            local v = bor(byte(t, at) or 0, byte(b, at) or 0)
            for shift = 7, 0, -1 do
                i = i + 1
                if i > length then break end
                flags[i] = band(rshift(v, shift), 1) == 0 and not chosen[first + i - 1]
            end
        end
        return flags
    end

    -- The best n neighbours of one stretch: first index (or nil), leaves an orphan, longest run.
    local function fit(flags, length, n)
        local best, best_orphan, best_far, longest = nil, true, nil, 0
        local start = nil
        for i = 1, length + 1 do
            if flags[i] then
                start = start or i
            elseif start then
                local run = i - start
                if run > longest then longest = run end
                if run >= n then
                    local spare = run - n
                    local offset = floor((length - n) / 2) + 1 - start
                    if offset < 0 then offset = 0 elseif offset > spare then offset = spare end
                    if offset == 1 then offset = 0 end
                    if spare - offset == 1 then offset = spare end
                    local orphan = spare == 1
                    local far = math.abs(2 * (start + offset) + n - 2 - length)
                    if not best or (best_orphan and not orphan)
                        or (orphan == best_orphan and far < best_far) then
                        best, best_orphan, best_far = start + offset, orphan, far
                    end
                end
                start = nil
            end
        end
        return best, best_orphan, longest
    end

    local function stretch_at(stretch)
        return struct.unpack('>I4I4', call('GETRANGE', KEYS[7], stretch * 8, stretch * 8 + 7))
    end

    -- Finds n neighbours in the stretches "from-to,...": first place and stretch, or nil.
    local function best(ranges, n)
        local low = string.char(n)
        -- An escaped character can't begin a range: "%" stands alone, and the range after it.
        if low == '%' then low = '%%&' end
        local pattern = '[' .. low .. '-\255]'
        local fallback_place, fallback_stretch, after, longest = nil, nil, 0, 0
        for from, to in string.gmatch(ranges, '(%d+)-(%d+)') do
            local hints = call('GETRANGE', KEYS[8], from, to)
            local at = string.find(hints, pattern)
            while at do
                looked = looked + 1
                if looked > MAX_STRETCHES then return fallback_place, fallback_stretch, longest end
                local stretch = from + at - 1
                local first, length = stretch_at(stretch)
                local flags = free_flags(first, length, KEYS[3], mine)
                local index, orphan, run = fit(flags, length, n)
                if run > longest then longest = run end
                if not index then
                    -- What this channel can't sell another can, and what this call chose may yet be
                    -- refused: the bound counts both as free.
                    local _, _, bound = fit(free_flags(first, length, KEYS[9], {}), length, n)
                    call('SETRANGE', KEYS[8], stretch, string.char(math.min(bound, 255)))
                elseif not orphan or ARGV[8] == '' then
                    return first + index - 1, stretch, longest
                elseif not fallback_place then
                    fallback_place, fallback_stretch = first + index - 1, stretch
                end
                if fallback_place then
                    after = after + 1
                    if after > MAX_AFTER_ORPHAN then
                        return fallback_place, fallback_stretch, longest
                    end
                end
                at = string.find(hints, pattern, at + 1)
            end
        end
        return fallback_place, fallback_stretch, longest
    end

    local function take(place, stretch, line)
        mine[place] = true
        picked[#picked + 1] = {place, stretch, line}
    end

    -- n neighbours; or, when they may be split, the largest groups that there are.
    local function take_best(ranges, n, line, split)
        local left, size, longest = n, n, 0
        while left > 0 do
            if size > left then size = left end
            local place, stretch, run = best(ranges, size)
            if run > longest then longest = run end
            if place then
                for i = 0, size - 1 do take(place + i, stretch, line) end
                left = left - size
            elseif split and size > 1 then
                size = size - 1
            else
                return false, longest
            end
        end
        return true, longest
    end

    -- Bytes of a bitmap; those beyond its end are 0.
    local function bytes_of(bitmap, from, to)
        local bytes = call('GETRANGE', bitmap, from, to)
        return bytes .. string.rep('\0', to - from + 1 - #bytes)
    end

    -- n units of areas: full bytes are skipped at the speed of string.find.
    local function take_area(ranges, n, line)
        local left = n
        for from, to in string.gmatch(ranges, '(%d+)-(%d+)') do
            for stretch = tonumber(from), tonumber(to) do
                local first, length = stretch_at(stretch)
                local start, stop = first / 8, floor((first + length - 1) / 8)
                local t, b = bytes_of(KEYS[2], start, stop), bytes_of(KEYS[3], start, stop)
                local at = 1
                while left > 0 do
                    local x = string.find(t, '[^\255]', at)
                    local y = x and string.find(b, '[^\255]', x)
                    if not y then break end
                    if y > x then
                        at = y
                    else
                        local v = bor(byte(t, x), byte(b, x))
                        for shift = 7, 0, -1 do
                            local i = (x - 1) * 8 + 7 - shift
                            if left > 0 and i < length and band(rshift(v, shift), 1) == 0
                                and not mine[first + i] then
                                take(first + i, stretch, line)
                                left = left - 1
                            end
                        end
                        at = x + 1
                    end
                end
                if left == 0 then return true end
            end
        end
        return false
    end

    return take_best, take_area
end

-- Whether asking again after a sweep may help. What comes back while somebody asks for it does
-- not: it is theirs first.
local function due()
    if #call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 1) == 1 then return 1 end
    if #call('ZRANGEBYSCORE', KEYS[11], now + 1, '+inf', 'LIMIT', 0, 1) == 1 then return 0 end
    return #call('ZRANGEBYSCORE', KEYS[10], '-inf', now, 'LIMIT', 0, 1)
end

local word, all_taken = 'held', {}
local offers, order_of_offers, total = {}, {}, 0
local lines = (#ARGV - 12) / 9

for line = 1, lines do
    local a = 12 + (line - 1) * 9
    local kind, offer, n = ARGV[a + 1], ARGV[a + 2], tonumber(ARGV[a + 7])
    local from, till = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    if now < from or (till > 0 and now >= till) then return refuse({'window', offer}) end
    local entry = offers[offer]
    if not entry then
        entry = {sold = 0, n = 0, quota = tonumber(ARGV[a + 3]), tiers = {}}
        if entry.quota >= 0 or ARGV[a + 6] ~= '' then
            entry.sold = tonumber(call('HGET', KEYS[6], 'o:' .. offer) or 0)
        end
        for count, bound in string.gmatch(ARGV[a + 6], '(%d+):(%d+)') do
            entry.tiers[#entry.tiers + 1] = {tonumber(count), tonumber(bound)}
        end
        offers[offer] = entry
        order_of_offers[#order_of_offers + 1] = offer
    end
    entry.n = entry.n + n
    total = total + n
    if entry.quota >= 0 and entry.sold + entry.n > entry.quota then
        return refuse({'quota', offer, math.max(0, entry.quota - entry.sold)})
    end
end

if ARGV[5] ~= '0' then
    local bought = tonumber(call('HGET', KEYS[6], 'a:' .. ARGV[4]) or 0)
    if bought + total > tonumber(ARGV[5]) then
        return refuse({'limit', math.max(0, ARGV[5] - bought)})
    end
end
if ARGV[9] ~= '' and ARGV[10] ~= '-1'
    and tonumber(call('HGET', KEYS[6], 'p:' .. ARGV[9]) or 0) >= tonumber(ARGV[10]) then
    return refuse({'promo'})
end

-- Chosen places first: a best-available line must not take what another line names.
for line = 1, lines do
    local a = 12 + (line - 1) * 9
    if ARGV[a + 1] == 'p' then
        local earlier, missed = #picked, #all_taken
        for stretch, first, length, watch, places in
            string.gmatch(ARGV[a + 8], '(%d+):(%d+):(%d+):(%d):([%d%.]+)') do
            local row = rows[stretch]
            if not row then
                first, length = tonumber(first), tonumber(length)
                local from, to = first / 8, floor((first + length - 1) / 8)
                row = {first = first, length = length, watched = watch == '1',
                       taken = call('GETRANGE', KEYS[2], from, to),
                       blocked = call('GETRANGE', KEYS[3], from, to)}
                rows[stretch] = row
            end
            for text in string.gmatch(places, '%d+') do
                local place = tonumber(text)
                if is_free(row, place) then
                    mine[place] = true
                    picked[#picked + 1] = {place, stretch, line}
                else
                    all_taken[#all_taken + 1] = place
                end
            end
        end
        if #all_taken > missed then
            if ARGV[7] ~= '1' or ARGV[a + 9] == '' then word = 'taken' end
            for i = #picked, earlier + 1, -1 do
                mine[picked[i][1]] = nil
                picked[i] = nil
            end
        end
    end
end
if word ~= 'taken' and ARGV[8] ~= '' then
    -- Whether one is left alone beside them, as a closer look may then excuse.
    local alone = false
    for _, p in ipairs(picked) do
        local place, row = p[1], rows[p[2]]
        alone = alone or row.watched
            and ((is_free(row, place - 1) and not is_free(row, place - 2))
                or (is_free(row, place + 1) and not is_free(row, place + 2)))
    end
    -- Near the end of the sale an orphan is better than an unsold pair.
    if alone and call('BITCOUNT', KEYS[2]) < tonumber(ARGV[8]) then
        local orphans = stranded()
        if #orphans > 0 then return refuse({'orphan', table.concat(orphans, ',')}) end
    end
end
local take_best, take_area
for line = 1, lines do
    local a = 12 + (line - 1) * 9
    local kind, n, what = ARGV[a + 1], tonumber(ARGV[a + 7]), ARGV[a + 8]
    if kind ~= 'p' and word ~= 'taken' then
        if not take_best then
            -- A search corrects hints: not for who holds already.
            local known = refuse()
            if known then return known end
            take_best, take_area = searches()
        end
        local ok, longest
        if kind == 'a' then
            ok, longest = take_area(what, n, line), 0
        else
            ok, longest = take_best(what, n, line, kind == 's')
        end
        if not ok then return refuse({'none', line, longest, due()}) end
    end
end
if #all_taken > 0 then
    local again = due()
    if word == 'taken' or again == 1 then
        return refuse({'taken', table.concat(all_taken, ','), again})
    end
    word = 'equivalent'
    local known = refuse()
    if known then return known end
    if not take_best then take_best, take_area = searches() end
    local served = {}
    for _, p in ipairs(picked) do served[p[3]] = true end
    for line = 1, lines do
        local a = 12 + (line - 1) * 9
        if ARGV[a + 1] == 'p' and not served[line]
            and not take_best(ARGV[a + 9], tonumber(ARGV[a + 7]), line, false) then
            return refuse({'taken', table.concat(all_taken, ','), 0})
        end
    end
end

-- Each place has the tier of its own number in the offer's count: the roll-over is exact.
local texts = {}
for i, p in ipairs(picked) do
    local offer = ARGV[12 + (p[3] - 1) * 9 + 2]
    local entry, tier = offers[offer], 0
    if #entry.tiers > 0 then
        tier = nil
        for number, bounds in ipairs(entry.tiers) do
            if (bounds[1] == 0 or entry.sold < bounds[1]) and (bounds[2] == 0 or now < bounds[2])
            then
                tier = number - 1
                break
            end
        end
        if not tier then return refuse({'quota', offer, 0}) end
    end
    entry.sold = entry.sold + 1
    texts[i] = p[1] .. ':' .. p[2] .. ':' .. offer .. ':' .. tier
end

-- Decided. From here on only writes; the first finds out whether this id is new.
local deadline = now + ARGV[6]
local places = table.concat(texts, ',')
local record = 'h|' .. deadline .. '|' .. ARGV[4] .. '|' .. now .. '|' .. ARGV[9] .. '|' .. ARGV[3]
    .. '|' .. places .. '|' .. ARGV[11]
if call('HSETNX', KEYS[4], id, record) == 0 then return refuse() end
for _, p in ipairs(picked) do call('SETBIT', KEYS[2], p[1], 1) end
call('ZADD', KEYS[5], deadline, id)
for _, offer in ipairs(order_of_offers) do
    call('HINCRBY', KEYS[6], 'o:' .. offer, offers[offer].n)
end
call('HINCRBY', KEYS[6], 'a:' .. ARGV[4], total)
if ARGV[9] ~= '' then call('HINCRBY', KEYS[6], 'p:' .. ARGV[9], 1) end
call('HINCRBY', KEYS[1], 'seq', 1)
if word == 'equivalent' then
    return {word, deadline, now, places, table.concat(all_taken, ',')}
end
return {word, deadline, now, places}

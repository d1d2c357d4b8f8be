-- Holds places for a buyer: all of them or none.
--
-- KEYS  1 head       hash    epoch, state ("on_sale", ...), blocked ("0": no place was ever blocked
--                            in this epoch, in any channel)
--       2 taken      bitmap  places with a live record
--       3 blocked    bitmap  places not for sale in the asked channel
--       4 holds      hash    id -> record
--       5 deadlines  zset    id -> deadline (ms) of held records
--       6 counts     hash    "a:<account>" places, "o:<offer>" places, "p:<promo>" uses
--       7 returning  zset    id -> when its places are free (ms)
--       8 asks       zset    id -> until when somebody asks for places that come back (ms)
--       and where something may have to be searched
--       9 stretches  string  8 bytes each: first place, length (big-endian u32)
--       10 hints     string  1 byte each: longest free run of a stretch is at most this, in any
--                            channel
--       11 kills     bitmap  places not for sale in any channel
-- ARGV  1 epoch   2 id   3 "a:<account>"   4 time to live (ms)
--       5 end of the record: "|promo|digest|places|opaque" with promo "" for none, the digest of
--         the request, the places if the short way may be tried, the price snapshot
--       6 the wish, a line of words for what concerns all of it:
--         account limit (0 none)   "1": hold an equivalent if chosen places are taken
--         orphan rule: taken places from which on it is relaxed ("" = rule off)
--         promo ("" none)   promo limit (-1 none)
--         "1": also while the sale is not open (late money takes its places again)
--         then a line of words for each line of it:
--         kind "p" chosen | "b" best adjacent | "s" best, split if need be | "a" area
--         offer   quota (-1 none)   from (ms, 0 none)   until (ms, 0 none)
--         tiers "count:until,..." ("" = one endless tier; 0 = no bound)   n
--         what: p "stretch:first:length:orphans=0/1:place.place;..."
--         b, s, a "from-to,..." stretches
--         instead: stretches "from-to,..." for an equivalent
--       and for chosen places of one row that are close together, by an offer without tiers:
--       7 "o:<offer>"   8 n   9 place with which the 32 bits begin that are looked at
--       10 the chosen ones among them   11 all that have to be free lest a closer look is needed:
--       the chosen ones, and with the orphan rule the row from two before the first to two after
--       the last   12 "1": a closer look is needed even then, at the end of the row; else ""
--       and if there are any such rules: 13 account limit   14 quota   15 from   16 until
-- Reply {"held", deadline, now, places}; without places: those of argument 5
--       | {"equivalent", deadline, now, places, taken}
--       | {"again", record, now}: this id holds already | {"mismatch"}: with another digest
--       | {"finished"} | {"stale"} | {"closed", state} | {"limit", left} | {"quota", offer, left}
--       | {"window", offer} | {"promo"} | {"orphan", places} | {"taken", places, due}
--       | {"none", line, longest, due}; due = 1: the sweep may free places now, ask again after it
--       places: "place:stretch:offer:tier,..."
-- Record: state|deadline|account|created|promo|digest|places|opaque
--         state h held, g claiming, c claimed, s sold, b returning (over for its buyer, its
--         places come back later), r released
-- Twice with the same arguments: the second finds the first ("again").
-- A refusal leaves everything as it was, except hints, which are only upper bounds.
--
-- The busiest script by far: an event's holds come one after the other through it. So there is a
-- short way for what nearly everybody asks for, chosen places that are free: it asks Redis for
-- nothing that it can do without, and whenever it can't say yes, the long way decides, which knows
-- everything. On that, too, the functions of a search are made only for who lets it search.

local MAX_STRETCHES = 4096 -- looked at by one call
local MAX_AFTER_ORPHAN = 32 -- more of them once something was found that leaves an orphan

local KEYS, ARGV, call = KEYS, ARGV, redis.call

local head = call('HMGET', KEYS[1], 'epoch', 'state', 'blocked')
if head[1] ~= ARGV[1] then return {'stale'} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, deadline = ARGV[2], now + ARGV[4]
-- Who blocks a place says so in the head at the same moment.
local any_blocked = head[3] ~= '0'

-- The short way.
if ARGV[7] and head[2] == 'on_sale' then
    local fine, most, quota = true, math.huge, math.huge
    if ARGV[13] then
        local till = ARGV[16] + 0
        if ARGV[13] ~= '0' then most = ARGV[13] + 0 end
        if ARGV[14] ~= '-1' then quota = ARGV[14] + 0 end
        fine = now >= ARGV[15] + 0 and (till == 0 or now < till)
            and ARGV[8] + 0 <= math.min(most, quota)
    end
    if fine then
        -- One call sets the chosen bits and says what was there, if they were clear: then to add
        -- is to set. Whatever speaks against it takes exactly as much away again.
        local bor, band, chosen = bit.bor, bit.band, ARGV[10]
        local sum = call('BITFIELD', KEYS[2], 'INCRBY', 'i32', ARGV[9], chosen)[1]
        local gone = bit.tobit(sum - chosen)
        if any_blocked then
            gone = bor(gone, call('BITFIELD_RO', KEYS[3], 'GET', 'i32', ARGV[9])[1])
        end
        if band(gone, ARGV[11]) ~= 0 or ARGV[12] ~= '' then
            local bnot, lshift, rshift = bit.bnot, bit.lshift, bit.rshift
            -- Who is left beside the chosen ones, and has nobody beside them any more?
            local left = band(ARGV[11], bnot(bor(gone, chosen)))
            local beside = bor(lshift(chosen, 1), rshift(chosen, 1))
            local company = bor(lshift(left, 1), rshift(left, 1))
            fine = band(gone, chosen) == 0 and band(left, beside, bnot(company)) == 0
        end
        -- Of what is left, the record finds out whether this id is new, and the counters, by
        -- counting it, whether it is within the limits. If it isn't, all of it is taken back.
        if fine and call('HSETNX', KEYS[4], id, string.format('h|%d|%s|%d%s', deadline,
            string.sub(ARGV[3], 3), now, ARGV[5])) == 1 then
            local bought = call('HINCRBY', KEYS[6], ARGV[3], ARGV[8])
            local sold = bought <= most and call('HINCRBY', KEYS[6], ARGV[7], ARGV[8])
            if sold and sold <= quota then
                call('ZADD', KEYS[5], deadline, id)
                return {'held', deadline, now}
            end
            call('HDEL', KEYS[4], id)
            if sold then call('HINCRBY', KEYS[6], ARGV[7], -ARGV[8]) end
            if call('HINCRBY', KEYS[6], ARGV[3], -ARGV[8]) <= 0 then
                call('HDEL', KEYS[6], ARGV[3])
            end
        end
        call('BITFIELD', KEYS[2], 'INCRBY', 'i32', ARGV[9], -chosen)
    end
end

-- The long way.
local byte, floor, find, sub = string.byte, math.floor, string.find, string.sub
local bor, band, rshift = bit.bor, bit.band, bit.rshift
local limit, equivalent, orphans_from, promo, promo_limit, late =
    string.match(ARGV[6], '^(%d+) (%d) (%d*) (%d*) (%-?%d+) (%d)\n')

-- Refuses with this reply, unless this id is known: it is told what it got before. Without a
-- reply: nil if the id is new.
local function refuse(reply)
    local known = call('HGET', KEYS[4], id)
    if not known then return reply end
    local state, digest = string.match(known, '^(%a)|[^|]*|[^|]*|[^|]*|[^|]*|([^|]*)|')
    if digest ~= string.match(ARGV[5], '^|[^|]*|([^|]*)|') then return {'mismatch'} end
    if state == 'b' or state == 'r' then return {'finished'} end
    return {'again', known, now}
end
if head[2] ~= 'on_sale' and late ~= '1' then return refuse({'closed', head[2] or ''}) end

local mine = {} -- place -> true: chosen by this call
local picked = {} -- {place, stretch, line}
local rows = {} -- stretch -> what chosen places of it were found in
local bounds = {} -- stretch -> the longest run that the search leaves there

-- Bytes of what this channel can't sell.
local function blocked_bytes(from, to)
    return any_blocked and call('GETRANGE', KEYS[3], from, to) or ''
end

-- What looks at rows with chosen places: is_free and stranded.
local function lookers()
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

    return is_free, stranded
end

-- The searches: take_best and take_area.
local function searches()
    local looked = 0
    -- The bits of half a byte as text, one after the other.
    local NIBBLES = '0000000100100011010001010110011110001001101010111100110111101111'

    -- A stretch as text, "0" for each free place: neither taken, nor in the bytes `blocked`.
    local function text_of(taken, blocked, length)
        local texts = {}
        for at = 1, floor((length + 7) / 8) do
            local v = bor(byte(taken, at) or 0, byte(blocked, at) or 0)
            local high, low = rshift(v, 4) * 4, band(v, 15) * 4
            texts[at] = sub(NIBBLES, high + 1, high + 4) .. sub(NIBBLES, low + 1, low + 4)
        end
        return sub(table.concat(texts), 1, length)
    end

    -- The best n neighbours of one stretch: first index (or nil), leaves an orphan, longest run,
    -- and the longest run that there is afterwards.
    local function fit(text, length, n)
        local best, best_orphan, best_far, longest = nil, true, nil, 0
        local best_left, others = 0, 0
        local start, stop = find(text, '0+')
        while start do
            local run, left = stop - start + 1, stop - start + 1
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
                    -- The one that was best before stays whole.
                    if best and best_left > others then others = best_left end
                    best, best_orphan, best_far = start + offset, orphan, far
                    best_left, left = run, math.max(offset, spare - offset)
                end
            end
            if left > others then others = left end
            start, stop = find(text, '0+', stop + 1)
        end
        return best, best_orphan, longest, others
    end

    local function stretch_at(stretch)
        return struct.unpack('>I4I4', call('GETRANGE', KEYS[9], stretch * 8, stretch * 8 + 7))
    end

    -- Finds n neighbours in the stretches "from-to,...": first place and stretch, or nil.
    local function best(ranges, n)
        local low = string.char(n)
        -- An escaped character can't begin a range: "%" stands alone, and the range after it.
        if low == '%' then low = '%%&' end
        local pattern = '[' .. low .. '-\255]'
        local fallback_place, fallback_stretch, fallback_left = nil, nil, nil
        local after, longest = 0, 0
        for from, to in string.gmatch(ranges, '(%d+)-(%d+)') do
            local hints = call('GETRANGE', KEYS[10], from, to)
            local at = find(hints, pattern)
            while at do
                looked = looked + 1
                if looked > MAX_STRETCHES then break end
                local stretch = from + at - 1
                local first, length = stretch_at(stretch)
                local start, stop = first / 8, floor((first + length - 1) / 8)
                local taken = call('GETRANGE', KEYS[2], start, stop)
                local text = text_of(taken, blocked_bytes(start, stop), length)
                local touched = false
                for _, p in ipairs(picked) do
                    local i = p[1] - first
                    if i >= 0 and i < length then
                        text = sub(text, 1, i) .. '1' .. sub(text, i + 2)
                        touched = true
                    end
                end
                local index, orphan, run, left = fit(text, length, n)
                if run > longest then longest = run end
                if not index then
                    local bound = run
                    if any_blocked or touched then
                        -- What this channel can't sell another can, and what this call chose may
                        -- yet be refused: the bound counts both as free.
                        local kills = call('GETRANGE', KEYS[11], start, stop)
                        bound = select(3, fit(text_of(taken, kills, length), length, n))
                    end
                    call('SETRANGE', KEYS[10], stretch, string.char(math.min(bound, 255)))
                elseif not orphan or orphans_from == '' then
                    return first + index - 1, stretch, longest, left
                elseif not fallback_place then
                    fallback_place, fallback_stretch = first + index - 1, stretch
                    fallback_left = left
                end
                if fallback_place then
                    after = after + 1
                    if after > MAX_AFTER_ORPHAN then break end
                end
                at = find(hints, pattern, at + 1)
            end
            if looked > MAX_STRETCHES or after > MAX_AFTER_ORPHAN then break end
        end
        return fallback_place, fallback_stretch, longest, fallback_left
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
            local place, stretch, run, remains = best(ranges, size)
            if run > longest then longest = run end
            if place then
                for i = 0, size - 1 do take(place + i, stretch, line) end
                -- The next who asks for as many need not look here in vain.
                bounds[stretch] = not any_blocked and remains < size and remains or nil
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
    local function padded(bytes, length)
        return bytes .. string.rep('\0', length - #bytes)
    end

    -- n units of areas: full bytes are skipped at the speed of string.find.
    local function take_area(ranges, n, line)
        local left = n
        for from, to in string.gmatch(ranges, '(%d+)-(%d+)') do
            for stretch = tonumber(from), tonumber(to) do
                local first, length = stretch_at(stretch)
                local start, stop = first / 8, floor((first + length - 1) / 8)
                local t = padded(call('GETRANGE', KEYS[2], start, stop), stop - start + 1)
                local b = padded(blocked_bytes(start, stop), stop - start + 1)
                local at = 1
                while left > 0 do
                    local x = find(t, '[^\255]', at)
                    local y = x and find(b, '[^\255]', x)
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
    if #call('ZRANGEBYSCORE', KEYS[8], now + 1, '+inf', 'LIMIT', 0, 1) == 1 then return 0 end
    return #call('ZRANGEBYSCORE', KEYS[7], '-inf', now, 'LIMIT', 0, 1)
end

local word, all_taken = 'held', {}
local lines, offers, order_of_offers, total = {}, {}, {}, 0

for kind, offer, quota, from, till, tiers, n, what, instead in string.gmatch(ARGV[6],
    '(%a) (%d+) (%-?%d+) (%-?%d+) (%-?%d+) ([^ ]*) (%d+) ([^ ]*) ([^\n]*)\n') do
    n, from, till = tonumber(n), tonumber(from), tonumber(till)
    if now < from or (till > 0 and now >= till) then return refuse({'window', offer}) end
    local entry = offers[offer]
    if not entry then
        entry = {sold = 0, n = 0, quota = tonumber(quota), tiers = {}}
        if entry.quota >= 0 or tiers ~= '' then
            entry.sold = tonumber(call('HGET', KEYS[6], 'o:' .. offer) or 0)
        end
        for count, bound in string.gmatch(tiers, '(%d+):(%d+)') do
            entry.tiers[#entry.tiers + 1] = {tonumber(count), tonumber(bound)}
        end
        offers[offer] = entry
        order_of_offers[#order_of_offers + 1] = offer
    end
    lines[#lines + 1] = {kind = kind, offer = offer, n = n, what = what, instead = instead}
    entry.n = entry.n + n
    total = total + n
    if entry.quota >= 0 and entry.sold + entry.n > entry.quota then
        return refuse({'quota', offer, math.max(0, entry.quota - entry.sold)})
    end
end

if limit ~= '0' then
    local bought = tonumber(call('HGET', KEYS[6], ARGV[3]) or 0)
    if bought + total > tonumber(limit) then
        return refuse({'limit', math.max(0, limit - bought)})
    end
end
if promo ~= '' and promo_limit ~= '-1'
    and tonumber(call('HGET', KEYS[6], 'p:' .. promo) or 0) >= tonumber(promo_limit) then
    return refuse({'promo'})
end

-- Chosen places first: a best-available line must not take what another line names.
local is_free, stranded
for number, line in ipairs(lines) do
    if line.kind == 'p' then
        if not is_free then is_free, stranded = lookers() end
        local earlier, missed = #picked, #all_taken
        for stretch, first, length, watch, places in
            string.gmatch(line.what, '(%d+):(%d+):(%d+):(%d):([%d%.]+)') do
            local row = rows[stretch]
            if not row then
                first, length = tonumber(first), tonumber(length)
                local from, to = first / 8, floor((first + length - 1) / 8)
                row = {first = first, length = length, watched = watch == '1',
                       taken = call('GETRANGE', KEYS[2], from, to),
                       blocked = blocked_bytes(from, to)}
                rows[stretch] = row
            end
            for text in string.gmatch(places, '%d+') do
                local place = tonumber(text)
                if is_free(row, place) then
                    mine[place] = true
                    picked[#picked + 1] = {place, stretch, number}
                else
                    all_taken[#all_taken + 1] = place
                end
            end
        end
        if #all_taken > missed then
            if equivalent ~= '1' or line.instead == '' then word = 'taken' end
            for i = #picked, earlier + 1, -1 do
                mine[picked[i][1]] = nil
                picked[i] = nil
            end
        end
    end
end
if is_free and word ~= 'taken' and orphans_from ~= '' then
    -- Whether one is left alone beside them, as a closer look may then excuse.
    local alone = false
    for _, p in ipairs(picked) do
        local place, row = p[1], rows[p[2]]
        alone = alone or row.watched
            and ((is_free(row, place - 1) and not is_free(row, place - 2))
                or (is_free(row, place + 1) and not is_free(row, place + 2)))
    end
    -- Near the end of the sale an orphan is better than an unsold pair.
    if alone and call('BITCOUNT', KEYS[2]) < tonumber(orphans_from) then
        local orphans = stranded()
        if #orphans > 0 then return refuse({'orphan', table.concat(orphans, ',')}) end
    end
end
local take_best, take_area
for number, line in ipairs(lines) do
    if line.kind ~= 'p' and word ~= 'taken' then
        if not take_best then
            -- A search corrects hints: not for who holds already.
            local known = refuse()
            if known then return known end
            take_best, take_area = searches()
        end
        local ok, longest
        if line.kind == 'a' then
            ok, longest = take_area(line.what, line.n, number), 0
        else
            ok, longest = take_best(line.what, line.n, number, line.kind == 's')
        end
        if not ok then return refuse({'none', number, longest, due()}) end
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
    for number, line in ipairs(lines) do
        if line.kind == 'p' and not served[number]
            and not take_best(line.instead, line.n, number, false) then
            return refuse({'taken', table.concat(all_taken, ','), 0})
        end
    end
end

-- Each place has the tier of its own number in the offer's count: the roll-over is exact.
local texts = {}
for i, p in ipairs(picked) do
    local offer = lines[p[3]].offer
    local entry, tier = offers[offer], 0
    if #entry.tiers > 0 then
        tier = nil
        for number, ends in ipairs(entry.tiers) do
            if (ends[1] == 0 or entry.sold < ends[1]) and (ends[2] == 0 or now < ends[2]) then
                tier = number - 1
                break
            end
        end
        if not tier then return refuse({'quota', offer, 0}) end
    end
    entry.sold = entry.sold + 1
    texts[i] = string.format('%d:%d:%s:%d', p[1], p[2], offer, tier)
end

-- Decided. From here on only writes; the first finds out whether this id is new.
local places = table.concat(texts, ',')
local before, after = string.match(ARGV[5], '^(|[^|]*|[^|]*|)[^|]*(|.*)$')
local record = string.format('h|%d|%s|%d%s', deadline, sub(ARGV[3], 3), now, before)
if call('HSETNX', KEYS[4], id, record .. places .. after) == 0 then return refuse() end
local i = 1
while i <= #picked do
    -- Neighbours at once.
    local first, n = picked[i][1], 1
    while picked[i + n] and picked[i + n][1] == first + n do n = n + 1 end
    call('BITFIELD', KEYS[2], 'SET', 'u' .. n, first, 2 ^ n - 1)
    i = i + n
end
for stretch, bound in pairs(bounds) do call('SETRANGE', KEYS[10], stretch, string.char(bound)) end
call('ZADD', KEYS[5], deadline, id)
for _, offer in ipairs(order_of_offers) do
    call('HINCRBY', KEYS[6], 'o:' .. offer, offers[offer].n)
end
call('HINCRBY', KEYS[6], ARGV[3], total)
if promo ~= '' then call('HINCRBY', KEYS[6], 'p:' .. promo, 1) end
if word == 'equivalent' then
    return {word, deadline, now, places, table.concat(all_taken, ',')}
end
return {word, deadline, now, places}

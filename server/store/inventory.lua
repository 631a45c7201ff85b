#!lua name=hawker_inventory
--[[
The gate in front of a shop's stock: who may go on to PostgreSQL, decided in one step.

PostgreSQL is the truth; this is a fast copy of what can still be taken, and can be lost at any time. A variant
that the gate doesn't know is closed until it has been loaded, so a wiped gate sells nothing by itself.

Every function takes the same four keys, all with one hash tag (a shop), so that a purchase of several variants
is one step and the library runs on a cluster: other shops live elsewhere.
  KEYS[1] variants  hash  <variant>:a available, :l buyer limit, :c changes, :v version of the stock row that was loaded,
                          :t terms, :w version of the stock row that they were set at, :n taps of its drop so far
  KEYS[2] orders    hash  <order> -> JSON {b: buyer, s: "held" | "paying", l: [[variant, units, flash], ...],
                          p: which one of a drop's taps}
  KEYS[3] holds     zset  <order> -> when a held reservation ends, Unix ms
  KEYS[4] buyers    hash  <variant>|<buyer> -> units reserved or bought; only for variants with a limit;
                          <variant>|<buyer>|<flash> the same at a flash price with a limit of its own

Terms are JSON, absent for a variant that is just sold: {d: drop, o: when it opens, f: flash, n: its buyer limit,
e: when it ends, w: true while people wait for the variant, so that the crowd gets none}; times in Unix ms.

An order's record is held (reserved, ends by itself) -> paying (in PostgreSQL, ends only by confirm or release).
Every function is idempotent by order id. `:c` counts what moved a variant, so that a load computed from an
older look is refused.
]]

local SWEEP = 20

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function add(keys, variant, what, by)
    return redis.call('HINCRBY', keys[1], variant .. what, by)
end

local function number(keys, variant, what)
    return tonumber(redis.call('HGET', keys[1], variant .. what))
end

local function record_of(keys, order)
    local text = redis.call('HGET', keys[2], order)
    return text and cjson.decode(text)
end

local function keep(keys, order, record)
    redis.call('HSET', keys[2], order, cjson.encode(record))
end

local function count(keys, field, units)
    if redis.call('HINCRBY', keys[4], field, units) <= 0 then redis.call('HDEL', keys[4], field) end
end

local function count_for_buyer(keys, record, sign)
    for _, line in ipairs(record.l) do
        local limit = number(keys, line[1], ':l')
        local field = line[1] .. '|' .. record.b
        if limit and limit > 0 then count(keys, field, sign * line[2]) end
        if line[3] then count(keys, field .. '|' .. line[3], sign * line[2]) end
    end
end

-- Give a record's units back. A variant that is not loaded gets its number when it is.
local function give_back(keys, order, record)
    for _, line in ipairs(record.l) do
        if number(keys, line[1], ':a') then
            add(keys, line[1], ':a', line[2])
            add(keys, line[1], ':c', 1)
        end
    end
    count_for_buyer(keys, record, -1)
    redis.call('HDEL', keys[2], order)
    redis.call('ZREM', keys[3], order)
end

-- A key's own expiry would lose units in silence, so holds that are over are swept here, some at each call.
local function sweep(keys, most)
    local over = redis.call('ZRANGE', keys[3], '-inf', now_ms(), 'BYSCORE', 'LIMIT', 0, most)
    for _, order in ipairs(over) do
        local record = record_of(keys, order)
        if record then
            give_back(keys, order, record)
        else
            redis.call('ZREM', keys[3], order)
        end
    end
    return #over
end

local function lines_from(args, first)
    local lines = {}
    for i = first, #args, 2 do
        lines[#lines + 1] = { args[i], tonumber(args[i + 1]) }
    end
    return lines
end

local function same_lines(a, b)
    if #a ~= #b then return false end
    for i, line in ipairs(a) do
        if line[1] ~= b[i][1] or line[2] ~= b[i][2] then return false end
    end
    return true
end

-- What a variant's terms say against a line: code and number. A line at a limited flash price is marked with it.
local function barred(keys, terms, line, buyer, now)
    if terms.o and now < terms.o then return 'not_open_yet', terms.o - now end
    if terms.w then return 'sold_out', 0 end
    if terms.f and now < terms.e then
        local has = tonumber(redis.call('HGET', keys[4], line[1] .. '|' .. buyer .. '|' .. terms.f) or 0)
        if has + line[2] > terms.n then return 'buyer_limit', terms.n end
        line[3] = terms.f
    end
end

-- Why a line can't be reserved: code and number; nothing where it can. The third result: it counts for a drop.
local function judge(keys, line, buyer, available, limit, text)
    local terms = text and cjson.decode(text)
    if terms then
        local code, n = barred(keys, terms, line, buyer, now_ms())
        if code then return code, n end
    end
    if line[2] > available then return 'sold_out', math.max(available, 0) end
    if limit > 0 then
        local has = tonumber(redis.call('HGET', keys[4], line[1] .. '|' .. buyer) or 0)
        if has + line[2] > limit then return 'buyer_limit', limit end
    end
    return nil, nil, terms and terms.d
end

-- ARGV: order, buyer, how long to hold (ms), then variant, units, ... sorted by variant.
-- Returns {'held', position} | {'again', state, position} | {'reused'} | {'closed', variant...}
-- | {'refused', variant, code, n, ...}; the position is that in a drop, else 0; n is what is available, the limit, or
-- after how many ms the drop opens.
local function reserve(keys, args)
    sweep(keys, SWEEP)
    local order, buyer, lines = args[1], args[2], lines_from(args, 4)
    local known = record_of(keys, order)
    if known then
        if known.b == buyer and same_lines(known.l, lines) then return { 'again', known.s, known.p or 0 } end
        return { 'reused' }
    end
    local closed, refused, dropped = { 'closed' }, { 'refused' }, nil
    for _, line in ipairs(lines) do
        local variant = line[1]
        local known_of = redis.call('HMGET', keys[1], variant .. ':a', variant .. ':l', variant .. ':t')
        local available = tonumber(known_of[1])
        if not available then
            closed[#closed + 1] = variant
        else
            local code, n, drop = judge(keys, line, buyer, available, tonumber(known_of[2] or 0), known_of[3])
            if code then
                for _, v in ipairs({ variant, code, n }) do refused[#refused + 1] = v end
            elseif drop then
                dropped = dropped or variant
            end
        end
    end
    if #closed > 1 then return closed end
    if #refused > 1 then return refused end
    local record = { b = buyer, s = 'held', l = lines }
    if dropped then record.p = add(keys, dropped, ':n', 1) end
    for _, line in ipairs(lines) do
        add(keys, line[1], ':a', -line[2])
        add(keys, line[1], ':c', 1)
    end
    count_for_buyer(keys, record, 1)
    keep(keys, order, record)
    redis.call('ZADD', keys[3], now_ms() + tonumber(args[3]), order)
    return { 'held', record.p or 0 }
end

-- ARGV: order. The order is in PostgreSQL: its reservation no longer ends by itself. Returns 1, or 0: no such record.
local function begin(keys, args)
    local record = record_of(keys, args[1])
    if not record then return 0 end
    if record.s == 'held' then
        record.s = 'paying'
        keep(keys, args[1], record)
        redis.call('ZREM', keys[3], args[1])
        for _, line in ipairs(record.l) do add(keys, line[1], ':c', 1) end
    end
    return 1
end

-- ARGV: order. Paid: the units are gone for good and stay counted for the buyer.
local function confirm(keys, args)
    local record = record_of(keys, args[1])
    if not record then return 0 end
    redis.call('HDEL', keys[2], args[1])
    redis.call('ZREM', keys[3], args[1])
    for _, line in ipairs(record.l) do add(keys, line[1], ':c', 1) end
    return 1
end

-- ARGV: order, '1' to release what is only held. The units can be taken again.
local function release(keys, args)
    local record = record_of(keys, args[1])
    if not record or (args[2] == '1' and record.s ~= 'held') then return 0 end
    give_back(keys, args[1], record)
    return 1
end

-- ARGV: order, its record as JSON, '1' to count its units for its buyer. An order of PostgreSQL's without a record: lost
-- in a wipe (what its buyer has is loaded with the variant), or bought by an offer, past the gate (count them).
local function restore(keys, args)
    if redis.call('HEXISTS', keys[2], args[1]) == 1 then return 0 end
    local record = cjson.decode(args[2])
    keep(keys, args[1], record)
    if args[3] == '1' then count_for_buyer(keys, record, 1) end
    return 1
end

-- ARGV: variant, version of the stock row when the terms were read, the terms ('' for none), the last position that
-- PostgreSQL knows. May come before the variant is loaded. Returns 1, or 0: newer ones are set.
local function terms(keys, args)
    local variant, text = args[1], args[3]
    local set_at, before = number(keys, variant, ':w'), redis.call('HGET', keys[1], variant .. ':t')
    if set_at and set_at > tonumber(args[2]) then return 0 end
    redis.call('HSET', keys[1], variant .. ':w', args[2])
    local same_drop = text ~= '' and before and cjson.decode(before).d == cjson.decode(text).d
    local taps = math.max(tonumber(args[4]), same_drop and number(keys, variant, ':n') or 0)
    if text == '' then
        redis.call('HDEL', keys[1], variant .. ':t', variant .. ':n')
    else
        redis.call('HSET', keys[1], variant .. ':t', text, variant .. ':n', taps)
    end
    return 1
end

-- ARGV: variant, by how much, version of the stock row after the change. Stock that the shop added or took away.
local function adjust(keys, args)
    local version = number(keys, args[1], ':v')
    if not version or version >= tonumber(args[3]) then return 0 end
    add(keys, args[1], ':a', args[2])
    add(keys, args[1], ':c', 1)
    return 1
end

-- ARGV: a record as JSON. Units of a refunded order no longer count for its buyer.
local function forget(keys, args)
    count_for_buyer(keys, cjson.decode(args[1]), -1)
    return 1
end

-- ARGV: variant, the changes that were seen ('' for a variant not known), available, buyer limit, version, then
-- buyer, units, ... for a variant with a limit. Returns 1, or 0: it moved meanwhile, look again.
local function load(keys, args)
    local variant = args[1]
    local changes = redis.call('HGET', keys[1], variant .. ':c') or ''
    if changes ~= args[2] then return 0 end
    redis.call('HSET', keys[1], variant .. ':a', args[3], variant .. ':l', args[4], variant .. ':v', args[5],
        variant .. ':c', tonumber(changes ~= '' and changes or 0) + 1)
    for i = 6, #args, 2 do
        redis.call('HSET', keys[4], variant .. '|' .. args[i], args[i + 1])
    end
    return 1
end

-- Returns {variants as field, value, ...; orders as order, record, ...}, swept first: what the gate believes.
local function look(keys, args)
    while sweep(keys, 1000) == 1000 do end
    return { redis.call('HGETALL', keys[1]), redis.call('HGETALL', keys[2]) }
end

redis.register_function('hawker_reserve', reserve)
redis.register_function('hawker_begin', begin)
redis.register_function('hawker_confirm', confirm)
redis.register_function('hawker_release', release)
redis.register_function('hawker_restore', restore)
redis.register_function('hawker_terms', terms)
redis.register_function('hawker_adjust', adjust)
redis.register_function('hawker_forget', forget)
redis.register_function('hawker_load', load)
redis.register_function('hawker_look', look)

-- One message of a replica to the windows of an org: what `Board::answer` does in Rust.
-- KEYS: what the org last heard of each replica, a hash; then one for each window.
-- ARGV: the message, as JSON; after how many milliseconds the seats of a silent replica are free.
local SLOTS = 60
local KNOWN_MILLIS = 2 * 86400000
local SILENT_WAIT_MILLIS = 1000
local SWEEP_EVERY = 64

local message = cjson.decode(ARGV[1])
local silence = tonumber(ARGV[2])
local me = message.boot
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Numbers are doubles here: exact up to 2^53.
local function whole(number)
    return string.format('%.0f', number)
end

local function seq_and_time(text)
    local seq, at = string.match(text, '^(%d+):(%d+)$')
    return tonumber(seq), tonumber(at)
end

local before = redis.call('HGET', KEYS[1], me)
local known = before and seq_and_time(before) or 0
if message.seq <= known then
    return {'late', 0, {}, {}}
end
if known < message.answered then
    return {'forgotten', 0, {}, {}}
end
redis.call('HSET', KEYS[1], me, whole(message.seq) .. ':' .. whole(now))
redis.call('PEXPIRE', KEYS[1], KNOWN_MILLIS)

local heard
local function is_heard(boot)
    if not heard then
        heard = {}
        local rows = redis.call('HGETALL', KEYS[1])
        for i = 1, #rows, 2 do
            local _, at = seq_and_time(rows[i + 1])
            heard[rows[i]] = now - silence < at
            if message.seq % SWEEP_EVERY == 0 and at < now - KNOWN_MILLIS then
                redis.call('HDEL', KEYS[1], rows[i])
            end
        end
    end
    return heard[boot]
end

-- === windows: a column of slots for each replica

local function load(place)
    local packed = redis.call('GET', KEYS[place + 1])
    return {columns = packed and cmsgpack.unpack(packed) or {}, slot_millis = message.slots[place]}
end

local function tell(window, taken)
    local column, any = {}, false
    for _, pair in ipairs(taken) do
        if 0 < pair[2] then
            column[pair[1]] = pair[2]
            any = true
        end
    end
    window.columns[me] = any and column or nil
end

local function advance(window)
    if window.slot_millis == 0 then
        window.head = 0
        for boot in pairs(window.columns) do
            if not is_heard(boot) then
                window.columns[boot] = nil
            end
        end
    else
        local present = math.floor(now / window.slot_millis)
        window.head = present
        for _, column in pairs(window.columns) do
            for slot in pairs(column) do
                if slot <= present + SLOTS and window.head < slot then
                    window.head = slot
                end
            end
        end
    end
    window.sums, window.total = {}, 0
    for boot, column in pairs(window.columns) do
        local sum = 0
        for slot, cells in pairs(column) do
            if window.slot_millis ~= 0 and (slot < window.head - SLOTS or window.head < slot) then
                column[slot] = nil
            else
                sum = sum + cells
            end
        end
        if next(column) == nil then
            window.columns[boot] = nil
        end
        window.sums[boot] = sum
        window.total = window.total + sum
    end
end

local function used(window, limit)
    local share = math.floor(limit / math.max(message.replicas, 1))
    local all = window.total
    for _, boot in ipairs(message.silent) do
        all = all + math.max(0, share - (window.sums[boot] or 0))
    end
    return all
end

-- The milliseconds until `excess` cells have left the window.
local function wait(window, excess)
    if window.slot_millis == 0 or window.total < excess then
        return SILENT_WAIT_MILLIS
    end
    local freed = 0
    for slot = window.head - SLOTS, window.head do
        for _, column in pairs(window.columns) do
            freed = freed + (column[slot] or 0)
        end
        if excess <= freed then
            return math.max(1, (slot + SLOTS + 1) * window.slot_millis - now)
        end
    end
    return SILENT_WAIT_MILLIS
end

local function give(window, cells)
    if 0 < cells then
        local column = window.columns[me] or {}
        window.columns[me] = column
        column[window.head] = (column[window.head] or 0) + cells
        window.sums[me] = (window.sums[me] or 0) + cells
        window.total = window.total + cells
        window.granted = (window.granted or 0) + cells
    end
end

local windows = {}
for place = 1, #message.slots do
    windows[place] = load(place)
end
for _, column in ipairs(message.columns) do
    tell(windows[column[1]], column[2])
end
for _, window in ipairs(windows) do
    advance(window)
end

-- === needs: each whole or not at all

local fits = {}
for _, need in ipairs(message.needs) do
    local gifts, lack = {}, nil
    for _, part in ipairs(need) do
        local window, limit, least, most = windows[part[1]], part[2], part[3], part[4]
        window.limit = limit
        local free = limit - used(window, limit)
        if free < least then
            lack = lack or {part[1], wait(window, least - free)}
        else
            local slice = math.floor(free / (math.max(message.replicas, 1) * 2))
            gifts[#gifts + 1] = {window, math.max(least, math.min(most, slice))}
        end
    end
    if not lack then
        for _, gift in ipairs(gifts) do
            give(gift[1], gift[2])
        end
    end
    fits[#fits + 1] = lack or {0, 0}
end

local standings = {}
for place, window in ipairs(windows) do
    if window.limit then
        local standing = {place, window.granted or 0, window.head, used(window, window.limit)}
        standings[#standings + 1] = standing
    end
    if next(window.columns) == nil then
        redis.call('DEL', KEYS[place + 1])
    else
        local counts = window.slot_millis * (SLOTS + 1)
        if window.slot_millis == 0 then
            counts = silence
        end
        redis.call('SET', KEYS[place + 1], cmsgpack.pack(window.columns), 'PX', whole(counts))
    end
end
return {'heard', now, fits, standings}

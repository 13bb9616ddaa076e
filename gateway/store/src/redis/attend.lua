-- A replica is alive. Returns whether it was known, and the others with the milliseconds since
-- each was heard, and the present time.
-- KEYS: the attendance, a sorted set. ARGV: the replica, and after how long others are left out.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400000)
redis.call('PEXPIRE', KEYS[1], 86400000)
local others = {}
local after = '(' .. string.format('%.0f', now - tonumber(ARGV[2]))
local rows = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'WITHSCORES')
for i = 1, #rows, 2 do
    if rows[i] ~= ARGV[1] then
        others[#others + 1] = {rows[i], math.max(0, now - tonumber(rows[i + 1]))}
    end
end
return {known and 1 or 0, others, now}

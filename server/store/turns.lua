-- Books a turn in a line that all processes share. A token bucket: `burst` at once, then one every gap.
-- KEYS[1]  the moment, in µs of the server's clock, before which the next turn is not
-- ARGV     gap between turns in µs, burst, longest wait in µs
-- Returns  the wait in µs; where the line is full, the wait there would be, below zero: nothing is booked
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local gap, burst, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local free = tonumber(redis.call('GET', KEYS[1]) or '0')
local turn = math.max(free, now - gap * (burst - 1))
local wait = math.max(0, turn - now)
if wait > longest then return -wait end
local kept_ms = math.ceil((wait + gap * burst) / 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.0f', turn + gap), 'PX', kept_ms)
return wait

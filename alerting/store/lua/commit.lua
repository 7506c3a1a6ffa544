-- KEYS fence, evaluated_until, episodes, detector, closed, outbox, outbox order, outbox sequence, tally,
--      spans, erasures.
-- ARGV token, evaluated_until as read, evaluated_until to be, closed to keep, number of open, closed, deliveries,
--      suppressed, end of the oldest span to keep, spans to keep, erasures as read; then per open episode: key, episode,
--      memory; per closed: key, episode, end of its span, span; per delivery: id, delivery, its field of the tally; per
--      kind of suppressed: its field of the tally, how many.
-- Returns 'applied', 'moved' (evaluated_until is another, or a text was erased) or 'fenced' (another alerter leads).
-- All checks come before the first write: a script that fails halfway is not rolled back.
local kinds = { 'string', 'string', 'hash', 'hash', 'list', 'hash', 'zset', 'string', 'hash', 'zset', 'string' }
for i, kind in ipairs(kinds) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= kind then
        return redis.error_reply('wrong type of key ' .. KEYS[i] .. ': ' .. found .. ', not ' .. kind)
    end
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 'fenced'
end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then
    return 'moved'
end
if (redis.call('GET', KEYS[11]) or '0') ~= ARGV[11] then
    return 'moved'
end
local opened, closed, deliveries = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local suppressed = tonumber(ARGV[8])
if #ARGV ~= 11 + 3 * opened + 4 * closed + 3 * deliveries + 2 * suppressed then
    return redis.error_reply('commit was called with ' .. #ARGV .. ' arguments')
end

if ARGV[3] ~= '' then
    redis.call('SET', KEYS[2], ARGV[3])
end
local at = 12
for _ = 1, opened do
    redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])
    redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 2])
    at = at + 3
end
for _ = 1, closed do
    redis.call('HDEL', KEYS[3], ARGV[at])
    redis.call('HDEL', KEYS[4], ARGV[at])
    redis.call('LPUSH', KEYS[5], ARGV[at + 1])
    redis.call('ZADD', KEYS[10], ARGV[at + 2], ARGV[at + 3])
    at = at + 4
end
if closed > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', '(' .. ARGV[9])
    redis.call('ZREMRANGEBYRANK', KEYS[10], 0, -tonumber(ARGV[10]) - 1)
    redis.call('LTRIM', KEYS[5], 0, tonumber(ARGV[4]) - 1)
end
for _ = 1, deliveries do
    if redis.call('HSETNX', KEYS[6], ARGV[at], ARGV[at + 1]) == 1 then
        redis.call('ZADD', KEYS[7], redis.call('INCR', KEYS[8]), ARGV[at])
        redis.call('HINCRBY', KEYS[9], ARGV[at + 2], 1)
    end
    at = at + 3
end
for _ = 1, suppressed do
    redis.call('HINCRBY', KEYS[9], ARGV[at], ARGV[at + 1])
    at = at + 2
end
return 'applied'

-- KEYS quarantine, outbox, outbox order, outbox sequence, tally. ARGV id, delivery, field of the tally. Returns 1, or 0 if it is not in quarantine.
-- For operators, so it needs no fence: no alerter touches quarantined deliveries.
local kinds = { 'hash', 'hash', 'zset', 'string', 'hash' }
for i, kind in ipairs(kinds) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= kind then
        return redis.error_reply('wrong type of key ' .. KEYS[i] .. ': ' .. found .. ', not ' .. kind)
    end
end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[5], ARGV[3], -1)
-- To the front: a trigger behind its own resolve would open an incident that is never resolved.
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[3], first[2] and tonumber(first[2]) - 1 or redis.call('INCR', KEYS[4]), ARGV[1])
return 1

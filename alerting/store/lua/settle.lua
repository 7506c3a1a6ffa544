-- KEYS fence, outbox, outbox order, delivered (a list) or quarantine (a hash), tally, erasures.
-- ARGV token, 'delivered' | 'retried' | 'quarantined', id, delivery, delivered to keep, field of
-- the tally, erasures when the delivery was read: if there was another erasure since, the outbox's text is kept.
-- Returns 1, or 0 if another alerter leads or the id is not in the outbox.
local kinds = { 'string', 'hash', 'zset', ARGV[2] == 'delivered' and 'list' or 'hash', 'hash', 'string' }
for i, kind in ipairs(kinds) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= kind then
        return redis.error_reply('wrong type of key ' .. KEYS[i] .. ': ' .. found .. ', not ' .. kind)
    end
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then
    return 0
end
local delivery = ARGV[4]
if (redis.call('GET', KEYS[6]) or '0') ~= ARGV[7] then
    delivery = redis.call('HGET', KEYS[2], ARGV[3])
end
if ARGV[2] == 'retried' then
    redis.call('HSET', KEYS[2], ARGV[3], delivery)
    return 1
end
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('HINCRBY', KEYS[5], ARGV[6], 1)
if ARGV[2] == 'delivered' then
    redis.call('LPUSH', KEYS[4], delivery)
    redis.call('LTRIM', KEYS[4], 0, tonumber(ARGV[5]) - 1)
else
    redis.call('HSET', KEYS[4], ARGV[3], delivery)
end
return 1

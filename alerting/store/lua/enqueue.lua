-- KEYS fence, outbox, outbox order, outbox sequence, tally. ARGV token, then per delivery: id, delivery, its
-- field of the tally. Returns 1, or 0 if another alerter leads.
local kinds = { 'string', 'hash', 'zset', 'string', 'hash' }
for i, kind in ipairs(kinds) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= 'none' and found ~= kind then
        return redis.error_reply('wrong type of key ' .. KEYS[i] .. ': ' .. found .. ', not ' .. kind)
    end
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
for at = 2, #ARGV, 3 do
    if redis.call('HSETNX', KEYS[2], ARGV[at], ARGV[at + 1]) == 1 then
        redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[4]), ARGV[at])
        redis.call('HINCRBY', KEYS[5], ARGV[at + 2], 1)
    end
end
return 1

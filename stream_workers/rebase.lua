-- Put a partition's `next` somewhere else, once: its first state, another log, or offsets lost to retention.
--
-- KEYS[1] state hash. ARGV[1] next as it was read (-1: no state), ARGV[2] topic id as it was read,
-- ARGV[3..] field, value, ... to set.
-- Returns 1 when done, 0 when somebody else moved the state meanwhile.
local state = redis.call('TYPE', KEYS[1]).ok
if state ~= 'none' and state ~= 'hash' then
    return redis.error_reply('STATE ' .. KEYS[1] .. ' is a ' .. state .. ', not a hash')
end
local current = redis.call('HMGET', KEYS[1], 'next', 'topic_id')
if tostring(current[1] or '-1') ~= ARGV[1] or (current[2] or '') ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1

-- Move a partition's `next` once: its first state, another log, or offsets lost to retention.
--
-- KEYS[1] state hash, KEYS[2] list of the logs that were left. ARGV[1] next as it was read (-1: no state), ARGV[2] topic
-- id as it was read, ARGV[3] 1 if the partition leaves a log, or moves back in it, ARGV[4] logs to remember,
-- ARGV[5..] field, value, ... to set.
-- Returns 1 if done, 0 if another worker moved the state in the meantime.
local state = redis.call('TYPE', KEYS[1]).ok
if state ~= 'none' and state ~= 'hash' then
    return redis.error_reply('STATE ' .. KEYS[1] .. ' is a ' .. state .. ', not a hash')
end
local current = redis.call('HMGET', KEYS[1], 'next', 'topic_id')
if tostring(current[1] or '-1') ~= ARGV[1] or (current[2] or '') ~= ARGV[2] then
    return 0
end
if ARGV[3] == '1' then
    -- In the same call: a sender that finds the partition in another log must also find how far this one was applied.
    redis.call('RPUSH', KEYS[2], ARGV[2] .. ' ' .. ARGV[1])
    redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
return 1

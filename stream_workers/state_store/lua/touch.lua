-- The owner's heartbeat. KEYS[1] state hash, ARGV[1] next as the owner last stored it, ARGV[2..] field, value, ...
-- If the stored `next` differs, the caller is not the owner and nothing is changed. Returns 1 or 0.
if redis.call('HGET', KEYS[1], 'next') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1

-- The owner's sign of life. KEYS[1] state hash, ARGV[1] next as the owner knows it, ARGV[2..] field, value, ...
-- A worker that no longer stands at `next` is no owner: it changes nothing. Returns 1 or 0.
if redis.call('HGET', KEYS[1], 'next') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1

-- KEYS lease, fence. ARGV holder, lease ms. Returns the fencing token, or 0 while another holds the lease.
local lease = redis.call('TYPE', KEYS[1]).ok
local fence = redis.call('TYPE', KEYS[2]).ok
if (lease ~= 'none' and lease ~= 'string') or (fence ~= 'none' and fence ~= 'string') then
    return redis.error_reply('wrong type of key ' .. KEYS[1] .. ' or ' .. KEYS[2])
end
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return tonumber(redis.call('GET', KEYS[2]))
end
if holder then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])

-- KEYS lease. ARGV holder, lease ms (0 gives it up). Returns 1 if the lease was the holder's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1

-- Append one window of posts to the ledger, if no other run has appended since it was read.
--
-- KEYS[1] list of windows, KEYS[2] hash about the ledger.
-- ARGV[1] the version as it was read, ARGV[2] the window, ARGV[3] its posts, ARGV[4] posts that the ledger may hold.
-- Returns {1, version} when appended, {0, version} when it is another. The version is the number of windows ever written.
local forgotten = tonumber(redis.call('HGET', KEYS[2], 'windows_forgotten') or '0')
local version = forgotten + redis.call('LLEN', KEYS[1])
if version ~= tonumber(ARGV[1]) then
    return {0, version}
end
redis.call('RPUSH', KEYS[1], ARGV[2])
local posts = redis.call('HINCRBY', KEYS[2], 'posts', ARGV[3])
while posts > tonumber(ARGV[4]) and redis.call('LLEN', KEYS[1]) > 1 do
    -- The first ten bytes of a window are the number of its posts.
    local count = tonumber(string.sub(redis.call('LPOP', KEYS[1]), 1, 10))
    posts = redis.call('HINCRBY', KEYS[2], 'posts', -count)
    redis.call('HINCRBY', KEYS[2], 'windows_forgotten', 1)
    redis.call('HINCRBY', KEYS[2], 'posts_forgotten', count)
end
return {1, version + 1}

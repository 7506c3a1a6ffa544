-- Replace one window of the ledger.
--
-- KEYS[1] list of windows, KEYS[2] hash about the ledger. ARGV[1] the window's number, ARGV[2] what it was, empty for
-- whatever it was, ARGV[3] the window, ARGV[4] its posts.
-- Returns 1 when replaced, 0 when the ledger has forgotten it or another run has replaced it.
local forgotten = tonumber(redis.call('HGET', KEYS[2], 'windows_forgotten') or '0')
local place = tonumber(ARGV[1]) - forgotten
if place < 0 then
    return 0
end
local found = redis.call('LINDEX', KEYS[1], place)
if not found or (ARGV[2] ~= '' and ARGV[2] ~= found) then
    return 0
end
redis.call('LSET', KEYS[1], place, ARGV[3])
redis.call('HINCRBY', KEYS[2], 'posts', tonumber(ARGV[4]) - tonumber(string.sub(found, 1, 10)))
return 1

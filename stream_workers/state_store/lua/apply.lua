-- One micro-batch of one partition: a compare-and-set on `next`.
--
-- KEYS[1] state hash, KEYS[2] index zset, KEYS[3..] every other key touched.
-- ARGV[1] from, ARGV[2] to, ARGV[3] topic id, ARGV[4] JSON of the layout of ARGV[5..]:
--   life   string, the token that the caller loaded
--   writer string, the token of the last write that the caller read
--   types  string, one character per key of KEYS[3..]: h hash, s set, z zset; '-' to delete
--   erased index of the key with the erased posts, as brandpulse/state/erasure writes them; 0: no run stores posts
--   runs   {{command, key number, values in ARGV that follow, members to keep, bytes}, ...}, in order
--          members to keep: of a ZADD, the highest; 0: all. bytes: of each value if one argument holds many; else 0
-- Returns {1, next} if applied, {0, next} if `next`, the topic id, the life or the writer differs; next is -1 if there is
-- no state.
--
-- Everything is checked before the first write: a script that raises halfway leaves a partial change.
local state = redis.call('TYPE', KEYS[1]).ok
if state == 'none' then
    return {0, -1}
end
if state ~= 'hash' then
    return redis.error_reply('STATE ' .. KEYS[1] .. ' is a ' .. state .. ', not a hash')
end
local current = redis.call('HMGET', KEYS[1], 'next', 'topic_id', 'life', 'writer')
local next_offset = tonumber(current[1])
if next_offset == nil then
    return redis.error_reply('STATE ' .. KEYS[1] .. ' has no number in field next')
end
local layout = cjson.decode(ARGV[4])
if next_offset ~= tonumber(ARGV[1]) or current[2] ~= ARGV[3] or (current[3] or '') ~= layout.life
        or (current[4] or '') ~= layout.writer then
    return {0, next_offset}
end
local wanted = {h = 'hash', s = 'set', z = 'zset'}
local index_type = redis.call('TYPE', KEYS[2]).ok
if index_type ~= 'none' and index_type ~= 'zset' then
    return redis.error_reply('STATE ' .. KEYS[2] .. ' is a ' .. index_type .. ', not a zset')
end
if #layout.types ~= #KEYS - 2 then
    return redis.error_reply('STATE arguments of ' .. KEYS[1] .. ': types and keys differ in number')
end
for i = 3, #KEYS do
    local key_type = string.sub(layout.types, i - 2, i - 2)
    if key_type ~= '-' then
        local found = redis.call('TYPE', KEYS[i]).ok
        if found ~= 'none' and found ~= wanted[key_type] then
            return redis.error_reply('STATE ' .. KEYS[i] .. ' is a ' .. found .. ', not a ' .. tostring(wanted[key_type]))
        end
    end
end

local values = 4
for _, run in ipairs(layout.runs) do
    if KEYS[run[2]] == nil or run[3] < 1 then
        return redis.error_reply('STATE arguments of ' .. KEYS[1] .. ': a run has no key or no values')
    end
    if run[5] > 0 and (run[3] ~= 1 or #(ARGV[values + 1] or '') % run[5] ~= 0) then
        return redis.error_reply('STATE arguments of ' .. KEYS[1] .. ': values of ' .. run[5] .. ' bytes do not end there')
    end
    values = values + run[3]
end
if values ~= #ARGV then
    return redis.error_reply('STATE arguments of ' .. KEYS[1] .. ': the runs want ' .. values .. ', there are ' .. #ARGV)
end

-- An erased post is not stored again, however late its batch arrives. Almost always there is none.
local erased = layout.erased > 0 and redis.call('EXISTS', KEYS[layout.erased]) == 1 and KEYS[layout.erased]
local function is_erased(member)
    local post = cjson.decode(member)
    local id, source = post.id or post[1], post.source or post[2]
    if type(source) ~= 'string' then
        return redis.call('SISMEMBER', erased, id) == 1
    end
    return redis.call('SISMEMBER', erased, redis.sha1hex(source .. '\0' .. id)) == 1
        or redis.call('SISMEMBER', erased, '@' .. (post.author or post[5] or '')) == 1
end

redis.call('HSET', KEYS[1], 'next', ARGV[2])
local at = 5
for _, run in ipairs(layout.runs) do
    local from, first, last = ARGV, at, at + run[3] - 1
    if run[5] > 0 then
        local packed, width, sub = ARGV[at], run[5], string.sub
        from, first, last = {}, 1, #packed / width
        for i = 1, last do
            from[i] = sub(packed, (i - 1) * width + 1, i * width)
        end
    end
    if erased and run[6] then
        local kept = {}
        for i = first, last, 2 do
            if not is_erased(from[i + 1]) then
                kept[#kept + 1] = from[i]
                kept[#kept + 1] = from[i + 1]
            end
        end
        from, first, last = kept, 1, #kept
    end
    -- Lua's C stack limits unpack(): 1,000 arguments per call are safe. An even number keeps pairs together.
    for start = first, last, 1000 do
        redis.call(run[1], KEYS[run[2]], unpack(from, start, math.min(start + 999, last)))
    end
    if run[4] > 0 then
        redis.call('ZREMRANGEBYRANK', KEYS[run[2]], 0, -run[4] - 1)
    end
    at = at + run[3]
end
for i = 3, #KEYS do
    if string.sub(layout.types, i - 2, i - 2) == '-' then
        redis.call('UNLINK', KEYS[i])
    end
end
return {1, tonumber(ARGV[2])}

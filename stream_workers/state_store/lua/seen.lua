-- Returns which ids of a batch are in the dedup window of the partition.
--
-- KEYS the sets of its generations. ARGV[1] the ids, concatenated; ARGV[2] bytes of each.
-- Returns {index of an id in the batch, index of its set in KEYS, ...} for each id found, both from 0.
--
-- One argument: a client takes longer to write a thousand arguments than the server to look all of them up.
local packed, width, sub = ARGV[1], tonumber(ARGV[2]), string.sub
local ids = {}
for i = 1, #packed / width do
    ids[i] = sub(packed, (i - 1) * width + 1, i * width)
end
local found = {}
for set, key in ipairs(KEYS) do
    -- Lua's C stack limits unpack(), as in apply.lua.
    for start = 1, #ids, 1000 do
        local members = redis.call('SMISMEMBER', key, unpack(ids, start, math.min(start + 999, #ids)))
        for i, is_member in ipairs(members) do
            if is_member == 1 then
                found[#found + 1] = start + i - 2
                found[#found + 1] = set - 1
            end
        end
    end
end
return found

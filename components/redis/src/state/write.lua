-- Writes and deletes of states, each with its guard.
--
-- KEYS[i] is the key of operation i. ARGV[1] is "all" (one refused operation refuses all) or "each" (the others are carried
-- out); then come five arguments for each operation: what to do (set, json, del), the guard ("", tag, new), the entity tag,
-- the time to live ("" to leave it, -1 to lift it, else seconds), and the data.
--
-- Returns pairs of an operation's number and why it was refused: 1 for another entity tag, 2 for a key that is there.

-- What is stored under a key: its version, and as what kind of value. A key of a kind that no state has is "other".
local function look(key)
  local version = redis.pcall('HGET', key, 'version')
  if type(version) ~= 'table' then
    return { version = version, kind = 'hash' }
  end
  version = redis.pcall('JSON.GET', key, '.version')
  if type(version) == 'string' then
    return { version = version, kind = 'json', there = true }
  end
  return { version = false, kind = 'other', there = true }
end

local function is_there(key, state)
  if state.there == nil then
    state.there = state.version ~= false or redis.call('EXISTS', key) == 1
  end
  return state.there
end

local refused, steps, states = {}, {}, {}
for i, key in ipairs(KEYS) do
  local at = i * 5 - 4
  local what, guard, tag = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local state = states[key] or look(key)
  states[key] = state
  local why = 0
  if guard == 'tag' and state.version ~= tag and not (what == 'del' and not is_there(key, state)) then
    why = 1
  elseif guard == 'new' and is_there(key, state) then
    why = 2
  end
  if why == 0 then
    local after = { version = false, kind = 'hash', there = false }
    if what ~= 'del' then
      after.version = string.format('%.0f', (tonumber(state.version) or 0) + 1)
      after.kind = what == 'json' and 'json' or 'hash'
      after.there = true
    end
    states[key] = after
    steps[#steps + 1] = { key = key, at = at, what = what, was = state.kind, is = after.kind, version = after.version }
  elseif ARGV[1] == 'all' then
    return { i, why }
  else
    refused[#refused + 1] = i
    refused[#refused + 1] = why
  end
end

for _, step in ipairs(steps) do
  local key, ttl, data = step.key, ARGV[step.at + 4], ARGV[step.at + 5]
  if step.what == 'del' then
    redis.call('DEL', key)
  else
    if step.was ~= step.is then
      redis.call('DEL', key)
    end
    if step.what == 'set' then
      redis.call('HSET', key, 'data', data, 'version', step.version)
    else
      redis.call('JSON.SET', key, '.', '{"data":' .. data .. ',"version":' .. step.version .. '}')
    end
    if ttl == '-1' then
      redis.call('PERSIST', key)
    elseif ttl ~= '' then
      redis.call('EXPIRE', key, ttl)
    end
  end
end
return refused

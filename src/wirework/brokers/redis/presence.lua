-- Who is present in a channel. KEYS: 1 connection -> worker, key and member; 2 key -> connections;
-- 3 worker -> connections; 4 version. Versions follow the clock, so that they grow also when the
-- server has lost the last one.
-- ARGV: 3 PUBLISH or SPUBLISH, 4 the channel, 5 for how many ms the hashes are kept untouched.

local connections, keys, workers, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function next_version()
  local time = redis.call('TIME')
  local last = tonumber(redis.call('GET', counter) or 0)
  local version = math.max(time[1] * 1000000 + time[2], last + 1)
  redis.call('SET', counter, string.format('%.0f', version), 'PX', ARGV[5])
  return version
end

-- The parcel: version 1, then MessagePack of ["j" or "l", member, version].
local function tell(kind, member, version)
  redis.call(ARGV[3], ARGV[4],
    '\1\147\161' .. kind .. member .. '\207' .. struct.pack('>I8', version))
end

local function parts(value)
  local length = struct.unpack('>I4', value, 17)
  return string.sub(value, 1, 16), string.sub(value, 21, 20 + length), string.sub(value, 21 + length)
end

local function remove(connection, value)
  local worker, key, member = parts(value)
  local version = next_version()
  redis.call('HDEL', connections, connection)
  if redis.call('HINCRBY', workers, worker, -1) <= 0 then
    redis.call('HDEL', workers, worker)
  end
  if redis.call('HINCRBY', keys, key, -1) <= 0 then
    redis.call('HDEL', keys, key)
    tell('l', member, version)
  end
end

local function add(connection, worker, key, member)
  local value = worker .. struct.pack('>I4', #key) .. key .. member
  local old = redis.call('HGET', connections, connection)
  if old then
    local old_worker, old_key = parts(old)
    if old_worker == worker and old_key == key then
      redis.call('HSET', connections, connection, value)
      return
    end
    remove(connection, old)
  end
  local version = next_version()
  redis.call('HSET', connections, connection, value)
  redis.call('HINCRBY', workers, worker, 1)
  if redis.call('HINCRBY', keys, key, 1) == 1 then
    tell('j', member, version)
  end
end

local function remove_all(is_meant)
  local values = redis.call('HGETALL', connections)
  for i = 1, #values, 2 do
    if is_meant(values[i], values[i + 1]) then
      remove(values[i], values[i + 1])
    end
  end
end

local function keep_alive()
  for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], ARGV[5])
  end
end

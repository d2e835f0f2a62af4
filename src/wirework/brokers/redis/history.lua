-- What a channel keeps: a hash with its position, and a stream whose entries are named
-- <offset>-<Unix time in ms>, so that both are there without being stored.
--
-- Fields of the position: e epoch, o offset of the last publication, r the run of the server that
-- wrote last, l whether only the latest of each key is kept, x the highest offset that was dropped
-- without being replaced (only where the latest are kept).

local meta, stream, latest_of = KEYS[1], KEYS[2], KEYS[3]
local run, is_durable, fresh, meta_ttl = ARGV[1], ARGV[2] == '1', ARGV[3], ARGV[4]

local function number(text)
  return string.format('%.0f', text)
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A server that was started anew without an append-only file, or a replica that was promoted, may
-- have lost its last publications and would give their offsets again: that is another epoch.
local function position()
  local found = redis.call('HMGET', meta, 'e', 'o', 'r', 'l')
  local epoch, offset = found[1], tonumber(found[2] or 0)
  if epoch and found[3] ~= run then
    if is_durable then
      redis.call('HSET', meta, 'r', run)
    else
      epoch = false
    end
  end
  if not epoch then
    epoch, offset = fresh, 0
    redis.call('HSET', meta, 'e', epoch, 'o', 0, 'r', run, 'x', 0)
    redis.call('PEXPIRE', meta, meta_ttl)
    redis.call('DEL', stream, latest_of)
  end
  return epoch, offset, found[4]
end

-- Entries of streams that keep the latest have a second field: the key.
local function drop(entries)
  local last
  for _, entry in ipairs(entries) do
    redis.call('XDEL', stream, entry[1])
    if entry[2][4] then
      redis.call('HDEL', latest_of, entry[2][4])
    end
    last = entry[1]
  end
  if last then
    redis.call('HSET', meta, 'x', string.match(last, '^%d+'))
  end
end

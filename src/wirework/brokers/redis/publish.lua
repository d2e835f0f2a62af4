-- Number a message, keep it, tell it: one step. Returns epoch, offset, 1 for a duplicate.
-- KEYS also: 4 what was published under the idempotency key. ARGV also: 5 PUBLISH or SPUBLISH,
-- 6 the channel, 7 the message, 8 size ("": nothing is kept), 9 ttl in ms, 10 "1": the latest of
-- each key, 11 the key, 12 the window of idempotency in ms.

local once, message, size, ttl = KEYS[4], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local is_latest, key = ARGV[10], ARGV[11]

if once then
  local before = redis.call('GET', once)
  if before then
    local offset, epoch = string.match(before, '^(%d+) (.*)$')
    return {epoch, tonumber(offset), 1}
  end
end

local function keep()
  local epoch, offset, was_latest = position()
  if was_latest ~= is_latest then
    redis.call('DEL', stream, latest_of)
    redis.call('HSET', meta, 'l', is_latest)
  end
  if is_latest == '1' and redis.call('EXISTS', stream) == 0 then
    redis.call('DEL', latest_of)
    redis.call('HSET', meta, 'x', number(offset))
  end
  offset = offset + 1
  local id = number(offset) .. '-' .. number(now())
  if is_latest == '1' then
    local old = redis.call('HGET', latest_of, key)
    if old then
      redis.call('XDEL', stream, old)
    end
    redis.call('XADD', stream, id, 'm', message, 'k', key)
    redis.call('HSET', latest_of, key, id)
    local over = redis.call('XLEN', stream) - size
    if over > 0 then
      drop(redis.call('XRANGE', stream, '-', '+', 'COUNT', over))
    end
    redis.call('PEXPIRE', latest_of, ttl)
  else
    -- Not exact, which costs XADD half as much again: who reads is shown no more than the size.
    redis.call('XADD', stream, 'MAXLEN', '~', size, id, 'm', message)
  end
  redis.call('PEXPIRE', stream, ttl)
  -- After XADD: if that is not allowed, no offset is lost.
  redis.call('HSET', meta, 'o', number(offset))
  redis.call('PEXPIRE', meta, meta_ttl)
  return epoch, offset
end

local epoch, offset = '', 0
if size then
  epoch, offset = keep()
end
if once then
  redis.call('SET', once, number(offset) .. ' ' .. epoch, 'PX', ARGV[12])
end
-- The parcel: version 1, then MessagePack of ["p", epoch, offset, message].
redis.call(ARGV[5], ARGV[6], '\1\148\161p' .. string.char(160 + #epoch) .. epoch
  .. '\207' .. struct.pack('>I8', offset) .. message)
return {epoch, offset, 0}

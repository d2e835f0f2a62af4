-- Returns epoch, offset, the highest offset that was dropped (of the latest of each key), entries.
-- ARGV also: 5 ttl in ms, 6 lowest offset, 7 highest offset or "+", 8 count, 9 "1": the newest
-- first, 10 the epoch that these entries are of, or "" for any, 11 size, or "" for the latest.
-- ARGV[4] is how long it is remembered that nothing was published yet, which whoever asks prolongs.

local epoch, offset = position()
if offset == 0 then
  redis.call('PEXPIRE', meta, meta_ttl)
end
local before = now() - ARGV[5]

local function is_expired(entry)
  return tonumber(string.match(entry[1], '%d+$')) <= before
end

local function expire()
  local count = 1
  repeat
    local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', count)
    local old = {}
    for _, entry in ipairs(entries) do
      if not is_expired(entry) then
        break
      end
      old[#old + 1] = entry
    end
    drop(old)
    local is_done = #old < count
    count = 50
  until is_done
end

expire()
local dropped = tonumber(redis.call('HGET', meta, 'x') or 0)
if redis.call('EXISTS', stream) == 0 then
  dropped = offset
end
local entries = {}
if ARGV[8] ~= '0' and (ARGV[10] == '' or ARGV[10] == epoch) then
  -- A stream of all publications is trimmed now and then only.
  local lowest = math.max(tonumber(ARGV[6]), ARGV[11] == '' and 0 or offset - ARGV[11] + 1)
  if ARGV[9] == '1' then
    entries = redis.call('XREVRANGE', stream, ARGV[7], number(lowest), 'COUNT', ARGV[8])
  else
    entries = redis.call('XRANGE', stream, number(lowest), ARGV[7], 'COUNT', ARGV[8])
  end
end
return {epoch, offset, dropped, entries}

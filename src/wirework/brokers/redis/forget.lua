-- Remove what is kept; the position stays.

redis.call('DEL', stream, latest_of)
if redis.call('EXISTS', meta) == 1 then
  redis.call('HSET', meta, 'x', redis.call('HGET', meta, 'o') or 0)
end
return 0

-- ARGV also: 6 connection.

local value = redis.call('HGET', connections, ARGV[6])
if value then
  remove(ARGV[6], value)
end
return 0

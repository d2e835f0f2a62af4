-- Returns the version, the members, the workers. ARGV also: 6 "1" for the counts of connections
-- and keys instead of the members.

local who
if ARGV[6] == '1' then
  who = {redis.call('HLEN', connections), redis.call('HLEN', keys)}
else
  who = redis.call('HVALS', connections)
end
return {tonumber(redis.call('GET', counter) or 0), who, redis.call('HKEYS', workers)}

-- Strike off the members of dead workers. ARGV also: 6 and on, the workers.

local is_dead = {}
for i = 6, #ARGV do
  is_dead[ARGV[i]] = true
end
remove_all(function(_, value)
  return is_dead[string.sub(value, 1, 16)]
end)
for i = 6, #ARGV do
  redis.call('HDEL', workers, ARGV[i])
end
return 0

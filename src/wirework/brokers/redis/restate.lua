-- Make the members of one worker exactly those that are listed: what it does after a loss.
-- ARGV also: 6 worker, then connection, key and member of each.

local worker, listed = ARGV[6], {}
for i = 7, #ARGV, 3 do
  listed[ARGV[i]] = true
end
remove_all(function(connection, value)
  return string.sub(value, 1, 16) == worker and not listed[connection]
end)
for i = 7, #ARGV, 3 do
  add(ARGV[i], worker, ARGV[i + 1], ARGV[i + 2])
end
keep_alive()
return 0

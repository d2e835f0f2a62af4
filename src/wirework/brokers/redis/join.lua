-- ARGV also: 6 connection, 7 worker, 8 key, 9 member.

add(ARGV[6], ARGV[7], ARGV[8], ARGV[9])
keep_alive()
return 0

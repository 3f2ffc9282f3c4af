"""
What runs inside Redis: each script is one step that happens as a whole or not at all.

A script is the only way to look before one writes without anybody in between,
and its writes go to the append-only file as one transaction. Nothing is written
in a script until everything that could refuse has been asked.
"""

from __future__ import annotations

from typing import Final

__all__ = ["COMMIT", "FORGET_RESULTS", "OPEN", "RELEASE", "RENEW", "UNBURY"]

# KEYS: state, lease. ARGV: holder, milliseconds, a lease that may be taken although it has not
# run out, the highest generation that a job has, the format.
# Returns {1, generation}, {0, holder, milliseconds left} or {-1, format}.
OPEN: Final = """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[3] then
  return {0, holder, redis.call('PTTL', KEYS[2])}
end
local format = redis.call('HGET', KEYS[1], 'format')
if format and format ~= ARGV[5] then
  return {-1, format}
end
local generation = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0') or 0
generation = string.format('%.0f', math.max(generation, tonumber(ARGV[4])) + 1)
redis.call('HSET', KEYS[1], 'format', ARGV[5], 'generation', generation, 'commit', '0')
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {1, generation}
"""

# KEYS: state, lease. ARGV: generation, holder, milliseconds. Returns 1, or 0 for a server that
# another has taken the store from. One whose lease merely ran out gets it back; so does one whose
# Redis has forgotten the queue, or remembers an earlier one, for nobody else has it.
RENEW: Final = """
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) > tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
"""

# KEYS: lease. ARGV: holder.
RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
"""

# KEYS: state, jobs, changes, letters, buried, results, expiries, lease. ARGV: generation, number of
# the commit, whether an emptied Redis is to be used again, holder, milliseconds; how many jobs to
# take out, to add, to change, to bury, how many results to keep, how many jobs to forget; then
# these: number and head, number and value, number and change, number and handle and value, handle
# and value and expiry, number.
# Returns {1, number of the commit before}, {0, generation found or ''} or {-1, number taken}.
# The number of the commit keeps one that Redis gets to see late from undoing a later one.
COMMIT: Final = """
local state, jobs, changes, letters, buried, results, expiries, lease = unpack(KEYS)
local generation = redis.call('HGET', state, 'generation')
-- A Redis that ended may remember less than it has confirmed, or nothing.
local earlier = generation and tonumber(generation) < tonumber(ARGV[1])
local emptied = earlier or (not generation and ARGV[3] == '1')
if generation ~= ARGV[1] and not emptied then
  return {0, generation or ''}
end
local before = not earlier and redis.call('HGET', state, 'commit') or '0'
if tonumber(before) >= tonumber(ARGV[2]) then
  return {0, generation or ''}
end
-- A key of another type fails here, while nothing is written yet.
for i = 2, 6 do
  redis.call('HLEN', KEYS[i])
end
redis.call('ZCARD', expiries)
local counts = {}
for i = 1, 6 do
  counts[i] = tonumber(ARGV[5 + i])
end
local outs = 12
local adds = outs + 2 * counts[1]
local updates = adds + 2 * counts[2]
local dead = updates + 2 * counts[3]
local kept = dead + 3 * counts[4]
local dones = kept + 3 * counts[5]
local there = {}
for i = adds, updates - 1, 2 do
  local old = redis.call('HGET', jobs, ARGV[i])
  if old then
    -- The head is an array of nine, and a handle with its length in front.
    local length = 3 + (ARGV[i + 1]:byte(3) or 0)
    if old:sub(1, length) ~= ARGV[i + 1]:sub(1, length) then
      return {-1, ARGV[i]}
    end
    there[ARGV[i]] = true
  end
end
for i = outs, adds - 1, 2 do
  local old = redis.call('HGET', jobs, ARGV[i])
  if old and old:sub(1, #ARGV[i + 1]) == ARGV[i + 1] then
    redis.call('HDEL', jobs, ARGV[i])
    redis.call('HDEL', changes, ARGV[i])
    there[ARGV[i]] = nil
  end
end
for i = adds, updates - 1, 2 do
  if not there[ARGV[i]] then
    redis.call('HSET', jobs, ARGV[i], ARGV[i + 1])
  end
end
for i = updates, dead - 1, 2 do
  if redis.call('HEXISTS', jobs, ARGV[i]) == 1 then
    redis.call('HSET', changes, ARGV[i], ARGV[i + 1])
  end
end
for i = dead, kept - 1, 3 do
  if redis.call('HSETNX', letters, ARGV[i], ARGV[i + 2]) == 1 then
    redis.call('HSET', buried, ARGV[i + 1], ARGV[i])
  end
end
for i = kept, dones - 1, 3 do
  redis.call('HSET', results, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', expiries, ARGV[i + 2], ARGV[i])
end
-- A script may name a few thousand values at once.
local last = dones + counts[6] - 1
for i = dones, last, 1000 do
  redis.call('HDEL', jobs, unpack(ARGV, i, math.min(i + 999, last)))
  redis.call('HDEL', changes, unpack(ARGV, i, math.min(i + 999, last)))
end
if emptied then
  redis.call('HSET', state, 'format', '1', 'generation', ARGV[1])
end
redis.call('HSET', state, 'commit', ARGV[2])
redis.call('SET', lease, ARGV[4], 'PX', ARGV[5])
return {1, before}
"""

# KEYS: state, results, expiries. ARGV: generation, now, how many at most.
# Returns how many were forgotten, or -1 for a server that another has taken the store from.
FORGET_RESULTS: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return -1
end
local found = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
if #found > 0 then
  redis.call('HDEL', KEYS[2], unpack(found))
  redis.call('ZREM', KEYS[3], unpack(found))
end
return #found
"""

# KEYS: state, jobs, letters, buried. ARGV: generation, handle, number, the job's value, empty for
# a letter that is only to be removed. Returns 1, 0 where the letter is gone, or -1 as above.
UNBURY: Final = """
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return -1
end
if redis.call('HDEL', KEYS[3], ARGV[3]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[4], ARGV[2])
if ARGV[4] ~= '' then
  redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4])
end
return 1
"""

-- One exchange of a process with the limiter of an account: it reports what became of its slots,
-- and gets as many new ones as it may use. All times are in microseconds, on the clock of Redis.
--
-- KEYS[1] state      hash: the clock, the pause, and what is needed to notice a loss of data
-- KEYS[2] slots      sorted set: a taken slot, scored by when it is free; for a held one, a period
--                    after the end of its lease
-- KEYS[3] held       sorted set: a slot whose call has no response yet, scored by its lease's end
-- KEYS[4] processes  hash: what each process waits for
--
-- Returns {epoch, granted slots, microseconds until the next exchange, number of processes}.
-- A held slot is free one period from now at the earliest, so a process always learns in time when
-- its next slot is free, and Redis needs to notify no process.

local STATE, SLOTS, HELD, PROCESSES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- A member of SLOTS that is no slot: if it is missing, Redis has lost or evicted the slots.
local COMPLETE = 'complete'

local me = ARGV[1]
local number = tonumber(ARGV[2])
local known_epoch = tonumber(ARGV[3])
local joins, returns, leaves = ARGV[4] == '1', ARGV[5] == '1', ARGV[6] == '1'
local limit, period, lease = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local heartbeat, recheck = tonumber(ARGV[10]), tonumber(ARGV[11])
local tolerance, settle = tonumber(ARGV[12]), tonumber(ARGV[13])
local pause = tonumber(ARGV[14])
local interactive, bulk = tonumber(ARGV[15]), tonumber(ARGV[16])
local FIRST_MARK = 17

local function text(value)
  -- tostring() would round a time to 14 digits.
  return string.format('%.0f', value)
end

local stored = redis.call('HMGET', STATE, 'epoch', 'latest', 'offset', 'server', 'paused',
  'settled', 'alone', 'turn')
local function stored_number(index)
  return tonumber(stored[index] or 0) or 0
end
local epoch, latest, offset = stored_number(1), stored_number(2), stored_number(3)
local server = stored[4] or ''
local paused, settled = stored_number(5), stored_number(6)
local alone, turn = stored_number(7), stored_number(8)

-- The clock of the host may be set back; the limiter's never runs backwards.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if now + offset < latest then
  offset = latest - now
end
now = now + offset

local processes, count = {}, 1
local entries = redis.call('HGETALL', PROCESSES)
for i = 1, #entries, 2 do
  local fields = {}
  for field in string.gmatch(entries[i + 1], '%S+') do
    fields[#fields + 1] = tonumber(field)
  end
  local process = {
    seen = fields[1], due = fields[2], interactive = fields[3], bulk = fields[4],
    turn = fields[5], credit = fields[6], credit_end = fields[7], number = fields[8],
  }
  if entries[i] == me then
    processes[me] = process
  elseif process.seen + lease < now then
    redis.call('HDEL', PROCESSES, entries[i])
  else
    processes[entries[i]] = process
    count = count + 1
  end
end

local mine = processes[me]
if mine and mine.number > number then
  -- A command that Redis received late: the process has given it up.
  return {epoch, 0, recheck, count}
end

-- Has Redis lost data? An older copy of it has an older number of exchanges of this process, or
-- was written by another server.
local is_older_copy = epoch ~= 0 and not joins and (mine == nil or mine.number < number - 1)
local uptime
if joins then
  -- Not permitted to each user.
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    local run_id = string.match(info, 'run_id:(%w+)') or ''
    uptime = tonumber(string.match(info, 'uptime_in_seconds:(%d+)'))
    -- Redis began to count at the whole second before its start.
    uptime = uptime and math.max(uptime - 1, 0)
    is_older_copy = is_older_copy or (epoch ~= 0 and server ~= '' and server ~= run_id)
    server = run_id
  end
end
local has_lost = epoch == 0 or not redis.call('ZSCORE', SLOTS, COMPLETE)
if has_lost or is_older_copy then
  redis.call('DEL', SLOTS, HELD)
  redis.call('ZADD', SLOTS, '+inf', COMPLETE)
  epoch, settled = now, 0
end
-- Then the processes register the slots that they still know. Those of processes that have ended
-- are unknown, but free after one period.
local saw_another = known_epoch ~= 0 and known_epoch ~= epoch
if is_older_copy or (saw_another and settled == 0) then
  settled = now + period + settle
elseif has_lost and uptime and uptime * 1000000 < period + settle then
  -- Redis has started: this may be the first use, or a restart without data.
  settled = now + period + settle - uptime * 1000000
elseif returns and settled <= now then
  -- This process has used its own share, and so may others that are not back yet.
  settled = now + settle
end

if pause > 0 then
  paused = math.max(paused, now + pause)
  alone = 1
end

for i = FIRST_MARK, #ARGV, 2 do
  local slot, mark = ARGV[i], ARGV[i + 1]
  if mark == 'held' then
    redis.call('ZADD', SLOTS, text(now + lease + period), slot)
    redis.call('ZADD', HELD, text(now + lease), slot)
  elseif mark == 'unused' then
    redis.call('ZREM', SLOTS, slot)
    redis.call('ZREM', HELD, slot)
  else
    redis.call('ZADD', SLOTS, text(now + tonumber(mark)), slot)
    redis.call('ZREM', HELD, slot)
    if not joins and now >= paused then
      alone = 0
    end
  end
end
redis.call('ZREMRANGEBYSCORE', SLOTS, '-inf', text(now))
redis.call('ZREMRANGEBYSCORE', HELD, '-inf', text(now))

local free = limit - (redis.call('ZCARD', SLOTS) - 1)
local blocked_until = math.max(paused, settled)
if blocked_until > now then
  free = 0
elseif alone == 1 then
  free = redis.call('ZCARD', HELD) > 0 and 0 or math.min(free, 1)
end

if mine == nil then
  turn = turn + 1
  mine = {turn = turn, credit = 0, credit_end = 0}
  processes[me] = mine
end
mine.seen, mine.number = now, number
mine.interactive, mine.bulk = interactive, bulk

local changed = {[me] = mine}
for id, process in pairs(processes) do
  if process.credit > 0 and process.credit_end < now then
    process.credit = 0
    changed[id] = process
  end
  if id ~= me then
    free = free - process.credit
  end
end
free = math.max(free, 0)

-- First the slots that an exchange of another process has left to this one.
local granted = math.min(mine.credit, interactive + bulk, free)
free = free - granted
mine.credit = 0

-- Return the processes that wait for a slot of a priority, in order of turn.
local function line_of(priority)
  local line = {}
  for id, process in pairs(processes) do
    local taken = id == me and granted or process.credit
    local left = process.interactive - taken
    if priority == 'bulk' then
      left = process.bulk + math.min(left, 0)
    end
    if left > 0 and (id == me or process.due + tolerance >= now) then
      line[#line + 1] = {id = id, process = process, left = left}
    end
  end
  table.sort(line, function(a, b) return a.process.turn < b.process.turn end)
  return line
end

-- Give out the free slots in turns, interactive ones first. A slot of another process is left to
-- it if it comes for it now. `ahead` counts the slots that others get before the next one of this
-- process.
local ahead, is_served = 0, true
for _, priority in ipairs({'interactive', 'bulk'}) do
  local line, head = line_of(priority), 1
  while is_served and line[head] and ahead < limit do
    local one = line[head]
    local goes_on = true
    head = head + 1
    if one.id == me then
      if free > 0 then
        granted, free = granted + 1, free - 1
      else
        is_served = false
      end
    elseif free == 0 then
      ahead = ahead + 1
    elseif one.process.due <= now + tolerance then
      one.process.credit, free = one.process.credit + 1, free - 1
      one.process.credit_end = math.max(one.process.due, now) + tolerance
      changed[one.id] = one.process
    else
      goes_on = false
    end
    one.left = one.left - 1
    if goes_on and one.left > 0 then
      line[#line + 1] = one
    end
  end
end

for i = 1, granted do
  local slot = me .. ':' .. text(number) .. ':' .. i
  redis.call('ZADD', SLOTS, text(now + lease + period), slot)
  redis.call('ZADD', HELD, text(now + lease), slot)
end
mine.bulk = bulk - math.max(granted - interactive, 0)
mine.interactive = math.max(interactive - granted, 0)
if granted > 0 then
  turn = turn + 1
  mine.turn = turn
end

local wait = heartbeat
if mine.interactive + mine.bulk > 0 then
  if blocked_until > now then
    wait = math.min(blocked_until - now, heartbeat)
  else
    local slot = redis.call('ZRANGE', SLOTS, ahead, ahead, 'WITHSCORES')
    wait = math.min((tonumber(slot[2]) or now + period) - now, period, recheck)
  end
end
mine.due = now + wait

for id, process in pairs(changed) do
  redis.call('HSET', PROCESSES, id, table.concat({
    text(process.seen), text(process.due), process.interactive, process.bulk,
    text(process.turn), process.credit, text(process.credit_end), text(process.number),
  }, ' '))
end
if leaves then
  redis.call('HDEL', PROCESSES, me)
end
redis.call('HSET', STATE, 'epoch', text(epoch), 'latest', text(now), 'offset', text(offset),
  'server', server, 'paused', text(paused), 'settled', text(settled), 'alone', alone,
  'turn', text(turn))

local last = redis.call('ZREVRANGE', SLOTS, 1, 1, 'WITHSCORES')
local needed_until = math.max(tonumber(last[2]) or now, blocked_until)
local ttl = math.ceil((needed_until - now) / 1000) + 600000
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, text(ttl))
end
return {epoch, granted, math.ceil(wait), count}

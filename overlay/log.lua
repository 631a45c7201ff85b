#!lua name=hawker_log
-- The show log: numbers, keeps and publishes events; it never looks inside one.
--
-- Keys of a show, all in its hash slot:
--   head    hash    epoch, number (of the last event)
--   stream  stream  entry id is <number>-0; fields: id (the event's), body
--   base    hash    number, snapshot: the room's state as of that number. Loading = base + later entries
--   seen    string  one per event id, "<epoch> <number>", expires
-- A missing head means a wiped store: the next append begins a new epoch without a base, and the first process that
-- holds the room's state gives it one. Every write renews the keys' expiry, so an ended show's log goes in time.

local function head_of(key)
  local head = redis.call('HMGET', key, 'epoch', 'number')
  if not head[1] then return nil end
  return { epoch = head[1], number = tonumber(head[2]) }
end

local function renew(ttl_ms, keys)
  for _, key in ipairs(keys) do redis.call('PEXPIRE', key, ttl_ms) end
end

-- KEYS head, stream, base, seen
-- ARGV event id, body, channel, epoch to begin if there is none, entries kept, ms an event id is remembered,
--      ms the log is kept
-- -> {epoch, number} of the event, appended now or before
local function add(keys, args)
  local before = redis.call('GET', keys[4])
  if before then
    local epoch, number = string.match(before, '^(%S+) (%d+)$')
    return { epoch, tonumber(number) }
  end
  local head = head_of(keys[1])
  if not head then
    redis.call('DEL', keys[2], keys[3])
    head = { epoch = args[4], number = 0 }
  end
  local number = head.number + 1
  redis.call('XADD', keys[2], 'MAXLEN', '~', args[5], number .. '-0', 'id', args[1], 'body', args[2])
  redis.call('HSET', keys[1], 'epoch', head.epoch, 'number', number)
  redis.call('SET', keys[4], head.epoch .. ' ' .. number, 'PX', args[6])
  renew(args[7], { keys[1], keys[2], keys[3] })
  redis.call('PUBLISH', args[3], head.epoch .. '\n' .. number .. '\n' .. args[1] .. '\n' .. args[2])
  return { head.epoch, number }
end

-- Makes sure that there is an epoch and that it has a base.
-- KEYS head, stream, base
-- ARGV epoch to begin, snapshot, epoch to replace or '', its last number, ms the log is kept
-- -> {epoch, number}
local function open(keys, args)
  local head = head_of(keys[1])
  if not head or (head.epoch == args[3] and head.number == tonumber(args[4])) then
    redis.call('DEL', keys[1], keys[2], keys[3])
    redis.call('HSET', keys[1], 'epoch', args[1], 'number', 0)
    redis.call('HSET', keys[3], 'number', 0, 'snapshot', args[2])
    renew(args[5], { keys[1], keys[3] })
    return { args[1], 0 }
  end
  if redis.call('EXISTS', keys[3]) == 0 then
    redis.call('HSET', keys[3], 'number', 0, 'snapshot', args[2])
    renew(args[5], { keys[3] })
  end
  return { head.epoch, head.number }
end

-- Moves the base forward, so that loading stays short and the stream may be trimmed behind it.
-- KEYS head, base
-- ARGV epoch, number, snapshot, ms the log is kept
-- -> 1 moved | 0 the epoch is another or the base is further already
local function checkpoint(keys, args)
  local head = head_of(keys[1])
  local number = tonumber(args[2])
  local based = tonumber(redis.call('HGET', keys[2], 'number') or -1)
  if not head or head.epoch ~= args[1] or number > head.number or based >= number then return 0 end
  redis.call('HSET', keys[2], 'number', number, 'snapshot', args[3])
  renew(args[4], { keys[2] })
  return 1
end

-- The log as one value: from `after` (that entry included, so that a reader can see whether it is still the same one)
-- or, with '', the base and what follows it, with some entries before it.
-- KEYS head, stream, base
-- ARGV after, entries before the base
-- -> {epoch, number, base number or -1, snapshot or '', entries} | {} without an epoch
local function read(keys, args)
  local head = head_of(keys[1])
  if not head then return {} end
  if args[1] ~= '' then
    return { head.epoch, head.number, -1, '', redis.call('XRANGE', keys[2], args[1] .. '-0', '+') }
  end
  local base = redis.call('HMGET', keys[3], 'number', 'snapshot')
  if not base[1] then return { head.epoch, head.number, -1, '', {} } end
  local from = math.max(0, tonumber(base[1]) - tonumber(args[2]))
  local entries = redis.call('XRANGE', keys[2], from .. '-0', '+')
  return { head.epoch, head.number, tonumber(base[1]), base[2], entries }
end

redis.register_function('hawker_log_add', add)
redis.register_function('hawker_log_open', open)
redis.register_function('hawker_log_checkpoint', checkpoint)
redis.register_function('hawker_log_read', read)

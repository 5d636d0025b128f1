-- Reservations in Redis or Valkey. Each part below `-- @name` is a script of its own, behind the common part; each runs as a whole
-- or not at all, as nothing in it fails once something was written.
--
-- KEYS[1] is the beginning of all keys: its hash tag keeps them on one node of a cluster. ARGV[1] is JSON, numbers in it are text:
-- a number of Lua is exact below 2^53 only (9,007,199 USD). `shift` in it is added to the server's clock, in
-- microseconds; 0 but in tests.
local P = KEYS[1]
local A = cjson.decode(ARGV[1])
local call = redis.call
local KEPT_S = 32 * 86400
local FORGOTTEN_S = 100 * 86400
local EXPIRY_US = 60000000
local SILENCE_US = 30000000
local TOLERANCE_US = 1000000

-- Exact numbers: {high, low} is high * 10^9 + low, 0 <= low < 10^9. Sums are changed by HINCRBY, which is exact by itself.
local BASE = 1000000000
local ZERO = {0, 0}

local function sub(a, b)
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then high, low = high - 1, low + BASE end
  return {high, low}
end

local function add(a, b)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= BASE then high, low = high + 1, low - BASE end
  return {high, low}
end

local function num(text)
  if not text then return ZERO end
  if string.sub(text, 1, 1) == '-' then return sub(ZERO, num(string.sub(text, 2))) end
  local digits = #text
  if digits <= 9 then return {0, tonumber(text)} end
  return {tonumber(string.sub(text, 1, digits - 9)), tonumber(string.sub(text, digits - 8))}
end

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function least(a, b)
  return less(b, a) and b or a
end

local function text(a)
  if a[1] < 0 then return '-' .. text(sub(ZERO, a)) end
  if a[1] == 0 then return string.format('%d', a[2]) end
  return string.format('%d%09d', a[1], a[2])
end

local function minus(a) return text(sub(ZERO, a)) end

-- The moment, never before one that was seen; and since when somebody is here again after nobody was.
local T = call('TIME')
local HERE = tonumber(T[1]) * 1000000 + tonumber(T[2]) + tonumber(A.shift)
local M = call('HMGET', P .. ':meta', 'clock_us', 'quiet_us', 'version')
if M[3] and M[3] ~= '1' then return {'newer'} end
local CLOCK, QUIET = tonumber(M[1] or '0'), tonumber(M[2] or '0')
local NOW = math.max(HERE, CLOCK)
if NOW > CLOCK + TOLERANCE_US then
  if NOW > CLOCK + SILENCE_US then QUIET = NOW end
  call('HSET', P .. ':meta', 'clock_us', string.format('%.0f', NOW), 'quiet_us', string.format('%.0f', QUIET), 'version', '1')
end

local function pad(slot) return string.rep('0', 20 - #slot) .. slot end

local function unpad(padded)
  local slot = string.gsub(padded, '^0+', '')
  return slot == '' and '0' or slot
end

local function field(sign, budget, slot) return sign .. pad(slot) .. budget end

local function change(budget, slot, spent, reserved)
  local sums, slots, padded = P .. ':sums:' .. budget, P .. ':slots:' .. budget, pad(slot)
  if call('HSETNX', sums, 's' .. padded, '0') == 1 then
    call('HSET', sums, 'r' .. padded, '0')
    call('ZADD', slots, 0, padded)
  end
  if spent ~= '0' then
    call('HINCRBY', sums, 's' .. padded, spent)
    call('EXPIRE', sums, FORGOTTEN_S)
    call('EXPIRE', slots, FORGOTTEN_S)
  end
  if reserved ~= '0' then call('HINCRBY', sums, 'r' .. padded, reserved) end
end

local function standing(budget, since)
  local slots = call('ZRANGEBYLEX', P .. ':slots:' .. budget, '[' .. pad(since), '+')
  local spent, reserved = ZERO, ZERO
  for first = 1, #slots, 1000 do
    local fields = {}
    for at = first, math.min(first + 999, #slots) do
      fields[#fields + 1] = 's' .. slots[at]
      fields[#fields + 1] = 'r' .. slots[at]
    end
    local found = call('HMGET', P .. ':sums:' .. budget, unpack(fields))
    for at = 1, #found, 2 do
      spent, reserved = add(spent, num(found[at])), add(reserved, num(found[at + 1]))
    end
  end
  return spent, reserved
end

-- Slots that have left a rolling window for as long as it is; a few each time.
local function prune(budget, since, slot)
  if since == slot then return end
  local width = sub(num(slot), num(since))
  local before = sub(num(since), width)
  if less(before, ZERO) then return end
  local slots, sums = P .. ':slots:' .. budget, P .. ':sums:' .. budget
  for _, padded in ipairs(call('ZRANGEBYLEX', slots, '-', '(' .. pad(text(before)), 'LIMIT', 0, 4)) do
    if call('HGET', sums, 'r' .. padded) == '0' then
      call('HDEL', sums, 's' .. padded, 'r' .. padded)
      call('ZREM', slots, padded)
    end
  end
end

local function res(key) return P .. ':res:' .. key end

local function held_by(owner) return P .. ':held:' .. owner end

local function is_held(key) return call('HGET', res(key), 'state') == 'held' end

-- The holds of a reservation, by slot: {budget, slot, amount, used} with numbers as text.
local function holds_of(key)
  local all, used, holds = call('HGETALL', res(key)), {}, {}
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 1) == 'u' then used[string.sub(all[at], 2)] = all[at + 1] end
  end
  for at = 1, #all, 2 do
    if string.sub(all[at], 1, 1) == 'h' then
      local place = string.sub(all[at], 2)
      local hold = {string.sub(place, 21), unpad(string.sub(place, 1, 20)), all[at + 1], used[place] or '0', place}
      holds[#holds + 1] = hold
    end
  end
  table.sort(holds, function(one, other) return one[5] < other[5] end)
  return holds
end

-- Take the holds away; what a call under a parent did not need goes back to that. `real` is what it spent, by place.
local function let_go(key, real, parent)
  local gets_back = parent and parent ~= '' and is_held(parent)
  for _, hold in ipairs(holds_of(key)) do
    local budget, slot, amount, place = hold[1], hold[2], num(hold[3]), hold[5]
    local kept = ZERO
    if gets_back and call('HEXISTS', res(parent), 'h' .. place) == 1 then
      local used = real[place] or '0'
      kept = sub(amount, num(used))
      if less(kept, ZERO) then kept = ZERO end
      call('HINCRBY', res(parent), 'h' .. place, text(kept))
      call('HINCRBY', res(parent), 'u' .. place, used)
    end
    change(budget, slot, '0', text(sub(kept, amount)))
  end
end

local function finish(key, state)
  local name = res(key)
  local kept = call('HMGET', name, 'owner', 'tx')
  call('SREM', held_by(kept[1]), key)
  call('DEL', name)
  call('HSET', name, 'state', state, 'owner', kept[1], 'tx', kept[2])
  call('EXPIRE', name, KEPT_S)
end

-- Let go of what processes hold that gave no sign of life for long, though the server was there to hear it.
local function expire()
  if QUIET > NOW - EXPIRY_US then return 0 end
  local released = 0
  for _, owner in ipairs(call('ZRANGEBYSCORE', P .. ':alive', '-inf', string.format('%.0f', NOW - EXPIRY_US))) do
    if owner ~= A.me then
      for _, key in ipairs(call('SMEMBERS', held_by(owner))) do
        let_go(key, {}, nil)
        finish(key, 'expired')
        released = released + 1
      end
      call('DEL', held_by(owner))
      call('ZREM', P .. ':alive', owner)
      call('HDEL', P .. ':owners', owner)
    end
  end
  return released
end

local function sign_of_life()
  call('ZADD', P .. ':alive', string.format('%.0f', NOW), A.me)
  call('HSET', P .. ':owners', A.me, A.who)
end

local function whose(owner) return call('HGET', P .. ':owners', owner) or '' end

local function first_refused(taken)
  for at, hold in ipairs(A.holds) do
    local spent, reserved = standing(hold[1], hold[2])
    local part = taken[at] or ZERO
    local left = sub(sub(num(hold[4]), spent), reserved)
    if less(add(left, part), num(hold[5])) then return {'refused', tostring(at - 1), text(spent), text(sub(reserved, part))} end
  end
end

local function parts()
  local taken = {}
  for at, hold in ipairs(A.holds) do
    taken[at] = ZERO
    if A.parent ~= '' and is_held(A.parent) then
      local has = call('HGET', res(A.parent), field('h', hold[1], hold[3]))
      if has then taken[at] = least(num(has), num(hold[5])) end
    end
  end
  return taken
end

-- The clock of whoever asks: periods begin by the server's.
local function elsewhere()
  local asked = tonumber(string.sub(A.now, 1, -4)) or 0
  if math.abs(asked - NOW) > TOLERANCE_US then return {'clock', string.format('%.0f000', NOW)} end
end

local function not_mine()
  local found = call('HMGET', res(A.key), 'state', 'owner')
  if not found[1] then return {'none'} end
  if found[1] ~= 'held' then return {'over', found[1]} end
  if found[2] ~= A.me then return {'foreign', whose(found[2])} end
end

local function take(key, hold, part)
  local name, place = res(key), field('', hold[1], hold[3])
  call('HINCRBY', name, 'h' .. place, hold[5])
  change(hold[1], hold[3], '0', text(sub(num(hold[5]), part)))
  prune(hold[1], hold[2], hold[3])
end

-- What a call spent is booked once. `recorded`: a ledger will have it, and not add it again.
local function book(key, spent)
  local real = {}
  for _, each in ipairs(spent) do
    local budget, slot, amount = each[1], each[2], each[3]
    real[field('', budget, slot)] = amount
    local is_new = true
    if A.recorded then
      is_new = call('SADD', P .. ':seen:' .. key, budget) == 1
      call('EXPIRE', P .. ':seen:' .. key, KEPT_S)
    end
    if is_new then change(budget, slot, amount, '0') end
  end
  return real
end

-- Whether what is marked was done before: an answer may have been lost. Whoever got one says so with his next question.
local function is_done(mark)
  for _, known in ipairs(A.acknowledged) do call('DEL', P .. ':done:' .. known) end
  return not call('SET', P .. ':done:' .. mark, '1', 'NX', 'EX', KEPT_S)
end

-- @reserve
local behind = elsewhere()
if behind then return behind end
local found = call('HMGET', res(A.key), 'state', 'tx', 'owner')
if found[1] then
  if found[1] == 'held' and found[3] ~= A.me then return {'foreign', whose(found[3])} end
  return {'granted', found[2], found[1]}
end
local taken = parts()
local refused = first_refused(taken)
if refused and expire() > 0 then
  taken = parts()
  refused = first_refused(taken)
end
if refused then return refused end
if not call('ZSCORE', P .. ':alive', A.me) then sign_of_life() end
call('DEL', P .. ':done:' .. A.key)
call('HSET', res(A.key), 'state', 'held', 'tx', A.tx, 'owner', A.me, 'label', A.label, 'made', A.now, 'parent', A.parent)
call('SADD', held_by(A.me), A.key)
for at, hold in ipairs(A.holds) do
  if less(ZERO, taken[at]) then call('HINCRBY', res(A.parent), field('h', hold[1], hold[3]), minus(taken[at])) end
  take(A.key, hold, taken[at])
end
return {'granted', A.tx, 'held'}

-- @extend
local behind = elsewhere()
if behind then return behind end
local wrong = not_mine()
if wrong then return wrong end
local refused = first_refused({})
if refused and expire() > 0 then refused = first_refused({}) end
if refused then return refused end
for _, hold in ipairs(A.holds) do take(A.key, hold, ZERO) end
return {'granted', A.key, 'held'}

-- @settle
if is_done(A.key) then return {'done'} end
local real = book(A.key, A.spent)
local found = call('HMGET', res(A.key), 'state', 'owner', 'parent')
if found[1] then
  let_go(A.key, real, found[3])
  call('SREM', held_by(found[2]), A.key)
  call('DEL', res(A.key))
end
return {'done'}

-- @book
if is_done(A.mark) then return {'done'} end
for _, each in ipairs(A.calls) do book(each[1], each[2]) end
return {'done'}

-- @commit
local wrong = not_mine()
if wrong then return wrong end
local holds, used, has = holds_of(A.key), {}, {}
for _, hold in ipairs(holds) do
  used[hold[1]] = add(used[hold[1]] or ZERO, num(hold[4]))
  has[hold[1]] = add(has[hold[1]] or ZERO, num(hold[3]))
end
local rest = {}
for budget, sum in pairs(used) do rest[budget] = ZERO end
for _, amount in ipairs(A.amounts) do
  local budget, total = amount[1], num(amount[2])
  local spent, held = used[budget] or ZERO, has[budget] or ZERO
  if less(total, spent) then return {'below', budget, amount[2], text(spent)} end
  if less(add(spent, held), total) then return {'above', budget, amount[2], text(add(spent, held))} end
  rest[budget] = sub(total, spent)
end
for _, hold in ipairs(holds) do
  local part = least(rest[hold[1]], num(hold[3]))
  rest[hold[1]] = sub(rest[hold[1]], part)
  change(hold[1], hold[2], text(part), minus(num(hold[3])))
end
finish(A.key, 'committed')
return {'done'}

-- @release
local wrong = not_mine()
if wrong then return wrong end
let_go(A.key, {}, nil)
finish(A.key, 'released')
return {'done'}

-- @clear
if not is_held(A.key) then return {'none'} end
let_go(A.key, {}, nil)
finish(A.key, 'released')
return {'done'}

-- @standing
local spent, reserved = standing(A.budget, A.since)
return {'done', text(spent), text(reserved)}

-- @crossed
local name = P .. ':crossed:' .. pad(A.slot) .. A.threshold .. ':' .. A.budget
local by = call('GET', name)
if not by then call('SET', name, A.by, 'EX', FORGOTTEN_S) end
return {'done', (not by or by == A.by) and '1' or '0'}

-- @reservations
local found = {'done'}
for _, owner in ipairs(call('ZRANGE', P .. ':alive', 0, -1)) do
  local is_alive = tonumber(call('ZSCORE', P .. ':alive', owner)) > NOW - EXPIRY_US
  for _, key in ipairs(call('SMEMBERS', held_by(owner))) do
    local has = call('HMGET', res(key), 'tx', 'label', 'made')
    found[#found + 1] = cjson.encode({key, has[1], has[2], has[3], whose(owner), is_alive and '1' or '0', holds_of(key)})
  end
end
return found

-- @keep_alive
sign_of_life()
return {'done', tostring(expire())}

-- @place
local found = call('HGET', P .. ':intakes', A.definition)
return found and {'done', found} or {'none'}

-- @take_in
if (call('HGET', P .. ':intakes', A.definition) or '') ~= A.after then return {'none'} end
for _, row in ipairs(A.rows) do
  local key, budget = row[1], row[2]
  if key == '' or call('SREM', P .. ':seen:' .. key, budget) == 0 then change(budget, row[3], row[4], '0') end
end
call('HSET', P .. ':intakes', A.definition, A.upto)
return {'done'}

-- bench_lua.lua - messages between actors of one Lua state, and the bare calls beside them.
--   lua5.4 bench_lua.lua tell COUNT         ns: ref:tell("inc", { amount = 1 }), handled in the same state
--   lua5.4 bench_lua.lua floor_tell COUNT   ns: counter:inc({ amount = 1 }), the same method called
--   lua5.4 bench_lua.lua ask COUNT          ns: ref:ask("get"), answered in the same state
--   lua5.4 bench_lua.lua floor_ask COUNT    ns: a call and its reply by hand: a coroutine made for each, its value returned
--   lua5.4 bench_lua.lua remote_tell COUNT  M/s: tells of 64 bytes from another process (bench_feed, in C), handled here
--   lua5.4 bench_lua.lua remote_cpu COUNT   ns: the same; the processor time of this process for each
local BURST = 256

local Plain = {}
Plain.__index = Plain
function Plain:inc(m) self.n = self.n + m.amount end

local function floor_tell(count)
  local counter = setmetatable({ n = 0 }, Plain)
  for _ = 1, count do counter:inc({ amount = 1 }) end
  assert(counter.n == count)
end

local node, ref
local handled = 0

local function tell(count)
  local from = handled
  for _ = 1, count / BURST do
    for _ = 1, BURST do ref:tell("inc", { amount = 1 }) end
    repeat node:poll(0.01) until handled - from == BURST
    from = handled
  end
end

local function ask(count)
  node:run(function()
    for _ = 1, count do ref:ask("get") end
  end)
end

local function floor_ask(count)
  local counter = setmetatable({ n = 0 }, Plain)
  for _ = 1, count do
    local reply = coroutine.wrap(function(c) coroutine.yield(c.n) end)(counter)
    assert(reply == 0)
  end
end

-- What the feeder said, when it has ended; polls meanwhile. ends: the last message has come.
local function feed(count)
  local shoal = require "shoal"
  local Sink = shoal.actor("bench.sink")
  local bytes, last = 0, 0
  function Sink:init() self.n = 0 end
  function Sink:put(data) self.n = self.n + 1; bytes = bytes + #data end
  function Sink:count()
    last = last + 1
    return self.n
  end
  node = shoal.node{ listen = { "/ip4/127.0.0.1/tcp/0" } }
  ref = assert(node:spawn(Sink))
  local feeder = assert(io.popen(("%s/bench/bench_feed %s %s %d"):format(
    assert(os.getenv("SHOAL_BUILD_DIR"), "SHOAL_BUILD_DIR is not set"), node.addresses[1], tostring(ref), count)))
  local processor = os.getenv("PEER_CPU") -- the feeder takes the first one
  if processor then os.execute("taskset -cp " .. processor .. " $PPID >/dev/null") end
  local start
  while last < 4 do -- before and after the warm-up, before and after the run
    node:poll(1)
    if last == 3 and not start then start = os.clock() end
  end
  local used = os.clock() - start
  node:poll(0)
  local rate = assert(tonumber(feeder:read("a")), "the feeder failed")
  feeder:close()
  assert(bytes == 64 * (count + math.floor(count / 10) + 1))
  return rate, used * 1e9 / count
end

local function remote_tell(count) return (feed(count)) end
local function remote_cpu(count) return (select(2, feed(count))) end

local function whole(count) return math.max(1, math.floor(count / BURST)) * BURST end

local modes = { tell = tell, floor_tell = floor_tell, ask = ask, floor_ask = floor_ask, remote_tell = remote_tell, remote_cpu = remote_cpu }
local run, count = modes[arg[1]], tonumber(arg[2])
if not run or not count then
  io.stderr:write("usage: bench_lua.lua tell|floor_tell|ask|floor_ask|remote_tell|remote_cpu COUNT\n")
  os.exit(2)
end
count = whole(count)
if run == remote_tell or run == remote_cpu then
  print(string.format("%.3f", run(count)))
  node:close()
  os.exit(0)
end
if run ~= floor_tell and run ~= floor_ask then
  local shoal = require "shoal"
  local Counter = shoal.actor("bench.counter")
  function Counter:init() self.n = 0 end
  function Counter:inc(m) self.n = self.n + m.amount; handled = self.n end
  function Counter:get() return self.n end
  node = shoal.node{}
  ref = assert(node:spawn(Counter))
end
run(whole(count / 10))
local start = os.clock()
run(count)
print(string.format("%.3f", (os.clock() - start) * 1e9 / count))
if node then node:close() end

-- bench_lua.lua - messages between actors of one Lua state, and the bare calls beside them.
--   lua5.4 bench_lua.lua tell COUNT         ns: ref:tell("inc", { amount = 1 }), handled in the same state
--   lua5.4 bench_lua.lua floor_tell COUNT   ns: counter:inc({ amount = 1 }), the same method called
--   lua5.4 bench_lua.lua ask COUNT          ns: ref:ask("get"), answered in the same state
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

local function whole(count) return math.max(1, math.floor(count / BURST)) * BURST end

local modes = { tell = tell, floor_tell = floor_tell, ask = ask }
local run, count = modes[arg[1]], tonumber(arg[2])
if not run or not count then
  io.stderr:write("usage: bench_lua.lua tell|floor_tell|ask COUNT\n")
  os.exit(2)
end
count = whole(count)
if run ~= floor_tell then
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

-- counter.lua - a counter that other processes find by name.
--   lua5.4 counter.lua serve                 prints an address to dial, then serves until Ctrl-C
--   lua5.4 counter.lua add AMOUNT ADDRESS    dials it, looks "counter" up, asks it to add
local shoal = require "shoal"

local Counter = shoal.actor("counter")
function Counter:init(start) self.n = start or 0 end
function Counter:inc(m) self.n = self.n + m.amount; return self.n end

local command, amount, address = arg[1], math.tointeger(tonumber(arg[2])), arg[3]
if command == "serve" then
  local node = shoal.node{ listen = { "/ip4/127.0.0.1/tcp/0" } }
  local ref = assert(node:spawn(Counter))
  node:run(function() assert(ref:register("counter")) end)
  print("serving: lua5.4 counter.lua add 5 " .. node.addresses[1])
  io.stdout:flush()
  node:run()
elseif command == "add" and amount and address then
  local node = shoal.node{}
  local total = node:run(function()
    assert(node:dial(address))
    local counter = assert(node:lookup("counter"))
    return assert(counter:ask("inc", { amount = amount }))
  end)
  print("counter is " .. total)
  node:close()
else
  io.stderr:write("usage: counter.lua serve | counter.lua add AMOUNT ADDRESS\n")
  os.exit(2)
end

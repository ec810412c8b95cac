-- demo.lua - the Lua node of the demo: registers "demo.lua", finds the others by name, asks each.
-- The line contract of the three nodes is told in run.sh.
local shoal = require "shoal"

local Greeter = shoal.actor("demo.greeter")
function Greeter:greet(m) return "Lua greets " .. m.from end

io.stdout:setvbuf("line")
local node = shoal.node{ listen = { "/ip4/127.0.0.1/tcp/0" }, dial = { arg[1] }, threads = 1 }
local greeter = assert(node:spawn(Greeter))
print("listening\tdemo.lua\t" .. node.addresses[1])

-- Serves for ever once the calls are made: run.sh ends the process.
node:task(function()
  shoal.assert(greeter:register("demo.lua"))
  for _, name in ipairs{ "demo.python", "demo.c" } do
    local other = shoal.assert(node:lookup(name, { timeout = 20 }))
    local text = shoal.assert(other:ask("greet", { from = "demo.lua" }))
    print(("call\tdemo.lua\t%s\t%s\t%s"):format(name, tostring(other), text))
  end
  print("done\tdemo.lua")
end)
node:run()

-- hello.lua - one node, one actor, one ask.
--   lua5.4 hello.lua
local shoal = require "shoal"

local Greeter = shoal.actor("greeter")
function Greeter:greet(m) return "hello, " .. m.name end

local node = shoal.node{}
local greeter = assert(node:spawn(Greeter))
print(node:run(function()
  return assert(greeter:ask("greet", { name = "world" }))
end))
node:close()

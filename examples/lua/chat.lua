-- chat.lua - a chat between terminals. The first hosts the room; each member hands the room a ref to itself.
--   lua5.4 chat.lua ANNA              first terminal: prints the line for the others
--   lua5.4 chat.lua BERT ADDRESS      the others
-- Lua has no way of its own to wait for a line and a node at once: luaposix (Debian: lua-posix) gives one.
local shoal = require "shoal"
local rpoll = require("posix.poll").rpoll

local Room = shoal.actor("chat.room")
function Room:init() self.members = {} end
function Room:join(ref)
  self.members[#self.members + 1] = ref
  self.cx:monitor(ref)
  return #self.members
end
function Room:say(m)
  for _, member in ipairs(self.members) do member:tell("line", m) end
end
function Room:on_down(ref)
  for i, member in ipairs(self.members) do
    if member == ref then table.remove(self.members, i) break end
  end
  return shoal.RESUME
end

local Member = shoal.actor("chat.member")
function Member:line(m) print("<" .. m.from .. "> " .. m.text); io.stdout:flush() end

local name, address = arg[1], arg[2]
if not name then
  io.stderr:write("usage: chat.lua NAME [ADDRESS]\n")
  os.exit(2)
end

local node = shoal.node{ listen = { "/ip4/127.0.0.1/tcp/0" } }
local room = node:run(function()
  local room
  if address then
    assert(node:dial(address))
    room = assert(node:lookup("chat"))
  else
    room = assert(node:spawn(Room))
    assert(room:register("chat"))
    print("others join with: lua5.4 chat.lua NAME " .. node.addresses[1])
    io.stdout:flush()
  end
  assert(room:ask("join", assert(node:spawn(Member))))
  return room
end)

io.stdin:setvbuf("no")
while true do
  node:poll(0.005)
  if rpoll(0, 20) == 1 then
    local line = io.read("l")
    if not line then break end
    room:tell("say", { from = name, text = line })
  end
end
node:close()

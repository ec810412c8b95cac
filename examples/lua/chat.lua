-- chat.lua - a chat between terminals. The first hosts the room; each member hands the room a ref to itself.
--   lua5.4 chat.lua ANNA              first terminal: prints the line for the others
--   lua5.4 chat.lua BERT ADDRESS      the others
-- Lua has no way of its own to wait for a line and a node at once: the event loop of luv (Debian: lua-luv) gives one.
local shoal = require "shoal"
local uv = require "luv"

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

-- The node inside luv's loop: it is polled when its descriptor says so, and when its time has come.
local poller, timer = uv.new_poll(node:fd()), uv.new_timer()
local function drive()
  repeat local _, left = node:poll(0.005) until left == 0
  local seconds = node:next_timeout()
  timer:stop()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, drive) end
end
poller:start("r", drive)

-- Each line of the terminal, or of a pipe or file, is said; its end leaves the chat.
local rest = ""
local function said(chunk)
  rest = rest .. chunk
  for line in rest:gmatch("([^\n]*)\n") do room:tell("say", { from = name, text = line }) end
  rest = rest:match("[^\n]*$")
  drive()
end
local kind = uv.guess_handle(0)
if kind == "file" then
  said(io.read("a"))
  uv.stop()
else
  local input = kind == "tty" and uv.new_tty(0, true) or uv.new_pipe()
  if kind ~= "tty" then input:open(0) end
  input:read_start(function(_, chunk)
    if chunk then said(chunk) else uv.stop() end
  end)
end
drive()
uv.run()
node:close()

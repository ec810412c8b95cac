-- host.lua - a node of the chaos runs, in Lua; host.c says what it obeys and prints.   lua5.4 host.lua KEY=VALUE...
local shoal = require "shoal"
local uv = require "luv"

local TICK_MS, LATE_US = 20, 20000
local options = { dial = {} }
for _, word in ipairs(arg) do
  local key, value = word:match("^([%w_]+)=(.*)$")
  if key == "dial" then table.insert(options.dial, value) else options[key] = value end
end

local function now() return uv.hrtime() // 1000 end

local out = io.stdout
out:setvbuf("full")
local function say(event, format, ...)
  out:write(('{"t": %d, "ev": "%s"%s}\n'):format(now(), event, format and ", " .. format:format(...) or ""))
  out:flush()
end

local function say_end(id, ok, code, delivery, ref)
  say("end", '"id": "%s", "code": "%s", "dl": "%s", "ref": "%s"', id, ok and "ok" or code, ok and "" or delivery, ref or "")
end

-- The end of a call: id, then its results.
local function ended(id, value, _, code, delivery)
  say_end(id, not (value == nil and code), code, delivery, shoal.type(value) == "ref" and tostring(value) or "")
end

local node

local Worker = shoal.actor("chaos.worker")
function Worker:init() self.held, self.next = {}, 0 end
function Worker:op(m)
  say("ran", '"id": "%s", "at": "%s", "lane": "%s", "seq": %d', m.id, tostring(self.cx.ref), m.lane, m.seq)
  if m.kind == "later" then
    self.next = self.next + 1
    self.held[self.next] = self.cx:defer()
    self.cx:after(tonumber(m.arg) / 1000, "due", self.next)
  elseif m.kind == "via" then
    local id = m.id .. "v"
    local ref = assert(node:ref(m.arg))
    say("ask", '"id": "%s", "to": "%s", "ms": 500, "lane": "", "seq": 0', id, m.arg)
    local value, text, code, delivery = ref:ask("op", { id = id, kind = "now", arg = "", lane = "", seq = 0 }, { timeout = 0.5 })
    ended(id, value, text, code, delivery)
    return code or "ok"
  elseif m.kind == "fail" then
    error("told to fail", 0)
  elseif m.kind == "die" then
    self.cx:stop("told to die")
  elseif m.kind == "mute" then
    self.cx:defer()
  end
end
function Worker:due(slot)
  local promise = self.held[slot]
  self.held[slot] = nil
  if promise then promise:reply() end
end
function Worker:on_error() return shoal.RESUME end
function Worker:on_stop() say("dead", '"at": "%s"', tostring(self.cx.ref)) end
function Worker:on_down(ref, reason)
  say("down", '"at": "%s", "to": "%s", "kind": "%s"', tostring(self.cx.ref), tostring(ref), reason.kind)
  return shoal.RESUME
end

local Leaf = shoal.actor("chaos.leaf")
function Leaf:init(ref) if ref then self.cx:link(ref) end end
function Leaf:watch(ref) self.cx:monitor(ref) end
function Leaf:stop() self.cx:stop() end
Leaf.on_down, Leaf.on_stop = Worker.on_down, Worker.on_stop

local on_event = function(event, info)
  if event == "undelivered" then
    say("und", '"to": "%s", "count": %d, "code": "%s"', tostring(info.to or ""), info.count, info.code)
  else
    say(event, '"peer": "%s", "text": "%s"', tostring(info.peer or ""), (tostring(info.text or ""):gsub('[%c"\\]', "?")))
  end
end

local watcher
local commands = {}

function commands.spawn(id, name)
  local worker = assert(node:spawn(Worker))
  say("born", '"id": "%s", "at": "%s", "name": "%s"', id, tostring(worker), name)
  ended(id, worker:register(name))
end

function commands.lookup(id, name, ms)
  say("look", '"id": "%s", "name": "%s", "ms": %s', id, name, ms)
  ended(id, node:lookup(name, { timeout = tonumber(ms) / 1000 }))
end

function commands.ask(id, to, ms, kind, arg, lane, seq)
  local ref = assert(node:ref(to))
  say("ask", '"id": "%s", "to": "%s", "ms": %s, "lane": "%s", "seq": %s', id, to, ms, lane, seq)
  ended(id, ref:ask("op", { id = id, kind = kind, arg = arg, lane = lane, seq = math.tointeger(seq) }, { timeout = tonumber(ms) / 1000 }))
end

function commands.tell(id, to, kind, arg, lane, seq)
  local ref = assert(node:ref(to))
  say("tell", '"id": "%s", "to": "%s", "ms": 0, "lane": "%s", "seq": %s', id, to, lane, seq)
  ended(id, ref:tell("op", { id = id, kind = kind, arg = arg, lane = lane, seq = math.tointeger(seq) }))
end

function commands.watch(id, to)
  say("watch", '"id": "%s", "at": "%s", "to": "%s"', id, tostring(watcher), to)
  ended(id, watcher:tell("watch", assert(node:ref(to))))
end

function commands.link(id, to)
  local leaf = assert(node:spawn(Leaf, assert(node:ref(to))))
  say("link", '"id": "%s", "at": "%s", "to": "%s"', id, tostring(leaf), to)
  ended(id, true)
end

function commands.unlink(id, leaf) ended(id, assert(node:ref(leaf)):tell("stop")) end

function commands.stop(id, ms) ended(id, node:stop{ timeout = tonumber(ms) / 1000 }) end

local function obey(line)
  local word = {}
  for w in line:gmatch("%S+") do word[#word + 1] = w end
  node:task(function() commands[word[2]](word[1], table.unpack(word, 3)) end)
end

node = shoal.assert(shoal.node{
  listen = { options.listen or "/ip4/127.0.0.1/tcp/0" }, announce = options.announce and { options.announce }, dial = options.dial,
  key = options.key, threads = math.tointeger(options.threads or 0), on_event = on_event, log = "error",
  peer_timeout = options.peer_timeout_ms and tonumber(options.peer_timeout_ms) / 1000,
})
watcher = assert(node:spawn(Leaf))
say("ready", '"peer": "%s", "address": "%s"', node.peer_id, node.addresses[1])

local poller, timer, tick = uv.new_poll(node:fd()), uv.new_timer(), uv.new_timer()
local function drive()
  repeat local _, left = node:poll(0.005) until left == 0 or type(left) ~= "number"
  local seconds = node:next_timeout()
  timer:stop()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, drive) end
end
poller:start("r", drive)
local due = now() + TICK_MS * 1000
tick:start(TICK_MS, TICK_MS, function()
  local late = now() - due
  if late > LATE_US then say("late", '"us": %d', late) end
  due = now() + TICK_MS * 1000
end)

local rest = ""
local input = uv.new_pipe()
input:open(0)
input:read_start(function(_, chunk)
  if not chunk then return uv.stop() end
  rest = rest .. chunk
  for line in rest:gmatch("([^\n]*)\n") do obey(line) end
  rest = rest:match("[^\n]*$")
  drive()
end)
drive()
uv.run()
node:close()

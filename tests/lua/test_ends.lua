-- Ends: a node that ends while hooks and handlers still wait; Ctrl-C while events flow. Each in a process of its own.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local t = require "t"
local test, eq, has = t.test, t.eq, t.has

local actors = [[
local shoal = require "shoal"
local Other = shoal.actor("other")
function Other:never() self.promise = self.cx:defer() end
local function waits(node, how, other)
  if how == "sleep" then return shoal.sleep(60) end
  if how == "ask" then return other:ask("never", nil, { timeout = 60 }) end
  if how == "lookup" then return node:lookup("nobody", { timeout = 60 }) end
  if how == "done" then return other:done() end
  return shoal.all{ function() shoal.sleep(60) end, function() other:ask("never", nil, { timeout = 60 }) end }
end
local function actor(node, where, how)
  local other = assert(node:spawn(Other))
  local A = shoal.actor("waits")
  local function wait()
    local guard <close> = setmetatable({}, { __close = function() print("left") end })
    print("waits")
    waits(node, how, other)
  end
  if where == "init" then A.init = wait end
  if where == "on_stop" then A.on_stop = wait end
  function A:work() if where == "handler" then wait() end if where == "on_error" then error("for on_error") end end
  function A:on_error() wait() end
  function A:on_down() wait() end
  function A:watch(ref) self.cx:monitor(ref) end
  node:task(function()
    local a = node:spawn(A)
    if where == "on_down" then a:ask("watch", other) other:kill() end
    if a then a:tell("work") end
  end)
end
]]

local ends = {
  stop = [[node:run(function() shoal.sleep(0.01); node:stop{ timeout = 0.02 } end)]],
  ["stop, then goes on"] = [[
    node:task(function() node:stop{ timeout = 0.02 } end)
    for _ = 1, 8 do node:poll(0, 0.01) end]],
  close = [[node:run(function() shoal.sleep(0.01) end)]],
}

test("a node ends while someone waits", function()
  for _, where in ipairs{ "init", "handler", "on_error", "on_down", "on_stop" } do
    for _, how in ipairs{ "sleep", "ask", "lookup", "done", "all" } do
      local code = { actors }
      for _, finish in pairs(ends) do
        for _, last in ipairs{ "node:close()", "node = nil collectgarbage() collectgarbage()" } do
          code[#code + 1] = ("do local node = assert(shoal.node{ log = 'off' }) actor(node, %q, %q) %s %s end")
            :format(where, how, "pcall(function() " .. finish .. " end)", last)
        end
      end
      code[#code + 1] = "print('fine')"
      local output, status = t.process(table.concat(code, "\n"))
      local what = where .. ", " .. how .. ": " .. output
      eq(status, 0, what)
      has(output, "fine")
      local _, entered = output:gsub("waits", "")
      local _, left = output:gsub("left", "")
      eq(entered, 6, what)
      if _VERSION == "Lua 5.4" then eq(left, 6, what) end
    end
  end
end)

local flowing = [[
local shoal = require "shoal"
local A = shoal.actor("a")
function A:fail() error("on purpose", 0) end
function A:on_error() return shoal.RESUME end
local node = assert(shoal.node{ log = "off", on_event = ON_EVENT, on_log = ON_LOG })
local a = assert(node:spawn(A))
node:task(function()
  while true do
    for i = 1, 20 do a:tell(i % 2 == 0 and "fail" or "nothing") end
    shoal.sleep(0)
  end
end)
node:poll(0.1)
print("ready") io.stdout:flush()
]]
local loops = {
  "node:run()",
  "node:run(function() shoal.sleep(60) end)",
  "while true do node:poll(0.001, 0.001) end",
  "node:run()",
}
local listeners = {
  "function(event, info) local s = '' for i = 1, 50 do s = s .. tostring(info.code) end end",
  "function() error('of its own') end",
  "nil",
  "function(_, info) for key in pairs(info) do assert(key) end shoal.type(info) end",
}

--- Starts it, sends SIGINT after a while; what it said, its status (137: killed, as it went on).
local limit = "5" -- seconds: a machine may be busy
local function interrupted(code, after)
  local script, out = os.tmpname(), os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(code)
  file:close()
  local pipe = assert(io.popen(([[
    %s %s >%s 2>&1 & pid=$!
    for i in $(seq 500); do grep -q ready %s && break; sleep 0.02; done
    sleep %s; kill -INT $pid
    (sleep %s; kill -KILL $pid) >/dev/null 2>&1 & guard=$!
    wait $pid 2>/dev/null; echo $?; kill $guard]]):format(t.lua, script, out, out, after, limit)))
  local status = pipe:read("*n")
  pipe:close()
  local output = assert(io.open(out)):read("*a")
  os.remove(script)
  os.remove(out)
  return output, status
end

test("Ctrl-C ends a node while events flow", function()
  for i = 0, 19 do
    local code = flowing:gsub("ON_EVENT", listeners[i % 4 + 1])
    code = code:gsub("ON_LOG", i % 3 == 0 and "function() end" or "nil") .. loops[i // 4 % 4 + 1]
    local output, status = interrupted(code, ("%.3f"):format(0.01 + i % 7 * 0.003))
    local what = ("%d, status %s: %s"):format(i, status, output:sub(1, 2000))
    eq(status, 1, what)
    has(output, "interrupted!")
    eq(output:find("could not be told", 1, true), nil, what)
  end
end)

test("a debug hook's error goes through a poll, others do not", function()
  local output, status = t.process([[
    local shoal = require "shoal"
    local lines = {}
    local node = shoal.node{ log = "error", on_log = function(_, text) lines[#lines + 1] = text end, on_event = function(_, info)
      if info.text:find("hooked") then
        debug.sethook(function() debug.sethook() error({ "limit" }, 0) end, "l")
        local x = 1
        x = x + 1
      end
      error("of its own")
    end }
    node:task(function() error("plain") end)
    local handled = node:poll(0)
    assert(handled and lines[1]:find("on_event failed.*of its own"), lines[1])
    local A = shoal.actor("a")
    function A:fail() error("hooked") end
    local a = node:spawn(A)
    a:tell("fail")
    local fine, problem
    for _ = 1, 10 do
      fine, problem = pcall(node.poll, node, 0)
      if not fine then break end
    end
    assert(not fine and problem[1] == "limit", tostring(problem))
    assert(pcall(node.poll, node, 0)) -- told once
    local more = node:spawn(A)
    more:tell("fail")
    fine, problem = pcall(node.close, node)
    assert(pcall(node.close, node))
    print("fine")
  ]])
  eq(status, 0, output)
  has(output, "fine")
end)

test("a debug hook's error goes through a poll when it is raised while an error is handled", function()
  local output, status = t.process([[
    local shoal = require "shoal"
    local calls, lines = 0, {}
    local function second_call() -- the first is error's, the second the library's own message handler
      calls = calls + 1
      if calls == 2 then debug.sethook() error("interrupted!", 0) end
    end
    local node = shoal.node{ log = "error", on_log = function(_, text) lines[#lines + 1] = text end, on_event = function()
      debug.sethook(second_call, "c")
      error("of its own")
    end }
    local fine, problem = pcall(function()
      node:task(function() error("plain") end)
      node:poll(0)
    end)
    debug.sethook()
    assert(not fine and tostring(problem):find("interrupted!$"), tostring(problem))
    assert(#lines == 0, lines[1])
    print("fine")
  ]])
  eq(status, 0, output)
  has(output, "fine")
end)

t.finish()

-- Memory: collection at any time, nodes nobody holds, what is given back, exit with a node open or running.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local A = shoal.actor("memory.a")
function A:init(v) self.v = v; self.cx:after(0.001, "tick") end
function A:tick() self.ticked = true end
function A:echo(v) return v end
function A:slow() shoal.sleep(0.005); return { "slow", shoal.bytes("x"), self.cx.ref } end
function A:relay(m) return m.to:ask("echo", m.v) end
function A:fail() error({ message = "with a table", list = { 1, 2, 3 } }) end
function A:on_stop() self.v = nil end
function A:on_down() return shoal.RESUME end
function A:all() return shoal.all{ function() shoal.sleep(0.001) return 1 end, function() return self.cx.name end }[2] end

local function busy(node, rounds)
  for i = 1, rounds do
    local a, b = assert(node:spawn(A, { i })), assert(node:spawn(A))
    eq(a:ask("relay", { to = b, v = { text = "t" .. i, list = { 1, { 2 } }, ref = a } }).text, "t" .. i)
    eq(a:ask("slow")[1], "slow")
    eq(a:ask("all"), "all")
    fails("handler", "handled", "with a table", a:ask("fail"))
    node:task(function() b:ask("slow") end)
    a:stop()
    b:kill()
  end
end

test("a collection at every allocation", function()
  collectgarbage("generational")
  with_node({}, function(node) busy(node, 5) end)
  collectgarbage("incremental", 1, 10000, 0)
  with_node({}, function(node)
    busy(node, 5)
    collectgarbage("setpause", 0)
    busy(node, 5)
  end)
  collectgarbage("incremental", 200, 100, 13)
end)

test("full collections inside handlers, hooks and callbacks", function()
  local C = shoal.actor("collector")
  for _, name in ipairs{ "init", "on_stop", "work", "on_error", "on_undelivered" } do
    C[name] = function() collectgarbage(); collectgarbage(); return name == "on_error" and shoal.RESUME or nil end
  end
  function C:wait() collectgarbage(); shoal.sleep(0.001); collectgarbage(); return "waited" end
  with_node({ on_event = function() collectgarbage() end, on_log = function() collectgarbage() end, log = "debug" }, function(node)
    for _ = 1, 5 do
      local c = assert(node:spawn(C))
      eq(c:ask("wait"), "waited")
      for ref in node:lookup_all("x", { timeout = 0 }) do ok(ref) end
      c:tell("nope")
      c:tell("work")
      c:kill()
      c:done()
    end
  end)
end)

test("nodes that nobody holds are closed", function()
  local stopped = 0
  local S = shoal.actor("stops")
  function S:on_stop() stopped = stopped + 1 end
  function S:wait() shoal.sleep(100) end
  for _ = 1, 20 do
    local node = assert(shoal.node{ log = "off" })
    local ref = assert(node:spawn(S))
    ref:tell("wait")
    node:task(function() ref:ask("wait") end)
    node:poll(0.001)
  end
  collectgarbage()
  collectgarbage()
  eq(stopped, 20)
end)

test("a ref, a cx, a promise and a timer outlive their node", function()
  local kept = {}
  local K = shoal.actor("kept")
  function K:keep() kept.cx, kept.promise = self.cx, self.cx:defer(); kept.timer = self.cx:after(10, "keep") end
  do
    local node = assert(shoal.node{ log = "off" })
    kept.ref = assert(node:spawn(K))
    kept.ref:tell("keep")
    node:poll(0.01)
    kept.all = node:lookup_all("x", { follow = true })
    node:close()
  end
  collectgarbage()
  fails("closed", "not_sent", "closed", kept.ref:tell("keep"))
  fails("closed", "not_sent", "closed", kept.promise:reply(1))
  raises(function() kept.cx:reply(1) end, "no handler")
  raises(function() kept.timer:cancel() end, "no handler")
  raises(function() kept.all:next() end, "")
  ok(tostring(kept.ref) and tostring(kept.cx))
end)

test("what has ended is given back", function()
  with_node({}, function(node)
    t.given_back(100, 300, function()
      local a = assert(node:spawn(A, ("x"):rep(1000)))
      a:ask("echo", "y")
      a:kill()
      a:done()
    end)
  end)
end)

local prelude = [[
local shoal = require "shoal"
local A = shoal.actor("a")
function A:wait() shoal.sleep(100) end
function A:on_stop(reason) print("on_stop " .. reason.kind) end
]]

for _, threads in ipairs{ 0, 1 } do
  local open = prelude .. ("local node = shoal.node{ listen = { '/ip4/127.0.0.1/tcp/0' }, threads = %d, log = 'off' }\n"):format(threads)
    .. "local ref = assert(node:spawn(A)); ref:tell('wait'); node:task(function() ref:ask('wait') end); node:poll(0.01)\n"

  test("exit with a node open, threads = " .. threads, function()
    local output, status = t.process(open .. "keep = node; print('end')")
    eq(output, "end\non_stop killed\n")
    eq(status, 0)
  end)

  test("os.exit with a node open, threads = " .. threads, function()
    local output, status = t.process(open .. "print('end'); os.exit(3)")
    eq(output, "end\n")
    eq(status, 3)
    output, status = t.process(open .. "print('end'); os.exit(4, true)")
    eq(output, "end\non_stop killed\n")
    eq(status, 4)
  end)

  test("an error with a node open, threads = " .. threads, function()
    local output, status = t.process(open .. "error('the script failed')")
    has(output, "the script failed", "on_stop killed")
    eq(status, 1)
  end)

  test("an error inside run, threads = " .. threads, function()
    local output, status = t.process(open .. "node:run(function() shoal.sleep(0.01); error('inside run') end)")
    has(output, "inside run", "stack traceback", "on_stop killed")
    eq(status, 1)
  end)

  test("to be closed at the end of a block, threads = " .. threads, function()
    local output, status = t.process(open:gsub("local node =", "local node <close> =") .. "print('end')")
    eq(output, "end\non_stop killed\n")
    eq(status, 0)
  end)

  test("SIGINT ends run, threads = " .. threads, function()
    local output, status = t.process(open .. [[
      local pid = assert(io.open("/proc/self/stat")):read("n")
      os.execute("(sleep 0.3; kill -INT " .. pid .. ") &")
      node:run()
    ]])
    has(output, "interrupted!", "on_stop killed")
    eq(status, 1)
  end)
end

test("coroutines and states of the host: a node made and run inside a coroutine", function()
  local co = coroutine.wrap(function()
    local node = assert(shoal.node{ log = "off" })
    local a = assert(node:spawn(A))
    local v = node:run(function() return a:ask("echo", 7) end)
    coroutine.yield(v)
    node:close()
    return "done"
  end)
  eq(co(), 7)
  eq(co(), "done")
end)

t.finish()

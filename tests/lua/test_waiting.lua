-- Coroutines: where handlers may wait, many at once, tasks, shoal.all, what closing does to them.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local W = shoal.actor("waiter")
function W:echo(v) return v end
function W:slow(s) shoal.sleep(s); return s end
function W:relay(m) return m.to:ask("echo", m.v) end
function W:chain(m)
  local sum = 0
  for i = 1, m.n do sum = sum + shoal.assert(m.to:ask("echo", i)) end -- nobody else changes sum
  return sum
end
function W:in_pcall(m) return select(2, pcall(function() return m.to:ask("echo", "through pcall") end)) end
function W:in_meta(m)
  local o = setmetatable({}, { __index = function(_, k) return m.to:ask("echo", k) end, __add = function(_, v) return m.to:ask("echo", v) end })
  return o.key .. (o + "sum")
end
function W:in_iterator(m)
  local out = {}
  for v in function(_, last) if (last or 0) < 3 then return m.to:ask("echo", (last or 0) + 1) end end do out[#out + 1] = v end
  return out
end
function W:in_close(m)
  do
    local guard <close> = setmetatable({}, { __close = function() self.closed = m.to:ask("echo", "closed") end })
  end
  return self.closed
end
function W:multi(m) shoal.sleep(0.001); return m.to:ask("echo", 1), 2 end
function W:yields() coroutine.yield(1) end
function W:mine() return coroutine.wrap(function() coroutine.yield("mine") end)() end
function W:steal() self.co = coroutine.running(); shoal.sleep(0.05); return "slept" end

test("waits in plain code, pcall, metamethods, iterators, closing variables", function()
  with_node({}, function(node)
    local a, b = assert(node:spawn(W)), assert(node:spawn(W))
    eq(a:ask("relay", { to = b, v = { x = 1 } }).x, 1)
    eq(a:ask("chain", { to = b, n = 100 }), 5050)
    eq(a:ask("in_pcall", { to = b }), "through pcall")
    eq(a:ask("in_meta", { to = b }), "keysum")
    eq(#a:ask("in_iterator", { to = b }), 3)
    eq(a:ask("in_close", { to = b }), "closed")
    eq(a:ask("multi", { to = b }), 1)
  end)
end)

test("a coroutine of one's own works for its own purposes", function()
  with_node({}, function(node)
    local a = assert(node:spawn(W))
    eq(a:ask("mine"), "mine")
    fails("handler", "handled", "coroutine.yield", a:ask("yields"))
    eq(a:ask("echo", 1), 1)
  end)
end)

test("only shoal resumes a handler that waits", function()
  local stolen
  local S = shoal.actor("stolen")
  function S:wait() stolen = coroutine.running(); shoal.sleep(0.05); return "slept" end
  with_node({}, function(node)
    local a = assert(node:spawn(S))
    node:task(function() shoal.sleep(0.01); coroutine.resume(stolen) end)
    fails("handler", "handled", "", a:ask("wait"))
    node:task(function() shoal.sleep(0.01); coroutine.close(stolen) end)
    fails("handler", "handled", "", a:ask("wait"))
  end)
end)

test("many waits at once, in the order of their times", function()
  with_node({}, function(node)
    local order, left = {}, 50
    for i = 1, 50 do
      node:task(function()
        shoal.sleep(((i * 37) % 50) * 0.004)
        order[#order + 1] = (i * 37) % 50
        left = left - 1
      end)
    end
    while left > 0 do shoal.sleep(0.01) end
    for i = 2, #order do ok(order[i] >= order[i - 1], "sleepers out of order") end
  end)
end)

test("1,000 asks in flight from tasks", function()
  with_node({}, function(node)
    local a, left, sum = assert(node:spawn(W)), 1000, 0
    for i = 1, 1000 do
      node:task(function() local v = shoal.assert(a:ask("echo", i)); sum = sum + v; left = left - 1 end)
    end
    while left > 0 do shoal.sleep(0.001) end
    eq(sum, 500500)
  end)
end)

test("shoal.all", function()
  with_node({}, function(node)
    local refs, fns = {}, {}
    for i = 1, 5 do refs[i] = assert(node:spawn(W)); fns[i] = function() return refs[i]:ask("slow", 0.03), "second" end end
    local before = os.clock()
    local results = shoal.all(fns)
    eq(results.n, 5)
    for i = 1, 5 do eq(results[i], 0.03) end
    eq(shoal.all({}).n, 0)
    results = shoal.all{ function() end, function() return nil, 1 end, function() return 3 end }
    eq(results.n, 3)
    eq(results[1], nil)
    eq(results[3], 3)
    -- nested, and without a wait
    results = shoal.all{ function() return shoal.all{ function() return refs[1]:ask("echo", "in") end }[1] end, function() return 2 end }
    eq(results[1], "in")
    ok(before)
  end)
end)

test("shoal.all raises the first error and ends the others", function()
  with_node({}, function(node)
    local a, closed = assert(node:spawn(W)), false
    raises(function()
      shoal.all{
        function() local c <close> = setmetatable({}, { __close = function() closed = true end }); return a:ask("slow", 0.2) end,
        function() shoal.sleep(0.01); error("second failed") end,
        function() shoal.sleep(0.02); error("third failed") end,
      }
    end, "second failed")
    eq(closed, true)
    raises(function() shoal.all{ function() error("at once") end, function() error("never") end } end, "at once")
    eq(a:ask("echo", "after"), "after")
  end)
end)

test("shoal.all in a handler", function()
  local H = shoal.actor("all.handler")
  function H:both(m)
    local r = shoal.all{
      function() return m.to:ask("slow", 0.01) end,
      function() shoal.sleep(0.005); return self.cx.name end,
      function() return m.to:ask("echo", "last") end,
    }
    return { r[1], r[2], r[3] }
  end
  function H:failing(m) shoal.all{ function() m.to:ask("slow", 0.01) end, function() error("inside") end } end
  with_node({}, function(node)
    local a, b = assert(node:spawn(H)), assert(node:spawn(W))
    local got = a:ask("both", { to = b })
    eq(got[1], 0.01)
    eq(got[2], "both")
    eq(got[3], "last")
    fails("handler", "handled", "inside", a:ask("failing", { to = b }))
    eq(a:ask("both", { to = b })[3], "last")
  end)
end)

test("a killed actor's waiting handler is closed, its asker told", function()
  local log = {}
  local K = shoal.actor("killed")
  function K:wait(how)
    local guard <close> = setmetatable({}, { __close = function() log[#log + 1] = "closed" end })
    if how == "sleep" then shoal.sleep(10)
    elseif how == "all" then shoal.all{ function() shoal.sleep(10) end, function() self.other:ask("slow", 10) end }
    elseif how == "lookup" then self.cx.node:lookup("nobody.at.all", { timeout = 10 })
    else self.other:ask("slow", 10) end
    log[#log + 1] = "not reached"
  end
  function K:init(other) self.other = other end
  function K:on_stop(reason) log[#log + 1] = "on_stop " .. reason.kind end
  with_node({}, function(node)
    for _, how in ipairs{ "sleep", "ask", "all", "lookup" } do
      log = {}
      local victim = assert(node:spawn(K, assert(node:spawn(W))))
      node:task(function() shoal.sleep(0.01); assert(victim:kill()) end)
      fails("not_running", "unknown", "", victim:ask("wait", how))
      eq(victim:done().kind ~= nil, true)
      eq(table.concat(log, ", "), "closed, on_stop killed", how)
    end
  end)
end)

test("close ends tasks and handlers that wait", function()
  local closed = 0
  local function guard() return setmetatable({}, { __close = function() closed = closed + 1 end }) end
  local C = shoal.actor("closing")
  function C:wait() local g <close> = guard(); shoal.sleep(10) end
  local node = assert(shoal.node{ log = "off" })
  local ref = assert(node:spawn(C))
  ref:tell("wait")
  node:task(function() local g <close> = guard(); ref:ask("wait") end)
  node:task(function() local g <close> = guard(); shoal.sleep(10) end)
  node:task(function() local g <close> = guard(); for _ in node:lookup_all("x", { follow = true }) do end end)
  for _ = 1, 10 do node:poll(0.001, 0.001) end
  node:close()
  eq(closed, 4)
end)

test("a task starts at once and may end the loop", function()
  local node = assert(shoal.node{ log = "off" })
  local at = {}
  node:task(function() at[1] = "before"; shoal.sleep(0.01); at[2] = "after"; node:stop() end)
  eq(at[1], "before")
  eq(node:run(), true)
  eq(at[2], "after")
  node:close()
end)

test("a handler may stop the node", function()
  local S = shoal.actor("stopper")
  function S:stop() return self.cx.node:stop() end
  local node = assert(shoal.node{ log = "off" })
  local ref = assert(node:spawn(S))
  ref:tell("stop")
  eq(node:run(), true)
  node:close()
end)

test("poll gives what was handled and what is left; next_timeout; fd", function()
  local node = assert(shoal.node{ log = "off" })
  local ref = assert(node:spawn(W))
  for i = 1, 100 do ref:tell("echo", i) end
  local handled, left = node:poll(0)
  ok(math.type(handled) == "integer" and math.type(left) == "integer")
  for _ = 1, 10 do handled = handled + node:poll(0.01) end
  ok(handled >= 100, "handled " .. handled)
  ok(math.type(node:fd()) == "integer")
  node:task(function() shoal.sleep(0.5) end)
  local seconds = node:next_timeout()
  ok(seconds and seconds <= 0.5, tostring(seconds))
  raises(function() node:poll(-1) end, "from 0")
  node:close()
end)

t.finish()

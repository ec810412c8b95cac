-- Simulations: shoal.sim, what runs in virtual time, faults, seeds, ends.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails = t.test, t.eq, t.ok, t.has, t.raises, t.fails

local Counter = shoal.actor("counter")
function Counter:init(start) self.n = start or 0 end
function Counter:inc(by) self.n = self.n + by; return self.n end
function Counter:slow(s) shoal.sleep(s); return self.cx:now() end
function Counter:random() return self.cx:random() end

local ANY = { "/ip4/0.0.0.0/tcp/4001" }
local FIRST = { "/ip4/10.0.0.0/tcp/4001" }

-- Runs fn(sim, a, b, seen) with "counter" on b, found by a.
local function with_pair(seed, fn)
  local sim <close> = assert(shoal.sim(seed))
  return sim:run(function()
    local b = assert(sim:node{ listen = ANY, log = "off" })
    local a = assert(sim:node{ listen = ANY, dial = FIRST, log = "off" })
    local counter = assert(b:spawn(Counter, 0))
    assert(counter:register("counter"))
    return fn(sim, a, b, (assert(a:lookup("counter"))))
  end)
end

test("two nodes find by name and ask", function()
  with_pair(7, function(sim, a, b, seen)
    has(b.addresses[1], "/ip4/10.0.0.0/tcp/4001/p2p/")
    has(a.addresses[1], "/ip4/10.0.0.1/tcp/4001/p2p/")
    eq(seen.peer_id, b.peer_id)
    eq(seen:ask("inc", 1), 1)
    for _ = 1, 10 do assert(seen:tell("inc", 1)) end
    assert(seen:drain())
    eq(seen:ask("inc", 1), 12)
    local found = {}
    for ref in a:lookup_all("counter") do found[#found + 1] = ref end
    eq(#found, 1)
    eq(found[1], seen)
    local local_one = a:spawn(Counter, 40)
    local got = shoal.all{ function() return seen:ask("inc", 1) end, function() return local_one:ask("inc", 2) end }
    eq(got[1], 13)
    eq(got[2], 42)
    eq(a:info("peers")[1] ~= nil, true)
    fails("no_handler", "not_sent", "counter", seen:ask("what"))
    fails("unreachable", "not_sent", "", a:dial("/ip4/10.0.9.9/tcp/1"))
    ok(sim.now > 0)
  end)
end)

test("results and errors of the function", function()
  local sim <close> = shoal.sim(1)
  local before = sim.now
  local function three() return 1, nil, 3 end
  eq(select("#", sim:run(three)), 3)
  eq(select(3, sim:run(three)), 3)
  local thrown = { "mine" }
  local fine, e = pcall(sim.run, sim, function() shoal.sleep(1); error(thrown) end)
  eq(fine, false)
  eq(e, thrown)
  eq(sim.now, before + 1)
  eq(sim:run(function() return "again" end), "again")
end)

test("an hour of sleep", function()
  local begun = os.clock()
  local sim <close> = shoal.sim(2)
  sim:run(function()
    local start = sim.now
    shoal.sleep(3600)
    eq(sim.now, start + 3600)
    sim:node{ listen = ANY, log = "off" }
    local b = sim:node{ dial = FIRST, log = "off" }
    local counter = b:spawn(Counter)
    shoal.sleep(3600.000001)
    eq(sim.now, start + 7200.000001)
    local before = sim.now
    eq(counter:ask("slow", 1800, { timeout = 3600 }) >= 1800, true)
    ok(sim.now - before > 1799.9999999 and sim.now - before < 1800.01, "1800 s, got " .. sim.now - before)
    local done = 0
    shoal.all{ function() shoal.sleep(0.3); done = done * 10 + 3 end, function() shoal.sleep(0.1); done = done * 10 + 1 end,
      function() shoal.sleep(0.2); done = done * 10 + 2 end }
    eq(done, 123)
  end)
  ok(os.clock() - begun < 1, "three hours took " .. os.clock() - begun .. " s")
end)

test("partition and heal", function()
  with_pair(7, function(sim, a, b, seen)
    eq(seen:ask("inc", 1), 1)
    eq(sim:partition({ a }, { b }), true)
    local before = sim.now
    fails("timeout", "unknown", "", seen:ask("inc", 1, { timeout = 0.5 }))
    ok(sim.now - before > 0.4999999 and sim.now - before < 1, tostring(sim.now - before))
    assert(seen:tell("inc", 1))
    shoal.sleep(1)
    eq(sim:heal(), true)
    shoal.sleep(1)
    eq(seen:ask("inc", 0), 2) -- what waited has arrived; the ask was given up
    fails("bad_value", "not_sent", "both", sim:partition({ a }, { a }))
    raises(function() sim:partition({ a }, { 1 }) end, "item 1 is no node")
    local real <close> = shoal.node()
    raises(function() sim:partition({ a }, { real }) end, "not of this simulation")
    raises(function() sim:crash(real) end, "not of this simulation")
    raises(function() real:dial("/ip4/127.0.0.1/tcp/1") end, "sim:run waits only")
  end)
end)

test("a crash is told to a monitor as peer_lost", function()
  with_pair(7, function(sim, a, b, seen)
    local told, stopped
    local Watcher = shoal.actor("watcher")
    function Watcher:watch(ref) assert(self.cx:monitor(ref)) end
    function Watcher.on_down(_, ref, reason) told = { ref, reason.kind }; return shoal.RESUME end
    local Mortal = shoal.actor("mortal")
    function Mortal.on_stop() stopped = true end
    function Mortal.wait() shoal.sleep(1000) end
    assert(b:spawn(Mortal)):tell("wait")
    local watcher = assert(a:spawn(Watcher))
    watcher:ask("watch", seen)
    local calls = shoal.all{
      function() return table.pack(seen:ask("slow", 100)) end,
      function() shoal.sleep(0.1); return sim:crash(b) end,
    }
    eq(calls[1][1], nil)
    eq(calls[2], true)
    shoal.sleep(30)
    eq(told[1], seen)
    eq(told[2], "peer_lost")
    eq(stopped, true)
    fails("closed", "not_sent", "closed", b:spawn(Counter))
    fails("closed", "not_sent", "closed", sim:crash(b))
    eq(#b.addresses, 0)
    b:close()
  end)
end)

test("a crashed node's own calls end", function()
  with_pair(7, function(sim, a, _, seen)
    local mine = assert(a:spawn(Counter))
    local got = shoal.all{
      function() return table.pack(seen:ask("slow", 100)) end,
      function() return table.pack(mine:ask("slow", 100)) end,
      function() return table.pack(shoal.sleep(0.1), sim:crash(a)) end,
    }
    eq(got[1][1], nil)
    ok(got[1][3] == "unreachable" or got[1][3] == "closed", got[1][3])
    ok(got[2][3] == "not_running" or got[2][3] == "closed", got[2][3])
    eq(got[3][2], true)
  end)
end)

-- A run's digest.
local function digest_of(seed)
  return with_pair(seed, function(sim, _, _, seen)
    local random = seen:ask("random")
    for i = 1, 20 do seen:ask("inc", i) end
    shoal.sleep(10)
    return sim.digest, random, sim.seed
  end)
end

test("a seed is a run", function()
  local one, random_one, seed = digest_of(7)
  local two, random_two = digest_of(7)
  local other, random_other = digest_of(8)
  eq(#one, 16)
  eq(one:find("^%x+$"), 1)
  eq(seed, 7)
  eq(one, two)
  eq(random_one, random_two)
  ok(one ~= other)
  ok(random_one ~= random_other)
  eq(shoal.sim(-1).seed, -1)
  local code = [[package.path = %q; package.cpath = %q
    local shoal = require "shoal"
    local sim <close> = shoal.sim(3)
    local E = shoal.actor("e")
    function E.say(_, v) return v end
    sim:run(function()
      local b = sim:node{ listen = { "/ip4/0.0.0.0/tcp/4001" } }
      local a = sim:node{ dial = { "/ip4/10.0.0.0/tcp/4001" } }
      assert(b:spawn(E)):register("e")
      local e = assert(a:lookup("e"))
      e:ask("say", { one = 1, two = 2, three = 3, four = 4, five = 5 })
      print(sim.digest)
    end)]]
  code = code:format(package.path, package.cpath)
  local first = t.process(code)
  for _ = 1, 4 do eq(t.process(code), first, "in another process") end
end)

test("the network's latency and loss", function()
  with_pair(7, function(sim, _, _, seen)
    seen:ask("inc", 1)
    eq(sim:net{ latency = { 0.5, 0.5 } }, true)
    local before = sim.now
    seen:ask("inc", 1)
    ok(sim.now - before > 0.9999999 and sim.now - before < 1.1, tostring(sim.now - before))
    eq(sim:net{ latency = { 0, 0 }, loss = 1 }, true)
    before = sim.now
    seen:ask("inc", 1)
    ok(sim.now - before > 0.3999999 and sim.now - before < 0.7, tostring(sim.now - before))
    eq(sim:net(), true)
    raises(function() sim:net{ latency = { 2, 1 } } end, "test_sim.lua", "latency")
    raises(function() sim:net{ latency = { 0, 1801 } } end, "latency")
    raises(function() sim:net{ loss = 1.5 } end, "loss")
    raises(function() sim:net{ jitter = 1 } end, "unknown option 'jitter'")
  end)
end)

test("a function that can never go on", function()
  local sim <close> = shoal.sim(4)
  local real <close> = shoal.node()
  local closed
  raises(function()
    sim:run(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      shoal.all{ function() sim:node():spawn(Counter):done() end }
    end)
  end, "test_sim.lua", "nothing is left to happen")
  eq(closed, true)
  eq(sim:run(function() shoal.sleep(1); return 5 end), 5)
end)

test("only connected nodes' own timers are left: said after a virtual day", function()
  local sim = shoal.sim(4)
  local before
  raises(function()
    sim:run(function()
      local a, b = sim:node{ listen = ANY, log = "off" }, sim:node{ listen = ANY, log = "off" }
      shoal.assert(a:dial(b.addresses[1]))
      before = sim.now
      a:spawn(Counter):done()
    end)
  end, "test_sim.lua", "nothing is left to happen")
  local quiet = sim.now - before
  t.ok(quiet >= 86400 and quiet < 86400 + 180, quiet)
  eq(sim:run(function() shoal.sleep(2 * 86400); return "slept" end), "slept") -- a wait for a time is none
  sim:close()
end)

test("node:run, node:poll and tasks of a simulated node", function()
  local sim <close> = shoal.sim(5)
  local b = sim:node{ listen = ANY, log = "off" }
  local a = sim:node{ dial = FIRST, log = "off" }
  local counter = b:spawn(Counter)
  local log = {}
  b:task(function() shoal.sleep(2); log[#log + 1] = "b" end)
  eq(b:run(function() return counter:register("counter") end), true)
  eq(a:run(function()
    local seen = shoal.assert(a:lookup("counter"))
    raises(function() b:close() end, "inside")
    raises(function() sim:close() end, "inside")
    raises(function() sim:crash(b) end, "inside")
    raises(function() sim:run(print) end, "already")
    return seen:ask("inc", 3)
  end), 3)
  a:poll(0, 3)
  while sim.now < 3 do a:poll(0, 0.5) end
  eq(table.concat(log), "b")
  fails("closed", "not_sent", "", a:fd())
end)

test("nodes stop and close inside sim:run", function()
  with_pair(7, function(sim, a, b, seen)
    eq(b:stop(), true)
    local _, _, code = seen:ask("inc", 1)
    ok(code == "unreachable" or code == "not_running", code)
    do
      local c <close> = sim:node{ dial = a.addresses, log = "off" }
      ok(c:spawn(Counter):ask("inc", 1))
    end
    a:close()
    shoal.sleep(1)
    raises(function() sim:close() end, "inside sim:run")
  end)
end)

test("an init that waits", function()
  local sim <close> = shoal.sim(6)
  local Late = shoal.actor("late")
  function Late:init() shoal.sleep(5); self.ready = true end
  function Late:is() return self.ready end
  sim:run(function()
    local node, other = sim:node(), sim:node()
    local before = sim.now
    eq(assert(node:spawn(Late)):ask("is"), true)
    eq(sim.now, before + 5)
    local got = shoal.all{
      function() return table.pack(other:spawn(Late)) end,
      function() return table.pack(node:spawn(Late)) end,
      function() shoal.sleep(1); sim:crash(other); node:close() end,
    }
    eq(got[1][1], nil)
    eq(got[2][1], nil)
  end)
end)

test("handlers make nodes", function()
  local sim <close> = shoal.sim(6)
  local Maker = shoal.actor("maker")
  function Maker.make() return sim:node{ listen = ANY, log = "off" }.addresses[1] end
  sim:run(function()
    has(sim:node():spawn(Maker):ask("make"), "/ip4/10.0.0.1/tcp/4001")
  end)
end)

test("misuse", function()
  raises(shoal.sim, "whole number")
  raises(function() shoal.sim("x") end, "test_sim.lua", "whole number")
  local sim <close> = shoal.sim(1)
  raises(function() sim:run() end, "test_sim.lua", "expected a function")
  raises(function() sim:node{ what = 1 } end, "test_sim.lua", "unknown option 'what'")
  raises(function() sim:node{ threads = "x" } end, "test_sim.lua", "threads")
  raises(function() shoal.sleep(1) end, "nothing can wait here")
  fails("bad_address", "not_sent", "", sim:node{ listen = { "/ip4/10.9.9.9/tcp/1" }, log = "off" })
end)

test("close", function()
  local stops = 0
  local S = shoal.actor("s")
  function S.on_stop() stops = stops + 1 end
  function S.wait() shoal.sleep(10) end
  local sim = shoal.sim(9)
  local a, b = sim:node(), sim:node()
  a:spawn(S):tell("wait")
  local ref = b:spawn(S)
  sim:run(function() shoal.sleep(1) end)
  local digest = sim.digest
  sim:close()
  sim:close()
  eq(stops, 2)
  eq(sim.now, 2)
  eq(sim.digest, digest)
  has(tostring(sim), "9", "closed")
  fails("closed", "not_sent", "closed", sim:node())
  fails("closed", "not_sent", "closed", sim:run(print))
  fails("closed", "not_sent", "closed", sim:heal())
  fails("closed", "not_sent", "closed", sim:partition({}, {}))
  fails("closed", "not_sent", "closed", sim:crash(a))
  fails("closed", "not_sent", "closed", sim:net())
  fails("closed", "not_sent", "closed", a:spawn(S))
  fails("closed", "not_sent", "closed", ref:tell("wait"))
  a:close()
end)

test("collected in any order", function()
  local stops = 0
  local S = shoal.actor("s")
  function S.on_stop() stops = stops + 1 end
  for keep = 1, 4 do
    local sim = shoal.sim(10)
    local node, other = sim:node(), sim:node()
    local ref = node:spawn(S)
    other:spawn(S)
    sim:run(function() shoal.sleep(0.5) end)
    if keep ~= 1 then node = nil end
    if keep ~= 2 then ref = nil end
    if keep ~= 3 then sim = nil end
    other = nil
    collectgarbage()
    eq(stops, keep == 4 and 8 or (keep - 1) * 2, "nodes live as long as anything of the simulation")
    if keep == 1 then eq(node:run(function() return shoal.sleep(1) end), true) end
    node, ref, sim = nil, nil, nil
    collectgarbage()
    collectgarbage()
    eq(stops, keep * 2)
  end
end)

test("left open at exit", function()
  local output, status = t.process(([[package.path = %q; package.cpath = %q
    local shoal = require "shoal"
    sim = shoal.sim(3)
    node = sim:node{ listen = { "/ip4/0.0.0.0/tcp/4001" } }
    local S = shoal.actor("s")
    function S.on_stop() print("stopped") end
    ref = node:spawn(S)
    local ok = pcall(sim.run, sim, function() node:task(function() shoal.sleep(9) end) shoal.sleep(1) os.exit(0, true) end)]])
    :format(package.path, package.cpath))
  eq(status, 0, output)
end)

t.finish()

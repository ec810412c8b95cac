-- Names and nodes: alone, two nodes of one process over loopback, refs between them, threads = 1, info.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local with_two = t.with_two
local Counter = shoal.actor("counter")
function Counter:init(start) self.n = start or 0 end
function Counter:inc(m) self.n = self.n + m.amount; return self.n end
function Counter:echo(v) return v end
function Counter:fail() error("far away", 0) end
function Counter:call(m) return shoal.assert(m.to:ask(m.name, m.value)) end
function Counter:sender() return self.cx.sender end
function Counter:slow() shoal.sleep(5) end

test("a name alone: register, lookup, lookup_all, unregister", function()
  with_node({}, function(node)
    local a = assert(node:spawn(Counter))
    eq(a:register("alone.counter"), true)
    ok(node:lookup("alone.counter") == a)
    local found = {}
    for ref in node:lookup_all("alone.counter", { timeout = 0 }) do found[#found + 1] = ref end
    eq(#found, 1)
    ok(found[1] == a)
    eq(a:unregister("alone.counter"), true)
    fails("not_found", "not_sent", "", node:lookup("alone.counter", { timeout = 0 }))
    local before = os.time()
    fails("not_found", "not_sent", "", node:lookup("alone.counter", { timeout = 0.1 }))
    ok(os.time() - before < 3)
  end)
end)

test("lookup_all: next, close, follow, failure", function()
  with_node({}, function(node)
    local it = node:lookup_all("followed", { follow = true })
    local a = assert(node:spawn(Counter))
    node:task(function() shoal.sleep(0.01); assert(a:register("followed")) end)
    ok(it:next() == a)
    it:close()
    eq(it:next(), nil)
    for ref in node:lookup_all("followed", { follow = true }) do ok(ref == a) break end
    eq(node:lookup_all("nobody", { timeout = 0 }):next(), nil)
    local e = select(2, pcall(function() for _ in node:lookup_all("") do end end))
    eq(e.code, "bad_value")
    raises(function() node:lookup_all("x", { all = true }) end, "unknown option 'all'")
  end)
end)

test("refs: one table key, text and back", function()
  with_node({}, function(node)
    local a, b = assert(node:spawn(Counter)), assert(node:spawn(Counter))
    local text = tostring(a)
    ok(text:match("^%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x@%w+$"), text)
    eq(a.id, text:sub(1, 16))
    eq(a.peer_id, node.peer_id)
    local back = assert(node:ref(text))
    ok(back == a and rawequal(back, a))
    ok(a ~= b)
    local set = { [a] = "a", [b] = "b" }
    eq(set[a:ask("echo", a)], "a")
    eq(set[b:ask("echo", b)], "b")
    eq(a == "text", false)
  end)
end)

test("two nodes: names, asks, values, errors, senders, order", function()
  with_two({}, {}, function(a, b)
    local far = assert(b:spawn(Counter, 100))
    b:task(function() assert(far:register("far.counter")) end)
    local ref = shoal.assert(a:lookup("far.counter", { timeout = 10 }))
    eq(ref.peer_id, b.peer_id)
    eq(ref:ask("inc", { amount = 5 }), 105)
    for _ = 1, 100 do eq(ref:tell("inc", { amount = 1 }), true) end
    eq(shoal.assert(ref:drain()), true)
    eq(ref:ask("inc", { amount = 0 }), 205)
    local value = { 1, shoal.null, { a = shoal.bytes("\0\255"), b = shoal.list{} }, (1 << 53) + 1, -0.0 }
    local back = ref:ask("echo", value)
    eq(back[2], shoal.null)
    eq(tostring(back[3].a), "\0\255")
    eq(shoal.type(back[3].b), "list")
    eq(back[4], (1 << 53) + 1)
    fails("handler", "handled", "far away", ref:ask("fail"))
    fails("no_handler", "not_sent", "", ref:ask("nothing"))
    fails("timeout", "unknown", "", ref:ask("slow", nil, { timeout = 0.2 }))
    eq(far == ref, true, "refs of two nodes to one actor")
    eq(tostring(far), tostring(ref))
  end)
end)

test("two nodes: a ref in a value works where it arrives, also back", function()
  with_two({}, {}, function(a, b)
    local near, far = assert(a:spawn(Counter, 1)), assert(b:spawn(Counter, 2))
    b:task(function() assert(far:register("ref.far")) end)
    local ref = shoal.assert(a:lookup("ref.far", { timeout = 10 }))
    eq(ref:ask("call", { to = near, name = "inc", value = { amount = 10 } }), 11)
    ok(rawequal(ref:ask("echo", near), near))
    ok(near:ask("call", { to = ref, name = "sender" }) == near, "the sender crosses nodes")
    ok(ref:ask("echo", far) == ref, "another node's ref in a value")
  end)
end)

test("two nodes: an actor not exported refuses; links and done across nodes", function()
  with_two({}, {}, function(a, b)
    local far = assert(b:spawn(Counter))
    b:task(function() assert(far:register("done.far")) end)
    local ref = shoal.assert(a:lookup("done.far", { timeout = 10 }))
    local Watch = shoal.actor("watch")
    function Watch:watch(r) self.cx:monitor(r); return true end
    function Watch:seen() return self.kind end
    function Watch:on_down(_, reason) self.kind = reason.kind; return shoal.RESUME end
    local w = assert(a:spawn(Watch))
    eq(w:ask("watch", ref), true)
    local reason
    a:task(function() reason = ref:done() end)
    shoal.sleep(0.05)
    far:kill()
    shoal.sleep(0.1)
    eq(reason and reason.kind, "killed")
    eq(w:ask("seen"), "killed")
    fails("not_running", "not_sent", "", ref:ask("echo", 1))
  end)
end)

test("events: listening, peer_up, peer_down", function()
  local seen = {}
  local function on_event(event, info) seen[event] = info end
  with_two({ on_event = on_event }, {}, function(a, b)
    shoal.sleep(0.05)
    eq(seen.listening.peer_id, a.peer_id)
    has(seen.listening.address, "/ip4/127.0.0.1/tcp/", "/p2p/" .. a.peer_id)
    eq(seen.peer_up.peer, b.peer_id)
    eq(a.addresses[1], seen.listening.address)
  end)
end)

test("dial gives the peer id; info tells rows", function()
  with_two({}, { admin = "all" }, function(a, b)
    eq(shoal.assert(a:dial(b.addresses[1])), b.peer_id)
    local ref = assert(a:spawn(Counter))
    eq(ref:register("info.name"), true)
    local actors = shoal.assert(a:info("actors"))
    eq(#actors, 1)
    ok(actors[1].ref == ref)
    eq(actors[1].id, "counter")
    eq(#shoal.assert(a:info("peers")), 1)
    ok(#shoal.assert(a:info("names")) >= 1)
    ok(shoal.assert(a:info("routing")))
    ok(shoal.assert(a:info("actors", { peer = b.peer_id })))
  end)
end)

test("a threaded node: the same script, its network on a thread", function()
  local lines = {}
  local function on_log(level, text) lines[#lines + 1] = level .. " " .. text end
  with_node({ threads = 1, listen = { "/ip4/127.0.0.1/tcp/0" }, log = "info", on_log = on_log }, function(node)
    local a = assert(node:spawn(Counter, 5))
    eq(a:register("threaded"), true)
    ok(node:lookup("threaded") == a)
    eq(a:ask("inc", { amount = 1 }), 6)
    shoal.sleep(0.05)
  end)
  has(table.concat(lines, "\n"), "info ", "listening")
end)

test("a threaded node and an inline one, driven side by side", function()
  t.with_two({ threads = 1 }, {}, function(a, b)
    local far = assert(b:spawn(Counter, 1))
    b:task(function() assert(far:register("side")) end)
    local ref = shoal.assert(a:lookup("side", { timeout = 10 }))
    eq(ref:ask("inc", { amount = 1 }), 2)
    local near = assert(a:spawn(Counter, 7))
    eq(ref:ask("call", { to = near, name = "inc", value = { amount = 1 } }), 8)
  end)
end)

test("a closed node is lost to the other", function()
  local a = assert(shoal.node{ log = "off", listen = { "/ip4/127.0.0.1/tcp/0" } })
  local b = assert(shoal.node{ log = "off", listen = { "/ip4/127.0.0.1/tcp/0" } })
  local far = assert(b:spawn(Counter))
  local reason, ready
  b:task(function() assert(far:register("lost")) end)
  a:task(function()
    shoal.assert(a:dial(b.addresses[1]))
    local ref = shoal.assert(a:lookup("lost", { timeout = 10 }))
    shoal.assert(ref:ask("echo", 1))
    ready = true
    reason = ref:done()
  end)
  local deadline = os.time() + 30
  while not ready and os.time() < deadline do a:poll(0, 0.001) b:poll(0, 0.001) end
  ok(ready, "not ready within 30 s")
  b:close()
  while not reason and os.time() < deadline do a:poll(0, 0.01) end
  eq(reason and reason.kind, "peer_lost")
  a:close()
end)

t.finish()

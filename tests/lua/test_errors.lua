-- Errors: each code that has a cause, with its delivery and a text that says what was wrong; misuse raises.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local A = shoal.actor("errors.a")
function A:boom() error("boom") end
function A:plain() error("plain", 0) end
function A:raise(v) error(v, 0) end
function A:object() error(setmetatable({ x = 1 }, { __tostring = function() return "an object" end, __name = "Oops" })) end
function A:index() local x; return x.y end
function A:unsendable() return print end
function A:ok() return "fine" end
function A:slow() shoal.sleep(0.3); return "late" end
function A:defer() self.promise = self.cx:defer() end
function A:stopself() self.cx:stop("had enough"); return "stopping" end
function A:self(name) return select("#", pcall(self.cx.ref.ask, self.cx.ref, name)) end
function A:selfask() local ok, message = pcall(function() return self.cx.ref:ask("ok") end); return { ok, tostring(message) } end
function A:pass(m) return shoal.assert(m.ref:ask(m.name)) end

test("handler: message, value, and the actor lives on", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    fails("handler", "handled", "boom", ref:ask("boom"))
    fails("handler", "handled", "test_errors.lua", ref:ask("boom"))
    eq(select(2, ref:ask("plain")), "plain")
    local value = fails("handler", "handled", "wrong thing", ref:ask("raise", { message = "wrong thing", n = 5 }))
    eq(value.n, 5)
    eq(fails("handler", "handled", "an object", ref:ask("object")).x, 1)
    fails("handler", "handled", "attempt to index", ref:ask("index"))
    fails("handler", "handled", "reply of handler 'unsendable' cannot be sent: value: a function", ref:ask("unsendable"))
    fails("handler", "handled", "5", ref:ask("raise", 5))
    eq(ref:ask("ok"), "fine")
  end)
end)

test("shoal.assert raises failures as a table, returns the rest", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    local ok_, e = pcall(function() return shoal.assert(ref:ask("raise", { message = "m", n = 1 })) end)
    eq(ok_, false)
    eq(e.message, "m")
    eq(e.code, "handler")
    eq(e.delivery, "handled")
    eq(e.value.n, 1)
    eq(tostring(e), "m")
    eq(shoal.assert(ref:ask("ok")), "fine")
    eq(select("#", shoal.assert()), 0)
    eq(select("#", shoal.assert(nil)), 1)
    eq(select("#", shoal.assert(nil, "text", "not a code", "not_sent")), 4)
    eq(shoal.assert(false, 2), false)
    -- through a second actor the table becomes the value of its handler error
    local second = assert(node:spawn(A))
    local value = fails("handler", "handled", "boom", second:ask("pass", { ref = ref, name = "boom" }))
    eq(value.code, "handler")
  end)
end)

test("timeout", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    fails("timeout", "unknown", "", ref:ask("defer", nil, { timeout = 0.05 }))
    fails("timeout", "unknown", "", ref:ask("slow", nil, { timeout = 0.05 }))
    -- the handler still sleeps: not begun, withdrawn
    fails("timeout", "not_sent", "", ref:ask("ok", nil, { timeout = 0.05 }))
  end)
end)

test("not_running, not_found", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    eq(assert(ref:stop()).kind, "normal")
    fails("not_running", "not_sent", "", ref:ask("ok"))
    fails("not_running", "not_sent", "", ref:tell("ok"))
    fails("not_found", "not_sent", "", node:lookup("nobody.here", { timeout = 0 }))
    local other = assert(node:spawn(A))
    fails("not_found", "not_sent", "", other:unregister("never"))
  end)
end)

test("bad_value of a name, no_handler, mailbox_full", function()
  with_node({ mailbox = 3 }, function(node)
    local ref = assert(node:spawn(A))
    fails("bad_value", "not_sent", "empty", ref:tell(""))
    fails("bad_value", "not_sent", "longer than 255", ref:ask(("n"):rep(256)))
    fails("bad_value", "not_sent", "UTF-8", ref:ask("\255"))
    fails("bad_value", "not_sent", ":meta:", ref:register("a:meta:b"))
    fails("bad_value", "not_sent", "is not a ref", node:ref("nonsense"))
    fails("no_handler", "not_sent", "", ref:ask("nope"))
    for _ = 1, 3 do eq(ref:tell("ok"), true) end
    fails("mailbox_full", "not_sent", "", ref:tell("ok"))
    eq(ref:ask("ok"), "fine")
    fails("bad_value", "not_sent", "", node:info("weather"))
  end)
end)

test("no_handler says what there is", function()
  local undelivered
  with_node({ on_event = function(event, info) if event == "undelivered" then undelivered = info end end }, function(node)
    local base = { inherited = print, zero = print, on_message_ = print }
    local B = setmetatable(shoal.actor("b"), { __index = base })
    B.two, B.one, B.zero, B._hidden, B.init, B.on_stop, B.field = print, print, print, print, function() end, function() end, 5
    local b = assert(node:spawn(B))
    local _, message = b:ask("Two")
    eq(message, "b has no handler 'Two'; it has: inherited, one, two, zero")
    b:tell("field")
    b:drain()
    shoal.sleep(0.01)
    eq(undelivered.text or undelivered.code, "b has no handler 'field'; it has: inherited, one, two, zero")
    eq(select(2, assert(node:spawn(shoal.actor("c"))):ask("x")), "c has no handler 'x'; it has: none")
    local D, names = shoal.actor("d"), {}
    for i = 99, 1, -1 do D[("h%02d"):format(i)] = print end
    for i = 1, 32 do names[i] = ("h%02d"):format(i) end
    eq(select(2, assert(node:spawn(D)):ask("x")), "d has no handler 'x'; it has: " .. table.concat(names, ", ") .. ", ...")
    local L = shoal.actor("l")
    for i = 1, 9 do L[i .. ("n"):rep(200)] = print end
    local _, long = assert(node:spawn(L)):ask("x")
    has(long, "it has: 1nnn", "nnn, 2nnn")
  end)
end)

test("a message that Lua cannot hold is bad_value to its sender", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    eq(ref:ask("ok", math.maxinteger), "fine")
    -- 2^64-1 cannot be made in Lua: tests/values sends it from the other languages
  end)
end)

test("name_taken", function()
  with_node({}, function(node)
    local a, b = assert(node:spawn(A)), assert(node:spawn(A))
    eq(a:register("taken"), true)
    fails("name_taken", "not_sent", "", b:register("taken"))
    eq(a:unregister("taken"), true)
    eq(b:register("taken"), true)
    ok(node:lookup("taken") == b)
  end)
end)

test("bad_address, unreachable, unsupported", function()
  fails("bad_address", "not_sent", "not a multiaddr", shoal.node{ listen = { "localhost:80" } })
  fails("bad_address", "not_sent", "", shoal.node{ listen = { "/ip4/192.0.2.1/tcp/0" }, log = "off" })
  fails("unsupported", "not_sent", "threads", shoal.node{ threads = 2 })
  fails("bad_value", "not_sent", "peer id", shoal.node{ allow = { "somebody" } })
  fails("refused", "not_sent", "key", shoal.node{ key = "/nonexistent/dir/key" })
  with_node({}, function(node)
    fails("bad_address", "not_sent", "", node:dial("here"))
    fails("unreachable", "not_sent", "", node:dial("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"))
  end)
end)

test("closed", function()
  local node = assert(shoal.node{ log = "off" })
  local ref = assert(node:spawn(A))
  local text = tostring(ref)
  node:close()
  fails("closed", "not_sent", "the node is closed", ref:tell("ok"))
  fails("closed", "not_sent", "the node is closed", node:spawn(A))
  fails("closed", "not_sent", "the node is closed", node:ref(text))
  fails("closed", "not_sent", "the node is closed", node:poll())
  fails("closed", "not_sent", "the node is closed", node:fd())
  fails("closed", "not_sent", "the node is closed", node:run(print))
  fails("closed", "not_sent", "the node is closed", ref:kill())
  eq(node:next_timeout(), nil)
  eq(#node.addresses, 0)
  eq(#node.peer_id > 40, true)
  eq(tostring(ref), text)
  node:close()
end)

test("limit", function()
  with_node({ max_actors = 2 }, function(node)
    assert(node:spawn(A))
    assert(node:spawn(A))
    fails("limit", "not_sent", "", node:spawn(A))
  end)
  with_node({ max_asks = 1 }, function(node)
    local ref = assert(node:spawn(A))
    node:task(function() ref:ask("slow") end)
    fails("limit", "not_sent", "", ref:ask("ok"))
  end)
end)

test("asking oneself is usage, at once", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    local got = ref:ask("selfask")
    eq(got[1], false)
    eq(ref:ask("ok"), "fine")
  end)
end)

test("options of a node: misuse names them", function()
  raises(function() shoal.node{ colour = "red" } end, "unknown option 'colour'", "test_errors.lua")
  raises(function() shoal.node{ listen = 5 } end, "'listen' must be a list of texts")
  raises(function() shoal.node{ listen = { 5 } } end, "item 1 is a number")
  raises(function() shoal.node{ threads = "many" } end, "'threads' must be a whole number")
  raises(function() shoal.node{ mailbox = -1 } end, "'mailbox'")
  raises(function() shoal.node{ ask_timeout = "5s" } end, "'ask_timeout' must be a number of seconds")
  raises(function() shoal.node{ ask_timeout = 0 } end, "above 0")
  raises(function() shoal.node{ log = "loud" } end, "'log' must be one of off, error")
  raises(function() shoal.node{ on_event = "print" } end, "'on_event' must be a function")
  raises(function() shoal.node(5) end, "options must be a table")
  for _, name in ipairs{ "mdns", "metrics", "swarm_key" } do
    raises(function() shoal.node{ [name] = true } end, "unknown option '" .. name .. "'")
  end
end)

test("misuse of calls is raised", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(A))
    raises(function() ref:ask() end, "string expected")
    raises(function() ref:ask("ok", nil, { time = 1 }) end, "ask: unknown option 'time'")
    raises(function() ref:ask("ok", nil, 5) end, "options must be a table")
    raises(function() ref:ask("ok", nil, { timeout = "1" }) end, "timeout must be a number of seconds")
    raises(function() ref:ask("ok", nil, { timeout = -1 }) end, "from 0")
    raises(function() ref:ask("o\0k") end, "NUL")
    raises(function() ref:tell("ok", 1, { timeout = 1 }) end, "tell takes")
    raises(function() ref.tell(node, "ok") end, "shoal.ref expected")
    raises(function() node:lookup("x", { follow = true }) end, "unknown option 'follow'")
    raises(function() node:task(5) end, "function expected")
    raises(function() shoal.sleep("1") end, "number expected")
    raises(function() shoal.sleep(-1) end, "from 0")
    raises(function() ref.id = 5 end, "attempt to index")
    raises(function() shoal.all(5) end, "list of functions")
    raises(function() shoal.all{ 5 } end, "item 1")
  end)
end)

test("what takes time raises where nothing can wait", function()
  local node = assert(shoal.node{ log = "off" })
  local ref = assert(node:spawn(A))
  raises(function() ref:ask("ok") end, "ask waits", "node:run or node:task")
  raises(function() ref:drain() end, "drain waits")
  raises(function() node:lookup("x") end, "lookup waits")
  raises(function() shoal.sleep(1) end, "shoal.sleep waits")
  raises(function() node:stop() end, "node:stop waits")
  raises(function() shoal.all{ print } end, "shoal.all waits")
  raises(function() node:run(5) end, "expected a function")
  node:run(function()
    local own = coroutine.wrap(function() return pcall(ref.ask, ref, "ok") end)
    local ok_, message = own()
    eq(ok_, false)
    has(message, "a coroutine of your own")
    raises(function() table.sort({ 3, 2, 1 }, function(a, b) ref:ask("ok") return a < b end) end, "inside table.sort")
    raises(function() node:poll() end, "node:poll inside")
    raises(function() node:run() end, "node:run inside")
    raises(function() node:close() end, "node:close inside")
    eq(ref:ask("ok"), "fine")
  end)
  node:close()
end)

test("run's function raises through run", function()
  local node = assert(shoal.node{ log = "off" })
  local e = { "an object" }
  eq(select(2, pcall(node.run, node, function() error(e) end)), e)
  raises(function() node:run(function() shoal.sleep(0.001) error("after a wait") end) end, "after a wait")
  eq(select("#", node:run(function() return nil, 2, nil end)), 3)
  node:close()
end)

test("events: actor_failed with the trace, undelivered, task_failed", function()
  local seen = {}
  local T = shoal.actor("tracer")
  local function deep() error("deep trouble") end
  function T:fail() deep() end
  with_node({ on_event = function(event, info) seen[event] = info end }, function(node)
    local ref = assert(node:spawn(T))
    eq(ref:tell("fail"), true)
    eq(ref:done().kind, "error")
    local a = assert(node:spawn(A))
    a:tell("nope", 1)
    a:drain()
    node:task(function() error("task trouble") end)
    shoal.sleep(0.02)
  end)
  has(seen.actor_failed.text, "deep trouble", "stack traceback", "test_errors.lua", "deep")
  eq(seen.actor_failed.name, "fail")
  eq(shoal.type(seen.actor_failed.ref), "ref")
  eq(seen.undelivered.name, "nope")
  eq(seen.undelivered.code, "no_handler")
  has(seen.task_failed.text, "task trouble", "stack traceback")
end)

test("on_log gets lines; on_event that fails is logged", function()
  local lines = {}
  with_node({
    log = "warn",
    on_log = function(level, text) lines[#lines + 1] = level .. " " .. text end,
    on_event = function() error("in on_event") end,
  }, function(node)
    local ref = assert(node:spawn(A))
    ref:tell("boom")
    ref:done()
    shoal.sleep(0.02)
  end)
  local all = table.concat(lines, "\n")
  has(all, "warn ", "boom", "stack traceback", "error on_event failed", "in on_event")
end)

test("log lines come in the order they were said", function()
  local lines, expected = {}, {}
  with_node({ log = "warn", on_log = function(_, text) lines[#lines + 1] = text:match("^[^\n]*said (%d+)") end }, function(node)
    for i = 1, 20 do
      node:task(function() error("said " .. i, 0) end)
      expected[i] = i
    end
    shoal.sleep(0.01)
  end)
  eq(table.concat(lines, " "), table.concat(expected, " "))
end)

test("log lines of the node's own thread arrive", function()
  local lines = {}
  with_node({ threads = 1, log = "debug", listen = "/ip4/127.0.0.1/tcp/0", on_log = function(level, text)
    eq(type(text), "string")
    lines[#lines + 1] = level
  end }, function(node)
    node:dial("/ip4/127.0.0.1/tcp/1")
    node:dial("/ip4/127.0.0.1/tcp/1")
    shoal.sleep(0.01)
  end)
  ok(#lines > 0, "no line")
end)

t.finish()

-- Actors: classes, init, handlers, on_message, inheritance, spawn options, children, 10,000 of them.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local Counter = shoal.actor("counter")
function Counter:init(start) self.n = start or 0 end
function Counter:inc(m) self.n = self.n + m.amount; return self.n end
function Counter:get() return self.n end
function Counter:_secret() return "secret" end
function Counter.on_missing() return "hook" end

test("init, handlers, state", function()
  with_node({}, function(node)
    local a, b = assert(node:spawn(Counter, 10)), assert(node:spawn(Counter))
    eq(a:ask("inc", { amount = 5 }), 15)
    eq(a:ask("inc", { amount = -1 }), 14)
    eq(b:ask("get"), 0)
    eq(a:tell("inc", { amount = 1 }), true)
    eq(a:drain(), true)
    eq(a:ask("get"), 15)
  end)
end)

test("init's argument is given by reference", function()
  with_node({}, function(node)
    local Keeper = shoal.actor("keeper")
    local shared = { fn = function() return "called" end }
    function Keeper:init(arg) self.arg = arg end
    function Keeper:same() return rawequal(self.arg, shared) and self.arg.fn() end
    eq(assert(node:spawn(Keeper, shared)):ask("same"), "called")
  end)
end)

test("names that are not handlers", function()
  with_node({}, function(node)
    local ref = assert(node:spawn(Counter))
    for _, name in ipairs{ "init", "_secret", "on_missing", "cx", "upgrade", "on_stop", "nothing", "n" } do
      fails("no_handler", "not_sent", "counter has no handler '" .. name .. "'; it has: ", ref:ask(name, 1))
    end
    eq(ref:ask("get"), 0)
  end)
end)

test("on_message takes what no handler takes", function()
  with_node({}, function(node)
    local Any = shoal.actor("any")
    function Any:known() return "known" end
    function Any:on_message(name, value) return { name = name, value = value } end
    local ref = assert(node:spawn(Any))
    eq(ref:ask("known"), "known")
    local got = ref:ask("whatever", { 1, 2 })
    eq(got.name, "whatever")
    eq(#got.value, 2)
    eq(ref:ask("init", 1).name, "init")
  end)
end)

test("methods may be added and inherited later", function()
  with_node({}, function(node)
    local Base = { hello = function() return "from base" end }
    local Late = setmetatable(shoal.actor("late"), { __index = Base })
    local ref = assert(node:spawn(Late))
    eq(ref:ask("hello"), "from base")
    function Late.added() return "added" end
    eq(ref:ask("added"), "added")
  end)
end)

test("a failing init is spawn's failure", function()
  with_node({}, function(node)
    local Bad = shoal.actor("bad")
    function Bad:init(arg) error(arg) end
    fails("handler", "handled", "no room", node:spawn(Bad, "no room"))
    fails("handler", "handled", "test_actors.lua", node:spawn(Bad, "x"))
    fails("handler", "handled", "custom", node:spawn(Bad, { message = "custom" }))
    eq(#node:info("actors"), 0)
  end)
end)

test("an init that waits", function()
  with_node({}, function(node)
    local counter = assert(node:spawn(Counter, 7))
    local Slow = shoal.actor("slow")
    function Slow:init(fail)
      shoal.sleep(0.01)
      self.got = counter:ask("get")
      if fail then error("late failure") end
    end
    function Slow:get() return self.got end
    local ref = assert(node:spawn(Slow))
    eq(ref:ask("get"), 7)
    fails("handler", "handled", "late failure", node:spawn(Slow, true))
    eq(#node:info("actors"), 2)
  end)
end)

test("children stop with their parent", function()
  with_node({}, function(node)
    local Child = shoal.actor("child")
    function Child:ping() return "pong" end
    local Parent = shoal.actor("parent")
    function Parent:make() self.child = assert(self.cx:spawn(Child)); return self.child end
    local parent = assert(node:spawn(Parent))
    local child = parent:ask("make")
    eq(child:ask("ping"), "pong")
    eq(assert(parent:stop()).kind, "normal")
    local reason = child:done()
    ok(reason.kind == "normal" or reason.kind == "gone", reason.kind)
  end)
end)

test("mailbox limits of type and spawn", function()
  with_node({}, function(node)
    local Small = shoal.actor("small", { mailbox = 2 })
    function Small:work() end
    local function room(ref)
      local n = 0
      while n < 5000 and ref:tell("work") do n = n + 1 end
      return n
    end
    eq(room(assert(node:spawn(Small))), 2)
    eq(room(assert(node:spawn(Small, nil, { mailbox = 5 }))), 5)
    eq(room(assert(node:spawn(Counter, nil, {}))), 1024)
    eq(room(assert(node:spawn(Small, nil, { mailbox = 0 }))), 5000)
    fails("mailbox_full", "not_sent", "", (function()
      local ref = assert(node:spawn(Small))
      ref:tell("work"); ref:tell("work")
      return ref:tell("work")
    end)())
  end)
end)

test("a reentrant actor takes messages while it waits; others do not", function()
  with_node({}, function(node)
    local function class(id, options)
      local C = shoal.actor(id, options)
      function C:slow() self.cx:after(0.02, "wake"); shoal.sleep(0.05); return self.cx.name .. (self.seen or " nothing") end
      function C:wake() self.seen = " " .. self.cx.name end
      return assert(node:spawn(C))
    end
    eq(class("re", { reentrant = true }):ask("slow"), "slow wake")
    eq(class("plain"):ask("slow"), "slow nothing")
  end)
end)

test("misuse is raised with what was wrong", function()
  raises(function() shoal.actor() end, "string expected")
  raises(function() shoal.actor("") end, "1..255 bytes")
  raises(function() shoal.actor(("x"):rep(256)) end, "1..255 bytes")
  raises(function() shoal.actor("a", { colour = 1 }) end, "unknown option 'colour'")
  raises(function() shoal.actor("a", 5) end, "options must be a table")
  raises(function() shoal.actor("a", { mailbox = -1 }) end, "mailbox")
  with_node({}, function(node)
    raises(function() node:spawn({}) end, "class made by shoal.actor")
    raises(function() node:spawn("counter") end, "class made by shoal.actor")
    raises(function() node:spawn(Counter, 1, { nice = 2 }) end, "spawn: unknown option 'nice'")
    raises(function() node:spawn(Counter, 1, { link = true }) end, "link must be a ref")
    raises(function() node:spawn(Counter, 1, { mailbox = "big" }) end, "mailbox")
  end)
end)

test("10,000 actors", function()
  with_node({}, function(node)
    local refs = {}
    for i = 1, 10000 do refs[i] = assert(node:spawn(Counter, i)) end
    for i = 1, 10000 do assert(refs[i]:tell("inc", { amount = 1 })) end
    local sum = 0
    for i = 1, 10000, 97 do sum = sum + refs[i]:ask("get") - i end
    eq(sum, #table.pack(table.unpack(refs, 1, 104)))
    for i = 1, 10000 do refs[i]:kill() end
    eq(refs[10000]:done().kind ~= nil, true)
    eq(#node:info("actors"), 0)
  end)
end)

t.finish()

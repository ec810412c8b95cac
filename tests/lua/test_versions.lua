-- Versions: what every Lua must do with the module, in the words that all of them have. The other files are for 5.4 and LuaJIT.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, fails, with_node = t.test, t.eq, t.ok, t.has, t.fails, t.with_node
local integers = math.type ~= nil
local jit = rawget(_G, "jit") -- luacheck: ignore

local A = shoal.actor("versions")
function A:init(from) self.n = from or 0 end
function A:inc(m) self.n = self.n + m.amount end
function A:get() return self.n end
function A:echo(v) return v end
function A:sleep() shoal.sleep(0.001) return "slept", "dropped" end
function A:relay(to) return to:ask("get") end
function A:fail() error("on purpose") end
function A:on_error() return shoal.RESUME end

test("tell, ask, waiting, failing", function()
  with_node({}, function(node)
    local a, b = assert(node:spawn(A)), assert(node:spawn(A, 40))
    for _ = 1, 100 do ok(a:tell("inc", { amount = 2 })) end
    eq(a:ask("get"), 200)
    eq(b:ask("sleep"), "slept")
    eq(a:ask("relay", b), 40)
    fails("handler", "handled", "on purpose", a:ask("fail"))
    eq(a:ask("get"), 200)
    fails("no_handler", "not_sent", "has no handler 'nope'; it has: echo, fail, get, inc, relay, sleep", a:ask("nope"))
    local all = shoal.all{ function() return a:ask("get") end, function() return b:ask("sleep") end }
    eq(all[1], 200)
    eq(all[2], "slept")
    eq(all.n, 2)
    local refs = node:lookup_all("nobody", { timeout = 0 }) -- on 5.1 a for loop cannot wait
    eq(refs:next(), nil)
    eq(a:stop().kind, "normal")
  end)
end)

test("values", function()
  with_node({}, function(node)
    local a = assert(node:spawn(A))
    for _, v in ipairs{ true, false, 0, -1, 127, 65536, 2 ^ 40, -2 ^ 53, 0.5, "text", 1e300 } do eq(a:ask("echo", v), v) end
    local zero = -1 / (1 / 0) -- 5.1 takes the constant -0.0 for 0
    eq(1 / a:ask("echo", zero), -1 / 0)
    local back = a:ask("echo", { 1, { x = shoal.null, y = shoal.bytes("\0\255") }, shoal.list{} })
    eq(back[1], 1)
    eq(back[2].x, shoal.null)
    eq(tostring(back[2].y), "\0\255")
    eq(shoal.type(back[3]), "list")
    fails("bad_value", "not_sent", "value[2]: a list with a hole", a:tell("echo", { 1, nil, 3 }))
  end)
end)

test("whole numbers", function()
  eq(shoal.type(1), "integer")
  eq(shoal.type(0.5), "float")
  eq(shoal.type(2 ^ 60), "float") -- 5.3 and later: of the kind float; before: more than is exact
  eq(shoal.type(2 ^ 53), integers and "float" or "integer")
  eq(shoal.type(-1 / (1 / 0)), "float")
end)

test("whole numbers that are not exact", function()
  t.with_two(nil, nil, function(a, b)
    local ref = assert(b:spawn(A))
    shoal.assert(ref:register("far"))
    local far = shoal.assert(a:lookup("far"))
    eq(far:ask("echo", 2 ^ 53), 2 ^ 53)
    if integers then
      eq(far:ask("echo", math.maxinteger), math.maxinteger)
    else
      eq(far:ask("echo", 2 ^ 60), 2 ^ 60) -- goes as a float
    end
  end)
end)

-- A node of 5.4, whose integers have 64 bits, in a process of its own: it prints its address, and ends when it is told to.
local far_node = [[
local shoal = require "shoal"
local values = { exact = 1 << 53, over = (1 << 53) + 1, under = -(1 << 53) - 1, most = math.maxinteger, least = math.mininteger }
local B = shoal.actor("big")
function B:give(m)
  local value = values[m.which]
  if m.inside then return { list = { value } } end
  return m.key and { [value] = true } or value
end
function B:send(m)
  local value, text, code, delivery = m.to:ask("echo", values[m.which])
  return { same = value == values[m.which], text = text, code = code, delivery = delivery }
end
function B:kind(v) return math.type(v) .. (" %.0f"):format(v) end
function B:quit() self.cx.node:stop{ timeout = 1 } end
local node = assert(shoal.node{ log = "off", listen = { "/ip4/127.0.0.1/tcp/0" } })
local ref = assert(node:spawn(B))
node:task(function()
  shoal.assert(ref:register("big"))
  print(node.addresses[1])
  io.stdout:flush()
end)
node:run()
]]

-- Runs fn(node, far): far is that node's actor. False: it did not start.
local function with_far(fn)
  local build, script = os.getenv("SHOAL_BUILD_DIR"), os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(far_node)
  file:close()
  local pipe = assert(io.popen(("LUA_CPATH='%s/lua/?.so' timeout 30 lua5.4 %s 2>/dev/null"):format(build or ".", script)))
  local address = pipe:read("*l")
  if address then
    with_node({}, function(node)
      shoal.assert(node:dial(address))
      local far = shoal.assert(node:lookup("big"))
      fn(node, far)
      far:tell("quit")
      far:done()
    end)
  end
  pipe:close()
  os.remove(script)
  return address ~= nil
end

test("integers beyond 2^53 are not rounded: they arrive whole, or are refused", function()
  local there = with_far(function(node, far)
    local here_ref = assert(node:spawn(A))
    eq(far:ask("give", { which = "exact" }), 2 ^ 53)
    ok(far:ask("send", { which = "exact", to = here_ref }).same)
    for _, which in ipairs{ "over", "under", "most", "least" } do
      local sent = far:ask("send", { which = which, to = here_ref })
      if integers then
        ok(sent.same, which)
        eq(math.type(far:ask("give", { which = which })), "integer")
      else
        local what = "more than this Lua's numbers hold exactly (2^53)"
        eq(sent.code, "bad_value", which)
        eq(sent.delivery, "not_sent", which)
        has(sent.text, what)
        fails("bad_value", "handled", what, far:ask("give", { which = which }))
        fails("bad_value", "handled", what, far:ask("give", { which = which, inside = true }))
        fails("bad_value", "handled", "a key is neither text nor an integer that Lua can hold", far:ask("give", { which = which, key = true }))
      end
    end
    eq(far:ask("give", { which = "exact" }), 2 ^ 53) -- and all goes on after it
  end)
  ok(there, "no lua5.4 with its module: every build has one")
end)

test("whole numbers beyond 2^53 go as floats", function()
  local there = with_far(function(_, far)
    eq(far:ask("kind", 2 ^ 53), integers and "float 9007199254740992" or "integer 9007199254740992")
    eq(far:ask("kind", -2 ^ 53), integers and "float -9007199254740992" or "integer -9007199254740992")
    eq(far:ask("kind", 2 ^ 53 + 2), "float 9007199254740994")
    eq(far:ask("kind", -2 ^ 60), "float -1152921504606846976")
    if jit then
      local wide = loadstring("return 9007199254740993LL")() -- LuaJIT's own 64 bits: no number of Lua's
      fails("bad_value", "not_sent", "a cdata cannot be sent", far:ask("kind", wide))
    end
  end)
  ok(there, "no lua5.4 with its module: every build has one")
end)

test("a wait inside pcall, an iterator, a metamethod", function()
  with_node({}, function(node)
    local a = assert(node:spawn(A, 7))
    local may = jit or integers or _VERSION == "Lua 5.2"
    local fine, got = pcall(function() return a:ask("get") end)
    eq(fine, may and true or false)
    if may then eq(got, 7) else has(got, "cannot inside") end
    local proxy = setmetatable({}, { __index = function() return a:ask("get") end })
    if may then
      eq(proxy.n, 7)
    else
      fine, got = pcall(function() return proxy.n end)
      eq(fine, false)
    end
    fine, got = pcall(table.sort, { 3, 2, 1 }, function(x, y) return a:ask("get") and x < y end)
    eq(fine, false)
    ok(got:find("cannot inside", 1, true) or got:find("attempt to yield", 1, true), got)
  end)
  local node = assert(shoal.node{ log = "off" })
  eq(node:run(function() return node:spawn(A, 9):ask("get") end), 9) -- and all goes on after it
  node:close()
end)

test("between two nodes", function()
  t.with_two(nil, nil, function(a, b)
    local ref = assert(b:spawn(A, 3))
    shoal.assert(ref:register("three"))
    local far = shoal.assert(a:lookup("three"))
    eq(far:ask("get"), 3)
    ok(far:tell("inc", { amount = 4 }))
    eq(far:ask("get"), 7)
    eq(far:ask("echo", { list = { 1, 2, { "x" } } }).list[3][1], "x")
  end)
end)

test("memory is given back", function()
  with_node({}, function(node)
    t.given_back(150, 200, function()
      local a = assert(node:spawn(A))
      a:ask("echo", { ("x"):rep(500) })
      a:kill()
      a:done()
    end)
  end)
end)

t.finish()

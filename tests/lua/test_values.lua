-- Values: what goes through an actor and back is the same value; what does not fit is told with its path.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local Echo = shoal.actor("echo")
function Echo:echo(v) self.last = v; return v end
function Echo:is(m) return shoal.type(m) end
function Echo:isnil(m) return m == nil end

local function echo(node)
  local ref = assert(node:spawn(Echo))
  return function(v) return ref:ask("echo", v) end, ref
end

local function same(a, b)
  if shoal.type(a) ~= shoal.type(b) then return false end
  if type(a) ~= "table" then return a == b or (a ~= a and b ~= b) end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

test("round trips keep kind and value", function()
  with_node({}, function(node)
    local e = echo(node)
    local values = {
      true, false, 0, -1, 127, 128, 255, 256, 65535, 65536, 2^53 // 1 | 0, (1 << 53) + 1, math.maxinteger, math.mininteger,
      1.0, 0.5, -2.25, 1e300, math.huge, -math.huge, "", "text", "nul\0inside", "h\u{e9}llo \u{1F420}", ("x"):rep(70000),
      shoal.bytes(""), shoal.bytes("\0\255\128"), shoal.bytes(("y"):rep(300)),
      { 1, 2, 3 }, { "a", { "b", { "c" } } }, { a = 1, b = { c = 2 } }, {}, shoal.list{}, shoal.map{ [1] = "one" },
      { 1, shoal.null, 3 }, { x = shoal.null }, { [10] = "ten", [20] = "twenty" }, { [-1] = "m" }, { 1, 2, x = 3 },
    }
    for i, v in ipairs(values) do
      local back = e(v)
      ok(same(v, back), ("value %d: %s became %s"):format(i, tostring(v), tostring(back)))
      if math.type(v) then eq(math.type(back), math.type(v), "value " .. i) end
    end
  end)
end)

test("floats: NaN, -0.0, 1.0 stay floats", function()
  with_node({}, function(node)
    local e = echo(node)
    local nan = e(0 / 0)
    ok(nan ~= nan)
    eq(1 / e(-0.0), -math.huge)
    eq(math.type(e(1.0)), "float")
    eq(math.type(e(1)), "integer")
    eq(e((1 << 53) + 1), (1 << 53) + 1)
  end)
end)

test("nil, null and false", function()
  with_node({}, function(node)
    local e, ref = echo(node)
    eq(select("#", e(nil)), 1)
    eq(e(nil), nil)
    eq(e(shoal.null), nil)
    eq(e(false), false)
    eq(ref:ask("isnil"), true)
    local list = e{ shoal.null }
    ok(list[1] == shoal.null)
    eq(#list, 1)
    eq(tostring(shoal.null), "shoal.null")
  end)
end)

test("what was received is sent on as it was", function()
  with_node({}, function(node)
    local e = echo(node)
    eq(shoal.type(e(e(shoal.list{}))), "list")
    eq(shoal.type(e(e{})), "map")
    eq(shoal.type(e(e(shoal.map{ "a", "b" }))), "map")
    eq(shoal.type(e(e{ [3] = "x" })), "map")
    local nested = e(e{ inner = shoal.list{}, other = shoal.map{ [1] = shoal.map{} } })
    eq(shoal.type(nested.inner), "list")
    eq(shoal.type(nested.other), "map")
    eq(nested.other[1] and shoal.type(nested.other[1]), "map")
  end)
end)

test("bytes", function()
  local b = shoal.bytes("hello")
  eq(#b, 5)
  eq(tostring(b), "hello")
  ok(b == shoal.bytes("hello"))
  ok(b ~= shoal.bytes("hellO"))
  ok(b ~= "hello")
  eq(tostring(b:sub(2, 3)), "el")
  eq(tostring(b:sub(-3)), "llo")
  eq(tostring(b:sub(-3, -2)), "ll")
  eq(tostring(b:sub(4, 99)), "lo")
  eq(tostring(b:sub(0)), "hello")
  eq(#b:sub(4, 2), 0)
  eq(#b:sub(9), 0)
  eq(#b:sub(-99, -98), 0)
  raises(function() shoal.bytes({}) end, "string expected")
end)

test("refs travel", function()
  with_node({}, function(node)
    local e, ref = echo(node)
    local back = e{ who = ref }
    ok(back.who == ref)
    ok(rawequal(back.who, ref))
    eq(shoal.type(back.who), "ref")
  end)
end)

test("shoal.type names the kinds", function()
  for _, case in ipairs{
    { "bool", true }, { "integer", 1 }, { "float", 1.0 }, { "text", "x" }, { "bytes", shoal.bytes("") },
    { "list", { 1 } }, { "list", shoal.list{} }, { "map", {} }, { "map", shoal.map{ 1 } }, { "map", { a = 1 } },
    { "nil", shoal.null },
  } do
    eq(shoal.type(case[2]), case[1])
  end
  eq(shoal.type(nil), "nil")
  eq(shoal.type(print), nil)
  eq(shoal.type({ 1, nil, 3 }), nil)
  raises(function() shoal.type() end, "value expected")
end)

local deep32, deep33 = {}, {}
for _ = 1, 31 do deep32 = { deep32 } end
for _ = 1, 32 do deep33 = { deep33 } end
local loop = {}
loop.loop = loop

test("what does not fit is bad_value at the call, with its path", function()
  with_node({ max_message = 2048 }, function(node)
    local e, ref = echo(node)
    local cases = {
      { print, "value: a function cannot be sent" },
      { { items = { 1, 2, print } }, "value.items[3]: a function" },
      { { items = { 1, nil, 3 } }, "value.items[2]: a list with a hole" },
      { { 1, nil, 3 }, "value[2]: a list with a hole" },
      { shoal.list{ 1, nil, 3 }, "value[2]: a list with a hole" },
      { shoal.list{ x = 1 }, "a list with a hole" },
      { { ["odd key"] = io.stdout }, "value[\"odd key\"]: a userdata" },
      { { [1.5] = 1 }, "keys are text or integers" },
      { { [true] = 1 }, "a key is a boolean" },
      { { a = { [10] = coroutine.create(print) } }, "value.a[10]: a thread" },
      { "\255", "value: text must be UTF-8" },
      { { a = "\xC0\x80" }, "value.a: text must be UTF-8" },
      { { a = "\xED\xA0\x80" }, "value.a: text must be UTF-8" },
      { { ["\255"] = 1 }, "not UTF-8" },
      { deep33, "more than 32" },
      { loop, "value.loop.loop" },
      { ("x"):rep(3000), "max_message is 2048" },
      { node, "value: a userdata" },
    }
    for i, case in ipairs(cases) do
      fails("bad_value", "not_sent", case[2], e(case[1]))
      fails("bad_value", "not_sent", case[2], ref:tell("echo", case[1]))
      ok(i)
    end
    ok(e(deep32))
    eq(e("still alive"), "still alive")
  end)
end)

test("a Lua object with a metatable is its raw fields", function()
  with_node({}, function(node)
    local e = echo(node)
    local object = setmetatable({ x = 1 }, { __index = { y = 2 }, __pairs = error })
    local back = e(object)
    eq(back.x, 1)
    eq(back.y, nil)
    eq(getmetatable(back), nil)
  end)
end)

test("lists and maps are marked in place", function()
  local list = {}
  ok(rawequal(shoal.list(list), list))
  eq(shoal.type(list), "list")
  eq(shoal.type(shoal.list()), "list")
  eq(shoal.type(shoal.map()), "map")
  raises(function() shoal.list(5) end, "table expected")
end)

t.finish()

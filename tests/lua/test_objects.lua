-- Objects: a value between actors of one VM is what packing and unpacking would make of it, and nothing is left over.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local core = require "shoal.core"
local t = require "t"
local test, eq, ok, has, fails, with_node = t.test, t.eq, t.ok, t.has, t.fails, t.with_node

local SEED = tonumber(os.getenv("SHOAL_TEST_SEED") or 1)
local ROUNDS = 20000

-- Equal in kind, contents and marks.
local function same(a, b)
  if type(a) ~= type(b) or shoal.type(a) ~= shoal.type(b) then return false end
  if type(a) ~= "table" then return a == b and 1 / (a == 0 and a or 1) == 1 / (b == 0 and b or 1) or a ~= a and b ~= b end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

-- No table is shared.
local function apart(a, b)
  if type(a) ~= "table" then return true end
  if rawequal(a, b) then return false end
  for k, v in pairs(a) do if not apart(v, b[k]) then return false end end
  return true
end

local texts = { "", "a", "amount", ("x"):rep(31), ("x"):rep(32), ("y"):rep(255), ("y"):rep(256), ("z"):rep(70000), "\195\169",
  "\240\159\144\160", "nul\0in", "\255", "\192\128", "\237\160\128", "\244\144\128\128", "\226\130", "12345678\195\169", "\224\159\191" }
local numbers = { 0, 1, -1, 31, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2147483647, 2147483648, 4294967295, 4294967296,
  -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, 2 ^ 53, 0.5, -0.0, 1e300, 1 / 0, -1 / 0, 0 / 0 }
if math.maxinteger then
  for i = 1, 25 do numbers[i] = math.tointeger(numbers[i]) end
  numbers[#numbers + 1], numbers[#numbers + 2] = math.maxinteger, math.mininteger
end

local function generator(refs)
  local one
  local function pick(list) return list[math.random(#list)] end
  local function key() return math.random(4) == 1 and pick(numbers) or pick(texts) end
  local function container(depth)
    local v, n = {}, math.random(0, 5)
    local kind = math.random(6)
    for i = 1, n do
      local k = kind <= 2 and i or kind == 3 and i * 3 or key()
      if k == k then v[k] = one(depth + 1) end
    end
    if kind == 6 and math.random(2) == 1 then v[{}] = 1 end
    local mark = math.random(8)
    return mark == 1 and shoal.list(v) or mark == 2 and shoal.map(v) or mark == 3 and setmetatable(v, { __index = print }) or v
  end
  function one(depth)
    local kind = math.random(12)
    if kind <= 5 and depth < 5 then return container(depth) end
    if kind <= 7 then return pick(texts) end
    if kind <= 9 then return pick(numbers) end
    if kind == 10 then return math.random(2) == 1 end
    if kind == 11 then return math.random(2) == 1 and shoal.null or pick(refs) end
    local other = math.random(40)
    return other == 1 and print or other == 2 and coroutine.create(function() end) or shoal.bytes(pick(texts))
  end
  return one
end

test("a copy is what unpacking makes of packing: " .. ROUNDS .. " values, seed " .. SEED, function()
  math.randomseed(SEED)
  with_node({ max_message = 150000 }, function(node)
    local A = shoal.actor("a")
    local one = generator{ assert(node:spawn(A)), assert(node:spawn(A)) }
    local known, refused = 0, 0
    for i = 1, ROUNDS do
      local v = one(0)
      local size, copy = core.copied(node, v)
      local can, packed, bytes = core.packed(node, v)
      if size then
        known = known + 1
        local what = "value " .. i .. ": "
        ok(can, what .. "the copy was made, but packing says " .. tostring(packed))
        eq(size, bytes, what .. "size")
        ok(v == shoal.null or same(copy, packed), what .. "the copy differs")
        ok(apart(copy, v), what .. "a table is shared")
      elseif not can then
        refused = refused + 1
      end
    end
    ok(known > ROUNDS / 2, "too few were copied: " .. known)
    ok(refused > ROUNDS / 100, "too few were refused: " .. refused)
  end)
end)

test("the size limit is the one of packing, to the byte", function()
  with_node({ max_message = 2000 }, function(node)
    for _, make in ipairs{
      function(n) return { text = ("x"):rep(n) } end,
      function(n) return { ("x"):rep(n), 1, -200, 70000, 2 ^ 40, 0.5, true, shoal.null, shoal.bytes("abc") } end,
      function(n) return { [5] = ("x"):rep(n), [-1] = { a = {}, b = shoal.list{}, node_ref = shoal.bytes(("y"):rep(300)) } } end,
    } do
      local edge
      for n = 1500, 2000 do
        local can, why = core.packed(node, make(n))
        local short = core.copied(node, make(n))
        eq(short ~= nil, can, "at " .. n)
        edge = edge or not can and why
      end
      has(edge, "2001 bytes, but max_message is 2000")
    end
  end)
end)

-- Mostly a few texts and numbers under texts, as messages are.
local function few_fields(refs)
  local v = {}
  for _ = 1, math.random(4) == 1 and math.random(0, 9) or 2 do
    local key = math.random(30)
    local other = math.random(60)
    v[key == 1 and 7 or key == 2 and texts[math.random(#texts)] or ("field"):rep(math.random(2)) .. math.random(3)] =
      other == 1 and { "inside" } or other == 2 and shoal.null or other == 3 and refs[1] or other == 4 and print
      or other < 30 and numbers[math.random(#numbers)] or other < 40 and other % 2 == 0 or texts[math.random(#texts)]
  end
  local mark = math.random(30)
  return mark == 1 and shoal.list(v) or mark == 2 and shoal.map(v) or mark == 3 and setmetatable(v, { __index = print }) or v
end

test("one shape after another under one name: what arrives is what unpacking makes, seed " .. SEED, function()
  math.randomseed(SEED)
  with_node({ max_message = 80000 }, function(node)
    local A, got = shoal.actor("a"), nil
    function A:take(v) got = v end
    function A:sync() end
    local ref = assert(node:spawn(A))
    local refused = 0
    for i = 1, 3000 do
      local v, what = few_fields{ ref }, "message " .. i
      local can, packed = core.packed(node, v)
      got = nil
      local told, why = ref:tell("take", v)
      eq(told or false, can, what)
      ref:ask("sync")
      if can then
        ok(same(got, packed) and apart(got, v), what .. " differs")
        if next(v) then v[next(v)] = "later" end
        ok(same(got, packed), what .. " is shared")
      else
        eq(why, packed, what)
        refused = refused + 1
      end
    end
    ok(refused > 100 and refused < 1500, "refused: " .. refused)
  end)
end)

test("the size limit of a few fields is the one of packing, to the byte", function()
  with_node({ max_message = 2000 }, function(node)
    local A, got = shoal.actor("a"), 0
    function A:take(v) got = #v.text end
    function A:sync() end
    local ref = assert(node:spawn(A))
    for n = 1900, 2000 do
      ref:tell("take", { text = "short", number = 1 })
      local v = { text = ("x"):rep(n), number = n }
      eq(ref:tell("take", v) or false, (core.packed(node, v)), "at " .. n)
      ref:ask("sync")
      eq(got == n, (core.packed(node, v)))
    end
  end)
end)

test("a message sent while another is copied: by a finalizer", function()
  with_node({}, function(node)
    local A, sent, got, value = shoal.actor("a"), 0, 0, { n = 1 }
    function A:take() got = got + 1 end
    function A:sync() end
    local ref = assert(node:spawn(A))
    local function tell()
      sent = sent + 1
      ok(ref:tell("take", value))
    end
    tell()
    for i = 1, 200 do
      collectgarbage("stop")
      setmetatable({}, { __gc = i % 9 > 0 and tell or nil }) -- 5.1 has no such finalizers
      collectgarbage("restart") -- the next memory that is taken is the copy's: it collects
      tell()
    end
    collectgarbage()
    ref:ask("sync")
    eq(got, sent)
  end)
end)

local function deep(levels)
  local v = {}
  for _ = 1, levels - 1 do v = { v } end
  return v
end

test("too deep, round in circles, with holes: as packing says it", function()
  local loop = {}
  loop.again = loop
  with_node({}, function(node)
    local E = shoal.actor("echo")
    function E:echo(v) return v end
    local ref = assert(node:spawn(E))
    ok(ref:ask("echo", deep(32)))
    fails("bad_value", "not_sent", "inside each other", ref:ask("echo", deep(33)))
    fails("bad_value", "not_sent", "inside each other", ref:tell("echo", loop))
    fails("bad_value", "not_sent", "value[2]: a list with a hole", ref:tell("echo", { 1, nil, 3 }))
    fails("bad_value", "not_sent", "value.f: a function cannot be sent", ref:tell("echo", { f = print }))
    fails("bad_value", "not_sent", "UTF-8", ref:tell("echo", "\255"))
  end)
end)

test("what was sent is the receiver's own", function()
  with_node({}, function(node)
    local got, kept = nil, { list = { 1, 2 } }
    local K = shoal.actor("keeps")
    function K:take(v) got = v; v.list[1] = "changed" end
    function K:give() return kept end
    local ref = assert(node:spawn(K))
    local sent = { list = { 1, 2 } }
    ref:tell("take", sent)
    sent.list[2] = "later"
    local answer = ref:ask("give") -- handled after it
    eq(sent.list[1], 1)
    eq(got.list[2], 2)
    answer.list[1] = "changed"
    eq(kept.list[1], 1)
  end)
end)

-- References and values that are still there once everything has ended.
local function nothing_left(node, before)
  local _, values = core.kept(node)
  eq(values, 0, "values on their way")
  ok(core.kept(node) <= before, ("%d references became %d"):format(before, (core.kept(node))))
end

local L = shoal.actor("leaves", { mailbox = 64 })
function L:work(v) self.v = v; return v end
function L:slow(v) shoal.sleep(0.05); return v end
function L:never() self.cx:defer() end
function L:fail() error("on purpose") end

test("nothing is left over: handled, failed, unknown, mailbox full, killed, timed out", function()
  local node = assert(shoal.node{ log = "off" })
  local function round()
    node:run(function()
      local a = assert(node:spawn(L))
      for i = 1, 60 do a:tell("work", { i, text = "t" .. i }) end
      eq(a:ask("work", { "last" })[1], "last")
      for _ = 1, 5 do a:tell("nope", { 1 }) end
      for _ = 1, 3 do a:ask("fail", { 1 }) end
      a = assert(node:spawn(L))
      for i = 1, 100 do a:tell("slow", { i }) end
      fails("mailbox_full", "not_sent", "", a:tell("slow", { 1 }))
      shoal.sleep(0.01)
      a:kill()
      a:done()
      fails("not_running", "not_sent", "", a:tell("work", { 1 }))
      local b = assert(node:spawn(L))
      fails("timeout", "unknown", "", b:ask("never", { "x" }, { timeout = 0.01 }))
      fails("timeout", "unknown", "", b:ask("slow", { "late" }, { timeout = 0.01 }))
      fails("timeout", "not_sent", "", b:ask("work", { "waits behind" }, { timeout = 0.001 }))
      shoal.sleep(0.08)
      b:stop()
    end)
    node:poll(0.01)
  end
  round()
  collectgarbage()
  local before = core.kept(node)
  for _ = 1, 3 do round() end
  nothing_left(node, before + 64) -- coroutines that wait in the pool
  node:close()
  local kept, values = core.kept(node)
  eq(kept, 0)
  eq(values, 0)
end)

test("a kill from outside, and a node closed with full mailboxes", function()
  local node = assert(shoal.node{ log = "off" })
  local a, b = assert(node:spawn(L)), assert(node:spawn(L))
  local weak = setmetatable({}, { __mode = "v" })
  for i = 1, 50 do
    a:tell("work", { i })
    b:tell("work", { i })
  end
  a:kill()
  node:poll(0)
  for i = 1, 20 do b:tell("work", { i }) end
  eq(select(2, core.kept(node)) > 0, true)
  weak[1] = { "value" }
  node:close()
  eq(select(2, core.kept(node)), 0)
  collectgarbage()
  eq(weak[1], nil)
end)

test("an undelivered object is told", function()
  local lost
  local U = shoal.actor("undelivered")
  function U:wait() shoal.sleep(10) end
  function U:on_undelivered(list) lost = list end
  with_node({}, function(node)
    local a = assert(node:spawn(U))
    a:tell("wait")
    a:tell("first", { n = 1 })
    a:tell("second", "two")
    shoal.sleep(0.01)
    a:kill()
    a:done()
    eq(#lost, 2)
    eq(lost[1].name, "first")
    eq(lost[1].value.n, 1)
    eq(lost[2].value, "two")
  end)
end)

test("forward without a name sends on what came", function()
  with_node({}, function(node)
    local F, E = shoal.actor("forwards"), shoal.actor("gets")
    function F:work(m) return self.cx:forward(m.to) end
    function E:work(m) return { m.x, self.cx.name } end
    local f, e = assert(node:spawn(F)), assert(node:spawn(E))
    local got = f:ask("work", { to = e, x = 7 })
    eq(got[1], 7)
    eq(got[2], "work")
  end)
end)

t.finish()

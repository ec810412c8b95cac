-- host.lua - the Lua side of the values tests: the same two actors as host.c and host.py.   lua5.4 host.lua NAME HUB
-- Values as words: see notation.h.
local shoal = require "shoal"

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
local function unhex(s) return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)) end

local node

-- The value that a word says, and where the word ends.
local build

local function build_list(word, at)
  local t, n, plain = {}, 0, true
  while word:sub(at, at) ~= "]" do
    n = n + 1
    t[n], at = build(word, at)
    if t[n] == nil then t[n] = shoal.null end
    if word:sub(at, at) == "," then at = at + 1 end
  end
  if n == 0 then plain = false end
  return plain and t or shoal.list(t), at + 1
end

local function build_map(word, at)
  local t, plain = {}, true
  while word:sub(at, at) ~= "}" do
    local key, value
    key, at = build(word, at)
    value, at = build(word, at + 1)
    if value == nil then value = shoal.null end
    if math.type(key) == "integer" then plain = false end
    t[key] = value
    if word:sub(at, at) == "," then at = at + 1 end
  end
  return plain and t or shoal.map(t), at + 1
end

function build(word, at)
  local kind = word:sub(at, at)
  if kind == "[" then return build_list(word, at + 1) end
  if kind == "{" then return build_map(word, at + 1) end
  local rest = word:match("^[^,:%]}]*", at + 1)
  local past = at + 1 + #rest
  if kind == "n" then return nil, past end
  if kind == "T" then return true, past end
  if kind == "F" then return false, past end
  if kind == "i" then return assert(math.tointeger(tonumber(rest))), past end
  if kind == "f" then return rest == "nan" and 0 / 0 or string.unpack(">d", unhex(rest)), past end
  if kind == "t" then return unhex(rest), past end
  if kind == "b" then return shoal.bytes(unhex(rest)), past end
  if kind == "r" then return assert(node:ref(rest)), past end
  error("no such word: " .. word)
end

-- The word for a value.
local function of(v)
  local kind = shoal.type(v)
  if kind == "nil" then return "n" end
  if kind == "bool" then return v and "T" or "F" end
  if kind == "integer" then return ("i%d"):format(v) end
  if kind == "float" then return v ~= v and "fnan" or "f" .. hex(string.pack(">d", v)) end
  if kind == "text" then return "t" .. hex(v) end
  if kind == "bytes" then return "b" .. hex(tostring(v)) end
  if kind == "ref" then return "r" .. tostring(v) end
  local words = {}
  if kind == "list" then
    for i = 1, #v do words[i] = of(v[i]) end
    return "[" .. table.concat(words, ",") .. "]"
  elseif kind == "map" then
    for key, value in pairs(v) do words[#words + 1] = of(key) .. ":" .. of(value) end
    table.sort(words)
    return "{" .. table.concat(words, ",") .. "}"
  end
  return "?" .. tostring(kind)
end

-- What an ask ended as: "ok WORD", or "CODE DELIVERY TEXT".
local function said(value, text, code, delivery)
  if value == nil and code then return ("%s %s %s"):format(code, delivery, text) end
  return "ok " .. of(value)
end

local Echo = shoal.actor("values.echo")
function Echo:echo(v) return v end
function Echo:seen(v) return of(v) end
function Echo:poke() return "poked" end
function Echo:make(word) return (build(word, 1)) end
function Echo:relay(m) return said(m.to:ask("seen", m.value)) end

local bad = {
  utf8 = function() return { items = { 1, 2, "\255" } } end,
  surrogate = function() return { items = { 1, 2, "\xED\xA0\x80" } } end,
  hole = function() return { items = { 1, 2, nil, 4 } } end,
  fn = function() return { items = { 1, 2, print } } end,
  thread = function() return { items = { 1, 2, coroutine.create(print) } } end,
  file = function() return { items = { 1, 2, io.stdout } } end,
  float_key = function() return { [1.5] = 1 } end,
  bool_key = function() return { [true] = 1 } end,
  cycle = function() local t = {}; t.t = t; return t end,
  deep = function() local t = {}; for _ = 1, 32 do t = { t } end; return t end,
  big = function() return ("x"):rep(1200000) end,
}

local Send = shoal.actor("values.send")
function Send:ask(words)
  return said(node:ref(words[1]):ask(words[2], (build(words[3], 1))))
end
function Send:relay(words)
  local value = build(words[3], 1)
  if value == nil then value = shoal.null end
  return said(node:ref(words[1]):ask("relay", { to = node:ref(words[2]), value = value }))
end
function Send:poke(words)
  local back, text, code, delivery = node:ref(words[1]):ask("echo", { node:ref(words[2]) })
  if back == nil then return said(back, text, code, delivery) end
  return said(back[1]:ask("poke"))
end
function Send:bad(words)
  local value, ref = bad[words[2]](), node:ref(words[1])
  if ref:tell("seen", value) then return "the tell passed" end
  return said(ref:ask("seen", value))
end

node = shoal.node{ listen = { "/ip4/127.0.0.1/tcp/0" } }
node:run(function()
  shoal.assert(node:dial(arg[2]))
  shoal.assert(shoal.assert(node:spawn(Send)):register(arg[1] .. ".send"))
  shoal.assert(shoal.assert(node:spawn(Echo)):register(arg[1] .. ".echo"))
end)
print("ready")
io.stdout:flush()
node:run()

-- Annotations: library/shoal.lua names exactly what the module has, with parameters, errors and since.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq = t.test, t.eq

local file = assert(io.open(here .. "/../../bindings/lua/library/shoal.lua"))
local lines = {}
for line in file:lines() do lines[#lines + 1] = line end
file:close()

-- owner ("shoal", "Node", ...) -> name -> the comment lines above
local annotated, class_of = {}, {}
local comment, class = {}, nil
local function note(owner, name, about)
  annotated[owner] = annotated[owner] or {}
  annotated[owner][name] = about
end
for _, line in ipairs(lines) do
  local field = line:match("^%-%-%-@field ([%w_]+)")
  if line:match("^%-%-%-@class ") then
    class = line:match("^%-%-%-@class ([%w_.]+)")
  end
  if field and class then
    note(class, field, { line })
  end
  local owner, name = line:match("^function (%w+)[.:]([%w_]+)%(")
  local declared = line:match("^local (%w+) = {}$")
  if declared then
    class_of[declared] = class
    annotated[class] = annotated[class] or {}
  end
  if owner then
    note(class_of[owner], name, comment)
  end
  if line:match("^%-%-%-") then
    comment[#comment + 1] = line
  else
    comment = {}
    class = line:match("^%-%-") and class or nil
  end
end

local function set_of(table_)
  local names = {}
  for name in pairs(table_) do
    if type(name) == "string" and name:sub(1, 2) ~= "__" then names[name] = true end
  end
  return names
end

local function compare(what, got, noted)
  for name in pairs(got) do
    if not noted[name] then error(what .. "." .. name .. " is not annotated", 2) end
  end
  for name in pairs(noted) do
    if not got[name] then error(what .. "." .. name .. " is annotated but not there", 2) end
  end
end

-- The methods and getters of a metatable in the registry.
local function public_of(meta_name)
  local meta = debug.getregistry()[meta_name]
  local names = set_of(meta.methods)
  for name in pairs(meta.getters or {}) do names[name] = true end
  return names
end

test("shoal", function() compare("shoal", set_of(shoal), annotated.shoal) end)
for _, pair in ipairs{
  { "shoal.node", "shoal.Node" }, { "shoal.ref", "shoal.Ref" }, { "shoal.cx", "shoal.Context" },
  { "shoal.refs", "shoal.Refs" }, { "shoal.bytes", "shoal.Bytes" }, { "shoal.Promise", "shoal.Promise" },
  { "shoal.Timer", "shoal.Timer" }, { "shoal.sim", "shoal.Sim" },
} do
  test(pair[2], function() compare(pair[2], public_of(pair[1]), annotated[pair[2]]) end)
end

test("options of a node", function()
  for name in pairs(annotated["shoal.NodeOptions"]) do
    local ok, message = pcall(shoal.node, { [name] = print })
    if not ok and tostring(message):find("unknown option", 1, true) then error(name .. " is annotated but not known") end
  end
  local known = 0
  for _ in pairs(annotated["shoal.NodeOptions"]) do known = known + 1 end
  local function upvalue(fn, wanted)
    for i = 1, 5 do
      local name, value = debug.getupvalue(fn, i)
      if name == wanted then return value end
    end
  end
  local checked = upvalue(upvalue(shoal.node, "checked_options"), "node_options")
  compare("node option", set_of(checked), annotated["shoal.NodeOptions"])
  eq(known > 15, true)
end)

test("hooks", function()
  for _, hook in ipairs{ "init", "on_stop", "on_error", "on_down", "on_undelivered", "on_message" } do
    eq(annotated["shoal.Actor"][hook] ~= nil, true, hook)
  end
end)

test("every function tells its parameters, errors, since", function()
  for i, line in ipairs(lines) do
    local owner, name, params = line:match("^function (%w+)[.:]([%w_]+)%((.-)%)")
    if owner then
      local about, above = "", i - 1
      while lines[above]:match("^%-%-%-") do
        about = lines[above] .. "\n" .. about
        above = above - 1
      end
      local where = owner .. "." .. name
      if not about:find("Since %d") then error(where .. ": no Since") end
      if not about:find("Errors:", 1, true) then error(where .. ": no Errors") end
      for param in params:gmatch("[%w_.]+") do
        if not about:find("@param " .. param:gsub("%.", "%%."), 1) then error(where .. ": parameter " .. param) end
      end
    end
  end
end)

test("the file is Lua", function() assert(loadfile(here .. "/../../bindings/lua/library/shoal.lua")) end)

t.finish()

-- older.lua - runs a test file, written for 5.4, on LuaJIT: words and functions that it lacks are replaced, cases that are about
-- just those are left out, each with its reason.
--   luajit older.lua test_x.lua
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path

-- What the cases use of later libraries.
table.pack = table.pack or function(...) return { n = select("#", ...), ... } end
table.unpack = table.unpack or unpack -- luacheck: ignore
math.maxinteger, math.mininteger = 2 ^ 53, -2 ^ 53
function math.tointeger(n) return n == math.floor(n) and n or nil end
function math.type(n)
  return type(n) == "number" and (n == math.floor(n) and math.abs(n) <= 2 ^ 53 and 1 / n ~= -1 / 0 and "integer" or "float") or nil
end
local collect = collectgarbage
function collectgarbage(what, ...) -- luacheck: ignore
  if what == "generational" or what == "incremental" then
    collect("setpause", what == "incremental" and select(1, ...) or 100)
    return collect("setstepmul", 200)
  end
  return collect(what, ...)
end

local CLOSE = "5.4's to-be-closed variables"
local NUMBERS = "1.0 is a whole number"
local absent = {
  ["a function that can never go on"] = CLOSE,
  ["waits in plain code, pcall, metamethods, iterators, closing variables"] = CLOSE .. "; test_versions has the others",
  ["shoal.all raises the first error and ends the others"] = CLOSE,
  ["a killed actor's waiting handler is closed, its asker told"] = CLOSE,
  ["close ends tasks and handlers that wait"] = CLOSE,
  ["only shoal resumes a handler that waits"] = "coroutine.close",
  ["floats: NaN, -0.0, 1.0 stay floats"] = NUMBERS,
  ["shoal.type names the kinds"] = NUMBERS,
  ["to be closed at the end of a block, threads = 0"] = CLOSE,
  ["to be closed at the end of a block, threads = 1"] = CLOSE,
}
local t = require "t"
local test = t.test
function t.test(name, fn)
  if absent[name] then
    print("not of this Lua: " .. name .. ": " .. absent[name])
  else
    test(name, fn)
  end
end

local name = arg[1]
local file = assert(io.open(name))
local code = file:read("*a")
file:close()
code = code:gsub(" <close>", ""):gsub(" <const>", "")
  :gsub("2^53 // 1 | 0", "2^53"):gsub("%(1 << 53%) %+ 1", "2^53 - 1"):gsub("i // 4", "math.floor(i / 4)")
  :gsub("h\\u{e9}llo \\u{1F420}", "h\195\169llo \240\159\144\160")
arg[-1], arg[0] = arg[-1], name
assert(loadstring(code, "@" .. name))() -- luacheck: ignore

--- t.lua - the little that the Lua tests need: named cases, comparisons, two nodes side by side, the closing line.
local shoal = require "shoal"
local unpack = table.unpack or unpack -- luacheck: ignore
local pack = table.pack or function(...) return { n = select("#", ...), ... } end

local t = { passed = 0, failed = 0, skipped = 0 }

--- Runs one case; a failure is told and counted, the others go on.
function t.test(name, fn)
  local ok, message = xpcall(fn, debug.traceback)
  if ok then
    t.passed = t.passed + 1
  else
    t.failed = t.failed + 1
    print("FAILED " .. name .. ": " .. tostring(message))
  end
end

local function show(v)
  return type(v) == "string" and ("%q"):format(v) or tostring(v)
end

function t.eq(got, expected, what)
  if got ~= expected then
    error((what and what .. ": " or "") .. "got " .. show(got) .. ", expected " .. show(expected), 2)
  end
end

function t.ok(value, what)
  if not value then
    error(what or "expected a true value", 2)
  end
  return value
end

--- text contains each of the pieces.
function t.has(text, ...)
  for _, piece in ipairs{ ... } do
    if type(text) ~= "string" or not text:find(piece, 1, true) then
      error("expected " .. show(piece) .. " in " .. show(text), 2)
    end
  end
end

--- fn raises a text that contains the pieces.
function t.raises(fn, ...)
  local ok, message = pcall(fn)
  if ok then
    error("expected an error", 2)
  end
  t.has(tostring(message), ...)
  return message
end

--- A failure: nil, message, code, delivery [, value].
function t.fails(code, delivery, piece, ...)
  local value, message, got_code, got_delivery, raised = ...
  if value ~= nil then
    error("expected a failure, got " .. show(value), 2)
  end
  t.eq(got_code, code, "code")
  t.eq(got_delivery, delivery, "delivery")
  t.has(message, piece)
  return raised
end

--- xpcall(fn, debug.traceback, ...) that lets fn wait: 5.1 cannot, there what fn raises is the task's.
function t.guarded(fn, ...)
  if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
    return true, fn(...)
  end
  local given = pack(...)
  return xpcall(function() return fn(unpack(given, 1, given.n)) end, debug.traceback)
end

--- Runs fn(node) inside node:run; the node is closed afterwards, however it ends.
function t.with_node(options, fn)
  options = options or {}
  options.log = options.log or "off"
  local node = assert(shoal.node(options))
  local results = pack(pcall(node.run, node, function() return pack(t.guarded(fn, node)) end))
  node:close()
  if not results[1] or not results[2][1] then
    error(results[1] and results[2][2] or results[2], 0)
  end
  return unpack(results[2], 2, results[2].n)
end

--- The same with two nodes that know each other, both driven by this thread.
function t.with_two(options_a, options_b, fn)
  options_a, options_b = options_a or {}, options_b or {}
  for _, o in ipairs{ options_a, options_b } do
    o.log = o.log or "off"
    o.listen = o.listen or { "/ip4/127.0.0.1/tcp/0" }
  end
  local a, b = assert(shoal.node(options_a)), assert(shoal.node(options_b))
  local outcome
  a:task(function()
    outcome = pack(t.guarded(function()
      shoal.assert(a:dial(b.addresses[1]))
      fn(a, b)
    end))
  end)
  local give_up = os.time() + 60
  while not outcome and os.time() < give_up do
    a:poll(0, 0.001)
    b:poll(0, 0.001)
  end
  a:close()
  b:close()
  if not outcome then
    error("two nodes: not finished within 60 s", 2)
  end
  if not outcome[1] then
    error(outcome[2], 0)
  end
end

--- What fn makes, Lua keeps nothing of, but for some KiB: it runs three times so often.
function t.given_back(kib, times, fn)
  local function round()
    for _ = 1, times do fn() end
    collectgarbage()
    collectgarbage()
    return collectgarbage("count")
  end
  round()
  local before = round()
  local after = round()
  t.ok(after < before + kib, ("%.0f KiB became %.0f KiB"):format(before, after))
end

--- The interpreter that runs this.
t.lua = arg[-1]

--- Runs Lua code in a process of its own: its output, its exit code.
function t.process(code)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(code)
  file:close()
  local pipe = assert(io.popen("timeout 30 " .. t.lua .. " " .. name .. " 2>&1; printf ' %d' $?"))
  local output, status = pipe:read("*a"):match("^(.*) (%d+)$") -- not all versions' close tells the status
  pipe:close()
  os.remove(name)
  return output, tonumber(status)
end

--- The last thing that a test file does.
function t.finish()
  print(("%d passed, %d failed, %d skipped"):format(t.passed, t.failed, t.skipped))
  os.exit(t.failed == 0 and 0 or 1, true)
end

return t

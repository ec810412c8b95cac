--- shoal.lua - distributed actors: the module that users require.
-- The C part is shoal.core; here is what is easier said in Lua: options of a node, node:run, shoal.all, shoal.assert.
-- What each name does is told in library/shoal.lua.
local core = require "shoal.core"

local shoal = {
  _VERSION = core._VERSION,
  actor = core.actor,
  sleep = core.sleep,
  type = core.type,
  null = core.null,
  bytes = core.bytes,
  list = core.list,
  map = core.map,
  STOP = core.STOP,
  RESUME = core.RESUME,
}

--- Misuse is raised at the line that called the module's function.
local function misuse(level, format, ...)
  error(format:format(...), level + 1)
end

-- options of a node ---------------------------------------------------------------------------------------------------

local function texts(name, value)
  if type(value) == "string" then
    return { value }
  end
  if type(value) ~= "table" then
    misuse(4, "shoal.node: option '%s' must be a list of texts, not a %s", name, type(value))
  end
  for i = 1, #value do
    if type(value[i]) ~= "string" then
      misuse(4, "shoal.node: option '%s' must be a list of texts, but its item %d is a %s", name, i, type(value[i]))
    end
  end
  return value
end

local function whole(name, value)
  local n = type(value) == "number" and math.tointeger(value)
  if not n or n < 0 then
    misuse(4, "shoal.node: option '%s' must be a whole number from 0, not %s", name, tostring(value))
  end
  return n
end

local function seconds(name, value)
  if type(value) ~= "number" or not (value > 0) then
    misuse(4, "shoal.node: option '%s' must be a number of seconds above 0, not %s", name, tostring(value))
  end
  return math.tointeger(math.ceil(math.min(value * 1000, 4294967295)))
end

local function text(name, value)
  if type(value) ~= "string" then
    misuse(4, "shoal.node: option '%s' must be text, not a %s", name, type(value))
  end
  return value
end

local function callable(name, value)
  if type(value) ~= "function" then
    misuse(4, "shoal.node: option '%s' must be a function, not a %s", name, type(value))
  end
  return value
end

local function one_of(choices)
  return function(name, value)
    for i, choice in ipairs(choices) do
      if choice == value then
        return i - 1
      end
    end
    misuse(4, "shoal.node: option '%s' must be one of %s, not %s", name, table.concat(choices, ", "), tostring(value))
  end
end

local node_options = {
  listen = texts, announce = texts, dial = texts, allow = texts, admin = texts,
  key = text,
  threads = whole, mailbox = whole, max_message = whole, max_peers = whole, max_actors = whole, max_asks = whole,
  ask_timeout = seconds, stop_timeout = seconds, peer_timeout = seconds,
  dht = one_of{ "auto", "server", "client", "off" },
  log = one_of{ "off", "error", "warn", "info", "debug" },
  on_event = callable, on_log = callable,
}

--- Makes a node.
function shoal.node(options)
  local checked = {}
  if options ~= nil and type(options) ~= "table" then
    misuse(2, "shoal.node: options must be a table, not a %s", type(options))
  end
  for name, value in pairs(options or {}) do
    local check = node_options[name]
    if not check then
      misuse(2, "shoal.node: unknown option '%s'", tostring(name))
    end
    checked[check == seconds and name .. "_ms" or name] = check(name, value)
  end
  return core.node(checked)
end

-- running -------------------------------------------------------------------------------------------------------------

-- A wait is cut into slices, so that an interpreter's own signal handling gets its turn.
local SLICE = 0.1

local function poll(node)
  local handled, message = node:poll(0, SLICE)
  if not handled and not core.ended(node) then
    error(message, 3)
  end
end

--- Runs the node until fn has returned (its results), or without fn until node:stop().
function core.node_methods.run(node, fn)
  if fn ~= nil and type(fn) ~= "function" then
    misuse(2, "node:run: expected a function or nothing, not a %s", type(fn))
  end
  if core.busy() then
    misuse(2, "node:run inside a handler or task of the node: it runs already")
  end
  if not fn then
    while not core.ended(node) do
      poll(node)
    end
    return true
  end
  local results
  local started, message, code, delivery = node:task(function()
    results = table.pack(pcall(fn))
  end)
  if not started then
    return started, message, code, delivery
  end
  while not results do
    if core.ended(node) then
      node:poll(0)
      if not results then
        error("node:run: the node was stopped before its function had returned", 2)
      end
    else
      poll(node)
    end
  end
  if not results[1] then
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

-- shoal ---------------------------------------------------------------------------------------------------------------

--- Runs the functions at once and waits for all.
function shoal.all(functions)
  if type(functions) ~= "table" then
    misuse(2, "shoal.all: expected a list of functions, not a %s", type(functions))
  end
  local results, left, failed = { n = #functions }, #functions, nil
  for i = 1, #functions do
    if type(functions[i]) ~= "function" then
      misuse(2, "shoal.all: item %d is a %s, not a function", i, type(functions[i]))
    end
  end
  for i = 1, #functions do
    core.fork(function()
      local ok, value = pcall(functions[i])
      left = left - 1
      if ok then
        results[i] = value
      else
        failed = failed or { value }
      end
      if left == 0 or failed then
        core.unpark()
      end
    end)
    if failed then
      break
    end
  end
  if left > 0 and not failed then
    core.park()
  end
  core.drop()
  if failed then
    error(failed[1], 0)
  end
  return results
end

--- Returns its arguments, unless they are a failure: nil, message, code, delivery.
function shoal.assert(...)
  local value, message, code, delivery, raised = ...
  if value == nil and select("#", ...) >= 4 and core.codes[code] and type(message) == "string" then
    error(setmetatable({ message = message, code = code, delivery = delivery, value = raised }, core.error_meta), 0)
  end
  return ...
end

return shoal

--- shoal.lua - distributed actors: the module that users require.
-- The C part is shoal.core; here is what is easier said in Lua: options of a node, node:run, shoal.all, shoal.assert.
-- What each name does is told in library/shoal.lua.
local core = require "shoal.core"
local unpack = table.unpack or unpack -- luacheck: ignore

-- What 5.3 and later have: whole numbers.
local tointeger = math.tointeger or function(n)
  return n == math.floor(n) and n >= -2 ^ 53 and n <= 2 ^ 53 and n or nil
end

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
  local n = type(value) == "number" and tointeger(value)
  if not n or n < 0 then
    misuse(4, "shoal.node: option '%s' must be a whole number from 0, not %s", name, tostring(value))
  end
  return n
end

local function seconds(name, value)
  if type(value) ~= "number" or not (value > 0) then
    misuse(4, "shoal.node: option '%s' must be a number of seconds above 0, not %s", name, tostring(value))
  end
  return tointeger(math.ceil(math.min(value * 1000, 4294967295)))
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

local function checked_options(options)
  local checked = {}
  if options ~= nil and type(options) ~= "table" then
    misuse(3, "shoal.node: options must be a table, not a %s", type(options))
  end
  for name, value in pairs(options or {}) do
    local check = node_options[name]
    if not check then
      misuse(3, "shoal.node: unknown option '%s'", tostring(name))
    end
    checked[check == seconds and name .. "_ms" or name] = check(name, value)
  end
  return checked
end

--- Makes a node.
function shoal.node(options)
  return core.node((checked_options(options)))
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

--- What the function of a task returned, or what it raised.
local function outcome(results)
  if not results.ok then
    error(results[1], 0)
  end
  return unpack(results, 1, results.n)
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
  local results = {}
  local started, message, code, delivery = core.task(node, fn, results)
  if not started then
    return started, message, code, delivery
  end
  while results.ok == nil do
    if core.ended(node) then
      node:poll(0)
      if results.ok == nil then
        error("node:run: the node was stopped before its function had returned", 2)
      end
    else
      poll(node)
    end
  end
  return outcome(results)
end

-- simulations ---------------------------------------------------------------------------------------------------------

--- Makes a simulation.
function shoal.sim(seed)
  local n = type(seed) == "number" and tointeger(seed)
  if not n then
    misuse(2, "shoal.sim: the seed must be a whole number, not %s", tostring(seed))
  end
  return core.sim_new(n)
end

--- Makes a node on a host of its own.
function core.sim_methods.node(sim, options)
  return core.sim_node(checked_options(options), sim)
end

local function is_range(value)
  return type(value) == "table" and #value == 2 and type(value[1]) == "number" and type(value[2]) == "number"
      and 0 <= value[1] and value[1] <= value[2] and value[2] <= 1800
end

--- Sets the network.
function core.sim_methods.net(sim, options)
  if options ~= nil and type(options) ~= "table" then
    misuse(2, "sim:net: options must be a table, not a %s", type(options))
  end
  local latency, loss = { 0.001, 0.005 }, 0
  for name, value in pairs(options or {}) do
    if name == "latency" and is_range(value) then
      latency = value
    elseif name == "loss" and type(value) == "number" and value >= 0 and value <= 1 then
      loss = value
    elseif name == "latency" then
      misuse(2, "sim:net: latency must be two numbers of seconds, the least and the most, from 0 to 1800")
    elseif name == "loss" then
      misuse(2, "sim:net: loss must be a number from 0 to 1, not %s", tostring(value))
    else
      misuse(2, "sim:net: unknown option '%s'", tostring(name))
    end
  end
  return core.sim_net(sim, math.floor(latency[1] * 1e6 + 0.5), math.floor(latency[2] * 1e6 + 0.5),
    math.floor(loss * 1e6 + 0.5))
end

--- Runs fn in virtual time until it has returned: its results.
function core.sim_methods.run(sim, fn)
  if type(fn) ~= "function" then
    misuse(2, "sim:run: expected a function, not a %s", type(fn))
  end
  if core.busy() then
    misuse(2, "sim:run inside a handler or task: something runs already")
  end
  core.sim_drop(sim) -- what Ctrl-C left
  local results = {}
  local started, message, code, delivery = core.sim_task(sim, fn, results)
  if not started then
    return started, message, code, delivery
  end
  local fine, more = true, true
  while fine and more and results.ok == nil do
    fine, more = pcall(core.sim_turn, sim)
  end
  if not fine or results.ok == nil then
    core.sim_drop(sim)
    if not fine then
      error(more, 0)
    end
    misuse(2, "sim:run: its function waits for what never comes: nothing is left to happen in the simulation")
  end
  return outcome(results)
end

-- lookup_all ----------------------------------------------------------------------------------------------------------

--- The next ref, nil at the end; raises a failure.
local function next_ref(refs)
  local ref, failure = core.iter_next(refs)
  if failure then
    error(failure, 0)
  end
  return ref
end
core.refs_meta.__call = next_ref
core.refs_meta.methods.next = next_ref

-- shoal ---------------------------------------------------------------------------------------------------------------

--- Runs the functions at once and waits for all.
function shoal.all(functions)
  if type(functions) ~= "table" then
    misuse(2, "shoal.all: expected a list of functions, not a %s", type(functions))
  end
  local results = { n = #functions, left = #functions }
  for i = 1, #functions do
    if type(functions[i]) ~= "function" then
      misuse(2, "shoal.all: item %d is a %s, not a function", i, type(functions[i]))
    end
  end
  for i = 1, #functions do
    core.fork(functions[i], results, i)
    if results.failed then
      break
    end
  end
  if results.left > 0 and not results.failed then
    core.park()
  end
  core.drop()
  if results.failed then
    error(results.failed[1], 0)
  end
  results.left = nil
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

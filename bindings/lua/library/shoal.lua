---@meta shoal
-- shoal: distributed actors. Annotations for editors (LuaCATS); never run. tests/lua/test_annotations.lua keeps
-- them in step with the module.
--
-- True of all: durations are seconds. The world's failures are returned as nil, message, code, delivery (and the
-- raised value, of code "handler"); misuse raises. Threads: a node and all that comes from it belong to the thread
-- of its lua_State. "Waits" means: yields in a handler, in a function given to node:run or node:task; raises elsewhere,
-- also in a coroutine of your own. What you give is copied, except an actor's constructor argument; what you get is
-- yours. Everything is there since 0.1.0.

---@alias shoal.Code
---| "timeout"      # the deadline passed
---| "not_found"    # no live actor of that name
---| "not_running"  # the actor has stopped
---| "mailbox_full" # tell: no room now
---| "no_handler"   # the actor takes no such message
---| "bad_value"    # cannot be sent, or does not fit the handler
---| "handler"      # the handler failed
---| "unreachable"  # no route, dial failed, connection lost
---| "refused"      # not exported to you, or allow, admin say no
---| "name_taken"   # another actor of this node holds the name
---| "bad_address"  # malformed, in use, or not ours to bind
---| "closed"       # node stopping, stopped or closed
---| "cancelled"    # cancelled
---| "limit"        # a limit, or memory; the message names it
---| "unsupported"  # the peer cannot, or it is not built in
---| "usage"        # raised, not returned

---@alias shoal.Delivery "not_sent"|"unknown"|"handled" # safe to retry; may have run; the handler ran

--- nil, boolean, number, text (UTF-8), shoal.bytes, list, map, ref; nil inside a list or map is shoal.null.
---@alias shoal.Value any

--- What shoal.assert raises, what iterators raise, what on_error gets.
---@class shoal.Error
---@field message string a sentence
---@field code shoal.Code
---@field delivery shoal.Delivery
---@field value? shoal.Value what a handler raised, if it was no text

---@class shoal
---@field _VERSION string the version, "major.minor.patch". Since 0.1.0
---@field null userdata nil inside a list or map. Since 0.1.0
---@field STOP integer answer of on_error and on_down: stop the actor. Since 0.1.0
---@field RESUME integer answer of on_error and on_down: go on with the state as it is. Since 0.1.0
local shoal = {}

---@class shoal.NodeOptions
---@field listen? string[]|string multiaddrs to listen on, as "/ip4/127.0.0.1/tcp/0"
---@field announce? string[]|string multiaddrs to publish instead of those listened on
---@field dial? string[]|string multiaddrs to keep dialled; failing is an event
---@field key? string path of the identity, made if absent (mode 0600); none: a new one
---@field allow? string[]|string peer ids that may connect; none: everyone
---@field admin? string[]|string peer ids, or "all", that may info this node, stop and kill its actors
---@field threads? 0|1 0 (default): the network runs inside poll; 1: on a thread of its own
---@field mailbox? integer messages that may wait in an actor (1024); 0: only memory bounds it
---@field dht? "auto"|"server"|"client"|"off" its part in the DHT ("auto": server if it listens)
---@field ask_timeout? number seconds (5)
---@field stop_timeout? number seconds (5)
---@field peer_timeout? number seconds of silence that count as death (10)
---@field max_message? integer bytes of one value (1 MiB)
---@field max_peers? integer connected at once (512)
---@field max_actors? integer (2^20)
---@field max_asks? integer in flight (65536)
---@field on_event? fun(event: string, info: table) runs inside poll; may not wait
---@field log? "off"|"error"|"warn"|"info"|"debug" what is logged ("warn")
---@field on_log? fun(level: string, text: string) gets the log's lines, inside poll; none: they go to stderr

--- Makes a node; it listens and dials as the options say. It is closed by close, at the end of a block
--- (`local node <close>`), when it is collected, at exit.
--- Errors: raises an unknown option or one of a wrong type; bad_address, bad_value, refused (the key file),
--- unsupported, limit. Since 0.1.0
---@param options? shoal.NodeOptions
---@return shoal.Node? node, string? message, shoal.Code? code, shoal.Delivery? delivery
function shoal.node(options) end

--- Makes a simulation: nodes, their network and time, on this thread, out of one seed. The same seed and program give
--- the same run (take chance and time from cx:random, cx:now; let no order of pairs() decide what is sent; maps are
--- sent in the order of their keys). Time begins at 1 s.
--- It keeps its nodes. It is closed by close, at the end of a block (`local sim <close>`), when it is collected, at exit.
--- Errors: raises a seed that is no whole number; limit. Since 0.1.0
---@param seed integer decides all
---@return shoal.Sim? sim, string? message, shoal.Code? code, shoal.Delivery? delivery
function shoal.sim(seed) end

---@class shoal.Sim
---@field now number virtual seconds; after close: when it was closed. Since 0.1.0
---@field seed integer what it was made with. Since 0.1.0
---@field digest string 16 hex digits over all that was delivered: equal in equal runs. Since 0.1.0
local Sim = {}

--- Makes a node on a host of its own: the n-th one (from 0) is 10.0.(n // 256).(n % 256), its port 0 the first free one
--- from 4001. It works as any other; leave its key to the seed; names of hosts do not resolve, there is no fd.
--- Errors: as shoal.node; limit also over 16384 nodes; closed. Since 0.1.0
---@param options? shoal.NodeOptions
---@return shoal.Node? node, string? message, shoal.Code? code, shoal.Delivery? delivery
function Sim:node(options) end

--- Runs fn, in a coroutine where it may wait for all nodes of the simulation, until it has returned, with its results.
--- Time is virtual: shoal.sleep(3600) takes as long as what happens meanwhile.
--- Errors: what fn raises; raises inside a handler, and when nothing is left to happen (no task waits for a time,
--- and no handler ran for a day); closed. Since 0.1.0
---@generic T
---@param fn fun(): T
---@return T ...
function Sim:run(fn) end

--- Parts nodes: those of a and those of b hear nothing of each other; others hear both. Adds to earlier partitions.
--- Errors: raises a node of elsewhere; bad_value (a node in both), limit (64 since the last heal), closed. Since 0.1.0
---@param a shoal.Node[]
---@param b shoal.Node[]
---@return true? parted, string? message, shoal.Code? code, shoal.Delivery? delivery
function Sim:partition(a, b) end

--- Ends all partitions: what waited arrives. Errors: closed. Since 0.1.0
---@return true? healed, string? message, shoal.Code? code, shoal.Delivery? delivery
function Sim:heal() end

--- Ends a node as kill -9 would, for its peers; here it is closed, and on_stop runs in its actors.
--- Errors: raises a node of elsewhere, and inside a handler; closed. Since 0.1.0
---@param node shoal.Node
---@return true? crashed, string? message, shoal.Code? code, shoal.Delivery? delivery
function Sim:crash(node) end

--- Sets the network; what is left out is as at the start. A lost packet comes 0.2 s later.
--- Errors: raises what is out of range; closed. Since 0.1.0
---@param options? { latency?: number[], loss?: number } seconds a packet takes, least and most ({ 0.001, 0.005 }, at most 1800); a fraction (0)
---@return true? set, string? message, shoal.Code? code, shoal.Delivery? delivery
function Sim:net(options) end

--- Ends it and its nodes: on_stop runs in every actor. Errors: raises inside sim:run or a handler. Since 0.1.0
function Sim:close() end

---@class shoal.ActorOptions
---@field reentrant? boolean takes the next message while a handler waits
---@field mailbox? integer messages that may wait; 0: only memory bounds it; none: the node's

--- Makes a class: a table whose functions are handlers, called as fn(self, value); their first result is the reply.
--- Not handlers: init, upgrade, cx, names that begin with _ or on_. Errors: raises a bad id or option. Since 0.1.0
---@param id string 1..255 bytes: Kameo's remote actor id
---@param options? shoal.ActorOptions
---@return shoal.Actor class
function shoal.actor(id, options) end

--- Waits that long. Errors: raises where nothing can wait; closed. Since 0.1.0
---@async
---@param seconds number from 0
---@return true? slept, string? message, shoal.Code? code, shoal.Delivery? delivery
function shoal.sleep(seconds) end

--- Runs the functions at once, each in a coroutine, and waits for all. The first error ends the others and is raised.
--- Errors: raises where nothing can wait. Since 0.1.0
---@async
---@param functions (fun(): any)[] in a handler they share its message
---@return { n: integer, [integer]: any } results the first result of each
function shoal.all(functions) end

--- Returns its arguments, unless they are a failure (nil, message, code, delivery): that it raises as a table.
--- Errors: raises shoal.Error. Since 0.1.0
---@param ... any the results of a call
---@return any ...
function shoal.assert(...) end

--- The kind of a value: nil bool integer float text bytes list map ref; nil for what cannot be sent.
--- Errors: none. Since 0.1.0
---@param value any
---@return "nil"|"bool"|"integer"|"float"|"text"|"bytes"|"list"|"map"|"ref"|nil kind
function shoal.type(value) end

--- Bytes that are no text. Errors: raises if s is no string. Since 0.1.0
---@param s string copied
---@return shoal.Bytes bytes
function shoal.bytes(s) end

--- Marks a table as a list, also when it is empty. Errors: raises if it is no table. Since 0.1.0
---@param table? table marked in place; none: a new one
---@return table list the same table
function shoal.list(table) end

--- Marks a table as a map, also when its keys are 1..n. Errors: raises if it is no table. Since 0.1.0
---@param table? table marked in place; none: a new one
---@return table map the same table
function shoal.map(table) end

--- Immutable; `tostring(b)`, `#b`, `==`.
---@class shoal.Bytes
local Bytes = {}

--- A part, as string.sub. Errors: none. Since 0.1.0
---@param i integer first byte; negative: from the end
---@param j? integer last byte (-1)
---@return shoal.Bytes part
function Bytes:sub(i, j) end

--- A class of actors; instances have self.cx. Hooks are functions of these names.
---@class shoal.Actor
---@field cx shoal.Context of instances
---@field init? fun(self, arg: any) start hook: at each start, with spawn's argument; raising fails the spawn
---@field on_stop? fun(self, reason: shoal.Reason) once per init that succeeded
---@field on_error? fun(self, error: shoal.Error): integer? a handler failed: shoal.RESUME, shoal.STOP, or nothing: as without it (stop after a tell, go on after an ask)
---@field on_down? fun(self, ref: shoal.Ref, reason: shoal.Reason): integer? a link or monitor ended: shoal.RESUME, shoal.STOP, or nothing: as without it (stop if a link ended, unless normally; else go on)
---@field on_undelivered? fun(self, messages: { name: string, value: shoal.Value }[]) tells left at the end
---@field on_message? fun(self, name: string, value: shoal.Value): any what no handler takes

--- Why an actor ended.
---@class shoal.Reason
---@field kind "normal"|"killed"|"error"|"link_died"|"peer_lost"|"restart"|"gone" gone: before we looked
---@field text string for people
---@field ref? shoal.Ref the actor that caused it

---@class shoal.Node
---@field peer_id string its peer id, as text. Since 0.1.0
---@field addresses string[] where it listens, each ends in /p2p/<peer id>; a new table each time. Since 0.1.0
local Node = {}

---@class shoal.SpawnOptions
---@field mailbox? integer messages that may wait; 0: only memory bounds it; none: the class's
---@field link? shoal.Ref|true link it to that actor; true: the one that spawns
---@field monitor? shoal.Ref|true that actor monitors it; true: the one that spawns

--- Makes an actor. Ends when init has; where nothing can wait, a ref is given while an init that waits goes on.
--- Errors: raises what is no class, unknown options; handler (init failed), limit, closed. Since 0.1.0
---@param class shoal.Actor
---@param arg? any for init; by reference
---@param options? shoal.SpawnOptions
---@return shoal.Ref? ref, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:spawn(class, arg, options) end

--- A live actor of that name, this node's first. Waits. Errors: not_found, bad_value (the name), closed. Since 0.1.0
---@async
---@param name string 1..255 bytes of UTF-8 without ":meta:"
---@param options? { timeout?: number } seconds to go on looking (5); 0: one pass
---@return shoal.Ref? ref, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:lookup(name, options) end

--- Each live actor of that name once: `for ref in node:lookup_all(name) do`. Each step waits.
--- Errors: the iteration raises shoal.Error. Since 0.1.0
---@param name string as lookup
---@param options? { timeout?: number, follow?: boolean } seconds (5); follow: go on as new ones appear
---@return shoal.Refs iterator
function Node:lookup_all(name, options) end

--- Reads what tostring(ref) wrote, here or elsewhere. Errors: bad_value, limit, closed. Since 0.1.0
---@param text string <16 hex>@<peer id>
---@return shoal.Ref? ref, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:ref(text) end

--- Connects once. Waits. Errors: bad_address, unsupported, unreachable, timeout, refused, closed. Since 0.1.0
---@async
---@param address string a multiaddr
---@return string? peer_id, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:dial(address) end

--- Rows about this node, or another that lists us as admin. Waits.
--- Errors: bad_value (unknown what), refused, unreachable, timeout, closed. Since 0.1.0
---@async
---@param what "actors"|"peers"|"names"|"routing"
---@param options? { peer?: string } a peer id
---@return table[]? rows, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:info(what, options) end

--- Stops gracefully: accepted asks are answered, actors stopped, peers told. Waits; in a handler it only begins.
--- Errors: timeout (something was dropped), closed. Since 0.1.0
---@async
---@param options? { timeout?: number } seconds (the node's stop_timeout)
---@return true? stopped, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:stop(options) end

--- Runs the node on this thread: until fn has returned (in a coroutine where it may wait), with its results; without
--- fn until the node was stopped. Errors: what fn raises; raises inside a handler; closed. Since 0.1.0
---@generic T
---@param fn? fun(): T
---@return T ...
function Node:run(fn) end

--- Runs what is due: the network, handlers, callbacks; for game loops.
--- Errors: raises inside a handler; closed. Since 0.1.0
---@param budget? number seconds: no new messages are taken after that (0: one round)
---@param wait? number seconds to wait for the first thing to do (0)
---@return integer? handled, integer|string left, shoal.Code? code, shoal.Delivery? delivery
function Node:poll(budget, wait) end

--- When poll must be called even if fd stays silent. Errors: none. Since 0.1.0
---@return number? seconds nil: never
function Node:next_timeout() end

--- Starts a coroutine in which calls may wait; runs it until it first does. An error in it is the event task_failed.
--- Errors: raises if fn is no function; closed, limit. Since 0.1.0
---@param fn fun()
---@return true? started, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:task(fn) end

--- Readable while poll has something to do; not to be read or closed. Errors: closed. Since 0.1.0
---@return integer? fd, string? message, shoal.Code? code, shoal.Delivery? delivery
function Node:fd() end

--- Ends the node at once: on_stop runs in every actor, coroutines that wait are closed, peers see it lost.
--- Errors: raises inside a handler. Since 0.1.0
function Node:close() end

--- The iterator of lookup_all.
---@class shoal.Refs
---@overload fun(): shoal.Ref?
local Refs = {}

--- The next actor, nil at the end. Waits. Errors: raises shoal.Error. Since 0.1.0
---@async
---@return shoal.Ref? ref
function Refs:next() end

--- Ends it; leaving a for loop does the same. Errors: none. Since 0.1.0
function Refs:close() end

--- An actor, here or elsewhere: `==`, `tostring`, one table key per actor of a node.
---@class shoal.Ref
---@field id string 16 hex digits: the actor's number at its node. Since 0.1.0
---@field peer_id? string its node; nil: not known any more. Since 0.1.0
local Ref = {}

--- Sends a message and goes on; never waits. A loss known only later is the event undelivered.
--- Errors: mailbox_full, not_running, bad_value, limit, unreachable, closed. Since 0.1.0
---@param name string 1..255 bytes of UTF-8
---@param value? shoal.Value copied
---@return true? sent, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:tell(name, value) end

--- Sends a message and waits for its reply. Errors: any; asking oneself raises. Since 0.1.0
---@async
---@param name string 1..255 bytes of UTF-8
---@param value? shoal.Value copied
---@param options? { timeout?: number } seconds (the node's ask_timeout)
---@return shoal.Value reply, string? message, shoal.Code? code, shoal.Delivery? delivery, shoal.Value raised
function Ref:ask(name, value, options) end

--- Waits until this node's earlier tells to it are in its mailbox. Errors: the first loss since the last drain;
--- timeout, closed. Since 0.1.0
---@async
---@param options? { timeout?: number } seconds (the node's ask_timeout)
---@return true? drained, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:drain(options) end

--- Gives an actor of this node a name that others find. Waits until it is findable.
--- Errors: name_taken, bad_value, not_running, timeout (it goes on trying), closed; raises for another node's actor.
--- Since 0.1.0
---@async
---@param name string 1..255 bytes of UTF-8 without ":meta:"
---@return true? registered, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:register(name) end

--- Gives the name up. Errors: not_found (it does not hold it), closed. Since 0.1.0
---@param name string
---@return true? unregistered, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:unregister(name) end

--- Stops it: it takes nothing new, what is queued is handled, on_stop runs. Waits for the end.
--- Errors: not_running, timeout, refused, unreachable, closed. Since 0.1.0
---@async
---@param options? { timeout?: number } seconds (none: as long as it takes)
---@return shoal.Reason? reason, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:stop(options) end

--- Ends it where its handler next waits; what is queued is not handled. Errors: not_running, unreachable, closed.
--- Since 0.1.0
---@return true? killed, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:kill() end

--- Waits for its end, however it comes. Errors: closed, limit. Since 0.1.0
---@async
---@return shoal.Reason? reason, string? message, shoal.Code? code, shoal.Delivery? delivery
function Ref:done() end

--- self.cx: the handler that runs now. Outside one its functions, sender and name raise.
---@class shoal.Context
---@field ref shoal.Ref this actor. Since 0.1.0
---@field node shoal.Node its node. Since 0.1.0
---@field sender? shoal.Ref who sent the message; nil: from outside actors. Since 0.1.0
---@field name string of the message. Since 0.1.0
local Context = {}

--- Replies now; the handler's result is then not the reply. Errors: raises a second reply; bad_value, limit. Since 0.1.0
---@param value? shoal.Value copied
---@return true? replied, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:reply(value) end

--- Takes the right to answer away from this handler and opens the mailbox. Errors: raises after a reply. Since 0.1.0
---@return shoal.Promise promise
function Context:defer() end

--- Hands the asker on. Errors: raises after a reply; else as tell. Since 0.1.0
---@param ref shoal.Ref to whom
---@param name? string none: the same message; within one VM a table that the handler has changed goes as it is now
---@param value? shoal.Value copied
---@return true? forwarded, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:forward(ref, name, value) end

--- Sends this actor a message once, later. Errors: raises a bad time; bad_value, limit. Since 0.1.0
---@param seconds number from 0
---@param name string of the message
---@param value? shoal.Value copied
---@return shoal.Timer? timer, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:after(seconds, name, value) end

--- Sends this actor a message again and again; what it missed is skipped. Errors: as after. Since 0.1.0
---@param seconds number at least 0.001
---@param name string of the message
---@param value? shoal.Value copied
---@return shoal.Timer? timer, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:every(seconds, name, value) end

--- Stops this actor after this message. Errors: none. Since 0.1.0
---@param text? string for the reason
function Context:stop(text) end

--- Makes a child: it stops with this actor. Errors: as Node.spawn. Since 0.1.0
---@param class shoal.Actor
---@param arg? any for init; by reference
---@param options? shoal.SpawnOptions
---@return shoal.Ref? ref, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:spawn(class, arg, options) end

--- Links: when one ends, the other's on_down is told; without that hook it stops too, unless the reason is normal.
--- Errors: unreachable, limit, closed. Since 0.1.0
---@param ref shoal.Ref
---@return true? linked, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:link(ref) end

--- on_down is told, once, when it ends. Errors: as link. Since 0.1.0
---@param ref shoal.Ref
---@return true? monitored, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:monitor(ref) end

--- Ends link and monitor. Errors: closed. Since 0.1.0
---@param ref shoal.Ref
---@return true? unlinked, string? message, shoal.Code? code, shoal.Delivery? delivery
function Context:unlink(ref) end

--- The node's clock. Errors: none. Since 0.1.0
---@return number seconds monotonic
function Context:now() end

--- Errors: none. Since 0.1.0
---@return number random in [0, 1)
function Context:random() end

--- The right to answer one ask, later. Dropping it is harmless: the ask ends at its deadline.
---@class shoal.Promise
local Promise = {}

--- Answers. A second answer, or one after the deadline, is dropped. Errors: bad_value, limit, closed. Since 0.1.0
---@param value? shoal.Value copied
---@return true? replied, string? message, shoal.Code? code, shoal.Delivery? delivery
function Promise:reply(value) end

--- Fails it as a handler error. Errors: limit, closed. Since 0.1.0
---@param text string a sentence
---@return true? failed, string? message, shoal.Code? code, shoal.Delivery? delivery
function Promise:fail(text) end

---@class shoal.Timer
local Timer = {}

--- Ends it; in a handler of its actor. Errors: not_found (it has ended). Since 0.1.0
---@return true? cancelled, string? message, shoal.Code? code, shoal.Delivery? delivery
function Timer:cancel() end

return shoal

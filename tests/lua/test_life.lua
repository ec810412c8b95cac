-- Life: stop, kill, done and reasons, links, monitors, on_error, on_down, on_undelivered, timers, answering.
local here = arg[0]:match("^(.*)/") or "."
package.path = here .. "/?.lua;" .. package.path
local shoal = require "shoal"
local t = require "t"
local test, eq, ok, has, raises, fails, with_node = t.test, t.eq, t.ok, t.has, t.raises, t.fails, t.with_node

local function class(id, methods, options)
  local C = shoal.actor(id, options)
  for name, fn in pairs(methods) do C[name] = fn end
  return C
end

local Plain = class("plain", {
  ping = function() return "pong" end,
  fail = function() error("failed on purpose", 0) end,
  quit = function(self) self.cx:stop("enough") return "bye" end,
})

test("stop, done and their reasons", function()
  with_node({}, function(node)
    local a = assert(node:spawn(Plain))
    local reason = assert(a:stop())
    eq(reason.kind, "normal")
    eq(type(reason.text), "string")
    eq(a:done().kind, "gone")
    local b = assert(node:spawn(Plain))
    local got
    node:task(function() got = b:done() end)
    eq(b:ask("quit"), "bye")
    shoal.sleep(0.01)
    eq(got.kind, "normal")
    eq(got.text, "enough")
    local c = assert(node:spawn(Plain))
    eq(c:kill(), true)
    eq(c:done().kind ~= "normal", true)
    local d = assert(node:spawn(Plain))
    d:tell("fail")
    local why = d:done()
    eq(why.kind, "error")
    has(why.text, "failed on purpose")
  end)
end)

test("stop handles what is queued; kill does not, and tells on_undelivered", function()
  with_node({}, function(node)
    local log
    local Q = class("queue", {
      work = function(_, n) log[#log + 1] = n end,
      on_undelivered = function(_, messages)
        for _, m in ipairs(messages) do log[#log + 1] = m.name .. tostring(m.value) end
      end,
      on_stop = function(_, reason) log[#log + 1] = reason.kind end,
    })
    log = {}
    local a = assert(node:spawn(Q))
    for i = 1, 3 do a:tell("work", i) end
    a:stop()
    eq(table.concat(log, " "), "1 2 3 normal")
    log = {}
    local b = assert(node:spawn(Q))
    for i = 1, 3 do b:tell("work", i) end
    b:kill()
    b:done()
    eq(table.concat(log, " "), "work1 work2 work3 killed")
  end)
end)

test("stop with a timeout", function()
  with_node({}, function(node)
    local Slow = class("slow", { work = function() shoal.sleep(0.2) end })
    local a = assert(node:spawn(Slow))
    a:tell("work")
    shoal.sleep(0.01)
    fails("timeout", "not_sent", "", a:stop{ timeout = 0.02 })
    eq(a:done().kind, "normal")
  end)
end)

test("on_stop may wait", function()
  with_node({}, function(node)
    local log, other = {}, assert(node:spawn(Plain))
    local S = class("stopping", {
      on_stop = function() shoal.sleep(0.01); log[1] = other:ask("ping") end,
      x = function() end,
    })
    local a = assert(node:spawn(S))
    assert(a:stop())
    eq(log[1], "pong")
  end)
end)

test("on_error decides", function()
  with_node({}, function(node)
    local E = class("errors", {
      init = function(self, answer) self.answer = answer; self.errors = 0 end,
      fail = function(_, v) error(v, 0) end,
      count = function(self) return { self.errors, self.message } end,
      on_error = function(self, e)
        self.errors = self.errors + 1
        self.message = e.message .. " " .. e.code .. " " .. tostring(e)
        return self.answer
      end,
    })
    local a = assert(node:spawn(E, shoal.RESUME))
    a:tell("fail", "one")
    local got = a:ask("count")
    eq(got[1], 1)
    eq(got[2], "one handler one")
    fails("handler", "handled", "two", a:ask("fail", "two"))
    eq(a:ask("count")[1], 2)
    local b = assert(node:spawn(E, shoal.STOP))
    fails("handler", "handled", "three", b:ask("fail", "three"))
    local reason = b:done()
    ok(reason.kind == "error" or reason.kind == "gone", reason.kind)
  end)
end)

test("without on_error an ask resumes, a tell stops", function()
  with_node({}, function(node)
    local a = assert(node:spawn(Plain))
    fails("handler", "handled", "on purpose", a:ask("fail"))
    eq(a:ask("ping"), "pong")
    a:tell("fail")
    eq(a:done().kind, "error")
  end)
end)

test("on_error that answers nothing: as without it", function()
  with_node({}, function(node)
    local seen, wait = {}, 0
    local N = class("nothing", {
      fail = function(_, v) error(v, 0) end,
      ping = function() return "pong" end,
      on_error = function(_, e) if wait > 0 then shoal.sleep(wait) end seen[#seen + 1] = e.message end,
    })
    for _, seconds in ipairs{ 0, 0.01 } do -- at once, and after a wait
      seen, wait = {}, seconds
      local a = assert(node:spawn(N))
      fails("handler", "handled", "asked", a:ask("fail", "asked"))
      eq(a:ask("ping"), "pong")
      a:tell("fail", "told")
      eq(a:done().kind, "error")
      eq(table.concat(seen, " "), "asked told")
    end
  end)
end)

test("on_down that answers nothing: as without it", function()
  with_node({}, function(node)
    local seen, wait = {}, 0
    local N = class("nothing.down", {
      link = function(self, ref) return shoal.assert(self.cx:link(ref)) end,
      monitor = function(self, ref) return shoal.assert(self.cx:monitor(ref)) end,
      ping = function() return "pong" end,
      on_down = function(_, _, reason) if wait > 0 then shoal.sleep(wait) end seen[#seen + 1] = reason.kind end,
    })
    for _, seconds in ipairs{ 0, 0.01 } do
      seen, wait = {}, seconds
      local a = assert(node:spawn(N))
      local ended, watched, linked = assert(node:spawn(Plain)), assert(node:spawn(Plain)), assert(node:spawn(Plain))
      a:ask("link", ended)
      a:ask("monitor", watched)
      a:ask("link", linked)
      ended:stop()
      watched:kill()
      shoal.sleep(0.03)
      eq(a:ask("ping"), "pong")
      linked:kill()
      local reason = a:done()
      ok(reason.kind == "link_died" or reason.kind == "gone", reason.kind)
      eq(table.concat(seen, " "), "normal killed killed")
    end
  end)
end)

local Watch = class("watch", {
  init = function(self) self.seen = {} end,
  monitor = function(self, ref) return shoal.assert(self.cx:monitor(ref)) end,
  link = function(self, ref) return shoal.assert(self.cx:link(ref)) end,
  unlink = function(self, ref) return shoal.assert(self.cx:unlink(ref)) end,
  seen = function(self) return self.seen end,
  take = function(self) local s = self.seen; self.seen = {}; return shoal.list(s) end,
  on_down = function(self, ref, reason)
    self.seen[#self.seen + 1] = { ref = ref, kind = reason.kind, text = reason.text, cause = reason.ref }
    return shoal.RESUME
  end,
})

test("a monitor is told once, a link too, after unlink nobody", function()
  with_node({}, function(node)
    local w = assert(node:spawn(Watch))
    local function victim(how)
      local v = assert(node:spawn(Plain))
      eq(w:ask(how, v), true)
      return v
    end
    local m, l, u = victim("monitor"), victim("link"), victim("monitor")
    eq(w:ask("unlink", u), true)
    m:kill()
    l:kill()
    u:kill()
    shoal.sleep(0.02)
    local seen = w:ask("take")
    eq(#seen, 2)
    for _, s in ipairs(seen) do
      eq(s.kind, "killed")
      ok(s.ref == m or s.ref == l)
    end
    eq(w:ask("monitor", m), true) -- it has ended: told so
    shoal.sleep(0.02)
    eq(w:ask("take")[1].kind, "gone")
  end)
end)

test("a link takes the other along, unless normal", function()
  with_node({}, function(node)
    local L = class("linked", {
      link = function(self, ref) return shoal.assert(self.cx:link(ref)) end,
      quit = function(self) self.cx:stop() end,
    })
    local a, b, c = assert(node:spawn(L)), assert(node:spawn(L)), assert(node:spawn(L))
    a:ask("link", b)
    a:ask("link", c)
    b:ask("quit")
    eq(b:done().kind ~= nil, true)
    eq(a:ask("link", c), true)
    c:kill()
    local reason = a:done()
    eq(reason.kind, "link_died")
    ok(reason.ref == c, "the cause")
  end)
end)

test("spawn with link and monitor", function()
  with_node({}, function(node)
    local w = assert(node:spawn(Watch))
    local a = assert(node:spawn(Plain, nil, { monitor = w }))
    local b = assert(node:spawn(Plain, nil, { link = w }))
    a:kill()
    b:kill()
    shoal.sleep(0.02)
    eq(#w:ask("take"), 2)
    local P = class("parent", {
      init = function(self) self.n = 0 end,
      make = function(self) return self.cx:spawn(Plain, nil, { monitor = true }) end,
      on_down = function(self) self.n = self.n + 1; return shoal.RESUME end,
      n = function(self) return self.n end,
    })
    local p = assert(node:spawn(P))
    local child = p:ask("make")
    child:kill()
    child:done()
    shoal.sleep(0.02)
    eq(p:ask("n"), 1)
  end)
end)

test("a hook that fails stops the actor and is told", function()
  local lines = {}
  with_node({ log = "warn", on_log = function(_, text) lines[#lines + 1] = text end }, function(node)
    local H = class("hooks", { x = function() end, on_stop = function() error("in on_stop") end })
    assert(node:spawn(H)):stop()
    local D = class("downs", {
      watch = function(self, ref) self.cx:monitor(ref) end,
      on_down = function() return "nonsense" end,
    })
    local d, v = assert(node:spawn(D)), assert(node:spawn(Plain))
    d:ask("watch", v)
    v:kill()
    ok(d:done())
    shoal.sleep(0.01)
  end)
  has(table.concat(lines, "\n"), "on_stop of actor hooks failed", "in on_stop", "on_down must return")
end)

test("timers", function()
  with_node({}, function(node)
    local T = class("timers", {
      init = function(self) self.ticks = {}; self.first = self.cx:after(0.01, "tick", "from init") end,
      tick = function(self, v) self.ticks[#self.ticks + 1] = v end,
      go = function(self) self.timer = self.cx:every(0.005, "tick", "every") end,
      cancel = function(self) return self.timer:cancel() end,
      again = function(self) return select("#", self.timer:cancel()), (select(3, self.timer:cancel())) end,
      code = function(self) return (select(3, self.timer:cancel())) end,
      ticks = function(self) return shoal.list(self.ticks) end,
      bad = function(self) return { pcall(self.cx.after, self.cx, -1, "tick") } end,
    })
    local a = assert(node:spawn(T))
    shoal.sleep(0.03)
    eq(a:ask("ticks")[1], "from init")
    a:ask("go")
    shoal.sleep(0.05)
    eq(a:ask("cancel"), true)
    local n = #a:ask("ticks")
    ok(n >= 3, "ticks: " .. n)
    shoal.sleep(0.03)
    eq(#a:ask("ticks"), n)
    eq(a:ask("code"), "not_found")
    eq(a:ask("bad")[1], false)
  end)
end)

test("reply, defer, forward, sender, name", function()
  with_node({}, function(node)
    local promises = {}
    local R = class("answers", {
      early = function(self) self.cx:reply("early"); shoal.sleep(0.01); self.after = true; return "ignored" end,
      twice = function(self) self.cx:reply(1); return { pcall(self.cx.reply, self.cx, 2) } end,
      later = function(self) promises[#promises + 1] = self.cx:defer() end,
      forward = function(self, m) return self.cx:forward(m.to, m.name, m.value) end,
      same = function(self, m) return self.cx:forward(m.to) end,
      who = function(self) return { sender = self.cx.sender or shoal.null, name = self.cx.name, ref = self.cx.ref } end,
      relay_who = function(_, to) return to:ask("who") end,
      now = function(self) return { self.cx:now(), self.cx:random(), self.cx.node.peer_id } end,
    })
    local S = class("same", { same = function(_, m) return "same got " .. m.x end, other = function(_, v) return v * 2 end })
    local a, b, s = assert(node:spawn(R)), assert(node:spawn(R)), assert(node:spawn(S))
    eq(a:ask("early"), "early")
    eq(a:ask("twice"), 1)
    node:task(function() shoal.sleep(0.01); eq(promises[1]:reply({ ok = true }), true) end)
    eq(a:ask("later").ok, true)
    node:task(function() shoal.sleep(0.01); promises[2]:fail("not today") end)
    fails("handler", "handled", "not today", a:ask("later"))
    a:tell("later")
    a:drain()
    eq(a:ask("forward", { to = s, name = "other", value = 21 }), 42)
    eq(a:ask("same", { to = s, x = "it" }), "same got it")
    local who = a:ask("who")
    eq(who.sender, shoal.null)
    eq(who.name, "who")
    ok(who.ref == a)
    ok(b:ask("relay_who", a).sender == b)
    local now = a:ask("now")
    ok(now[1] > 0 and now[2] >= 0 and now[2] < 1)
    eq(now[3], node.peer_id)
    fails("bad_value", "not_sent", "value: a function", promises[1]:reply(print))
  end)
end)

test("cx outside its handler raises", function()
  with_node({}, function(node)
    local kept
    local K = class("keeper", { keep = function(self) kept = self.cx end })
    assert(node:spawn(K)):ask("keep")
    raises(function() kept:reply(1) end, "cx:reply: no handler of this actor runs now")
    raises(function() return kept.sender end, "cx.sender")
    raises(function() kept:stop() end, "cx:stop")
    ok(kept.ref)
    ok(kept.node == node or kept.node.peer_id == node.peer_id)
  end)
end)

test("RESUME and STOP, no RESTART and nothing else that is not there", function()
  eq(shoal.RESUME ~= shoal.STOP, true)
  for _, name in ipairs{ "RESTART", "pool", "stream", "publish" } do eq(shoal[name], nil) end
  with_node({}, function(node)
    local ref = assert(node:spawn(Plain))
    for _, name in ipairs{ "publish", "offer", "pool", "reload" } do eq(node[name], nil) end
    for _, name in ipairs{ "stream", "subscribe", "unsubscribe" } do eq(ref[name], nil) end
  end)
end)

t.finish()

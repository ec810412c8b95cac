"""host.py - a node of the chaos runs, in Python; host.c says what it obeys and prints.   python3 host.py KEY=VALUE..."""
import asyncio
import json
import sys
import time

import shoal

TICK_S, LATE_US = 0.02, 20000
node = watcher = None


def now():
    return time.monotonic_ns() // 1000


def say(event, **fields):
    sys.stdout.write(json.dumps({"t": now(), "ev": event, **fields}) + "\n")
    sys.stdout.flush()


async def ended(id, pending):
    """Waits for a call, and says how it ended."""
    try:
        value = await pending
        code, delivery = "ok", ""
        ref = str(value) if isinstance(value, shoal.Ref) else ""
    except shoal.Error as error:
        code, delivery, ref = error.code, error.delivery, ""
    say("end", id=id, code=code, dl=delivery, ref=ref)
    return code


class Leaf(shoal.Actor, id="chaos.leaf"):
    def __init__(self, ref=None):
        self.linked = ref

    def on_start(self):
        if self.linked:
            self.cx.link(self.linked)

    def watch(self, ref, /):
        self.cx.monitor(ref)

    def stop(self):
        self.cx.stop()

    def on_down(self, ref, reason):
        say("down", at=str(self.cx.ref), to=str(ref), kind=reason.kind)
        return shoal.RESUME

    def on_stop(self, reason):
        say("dead", at=str(self.cx.ref))


class Worker(shoal.Actor, id="chaos.worker"):
    def __init__(self):
        self.held, self.next = {}, 0

    async def op(self, id, kind, arg, lane, seq):
        say("ran", id=id, at=str(self.cx.ref), lane=lane, seq=seq)
        if kind == "later":
            self.next += 1
            self.held[self.next] = self.cx.defer()
            self.cx.after(int(arg) / 1000, "due", self.next)
        elif kind == "via":
            ref = node.ref(arg)
            say("ask", id=id + "v", to=arg, ms=500, lane="", seq=0)
            try:
                pending = ref.ask.op(id=id + "v", kind="now", arg="", lane="", seq=0, _timeout=0.5)
            except shoal.Error as error:
                say("end", id=id + "v", code=error.code, dl=error.delivery, ref="")
                return error.code
            return await ended(id + "v", pending)
        elif kind == "fail":
            raise ValueError("told to fail")
        elif kind == "die":
            self.cx.stop("told to die")
        elif kind == "mute":
            self.cx.defer()

    def due(self, slot, /):
        promise = self.held.pop(slot, None)
        if promise:
            promise.reply(None)

    def on_error(self, error):
        return shoal.RESUME

    on_down, on_stop = Leaf.on_down, Leaf.on_stop


def on_event(event, info):
    if event == "undelivered":
        say("und", to=str(info["to"] or ""), count=info["count"], code=info["code"])
    else:
        say(event, peer=str(info.get("peer", "")), text=str(info.get("text", "")))


async def obey(id, what, *word):
    if what == "spawn":
        worker = await node.spawn(Worker)
        say("born", id=id, at=str(worker), name=word[0])
        await ended(id, worker.register(word[0]))
    elif what == "lookup":
        say("look", id=id, name=word[0], ms=int(word[1]))
        await ended(id, node.lookup(word[0], int(word[1]) / 1000))
    elif what == "watch":
        say("watch", id=id, at=str(watcher), to=word[0])
        watcher.tell.watch(node.ref(word[0]))
        say("end", id=id, code="ok", dl="", ref="")
    elif what == "link":
        leaf = await node.spawn(Leaf, node.ref(word[0]))
        say("link", id=id, at=str(leaf), to=word[0])
        say("end", id=id, code="ok", dl="", ref="")
    elif what == "unlink":
        node.ref(word[0]).tell.stop()
    elif what == "stop":
        await ended(id, node.stop(int(word[0]) / 1000))


def message(id, what, to, *word):
    """ask and tell, which begin at once."""
    ref = node.ref(to)
    ms = int(word[0]) if what == "ask" else 0
    kind, arg, lane, seq = word[-4:]
    fields = {"id": id, "kind": kind, "arg": arg, "lane": lane, "seq": int(seq)}
    say(what, id=id, to=to, ms=ms, lane=lane, seq=int(seq))
    try:
        if what == "tell":
            ref.tell.op(**fields)
            say("end", id=id, code="ok", dl="", ref="")
            return None
        return ended(id, ref.ask.op(**fields, _timeout=ms / 1000))
    except shoal.Error as error:
        say("end", id=id, code=error.code, dl=error.delivery, ref="")
        return None


async def ticks():
    while True:
        due = now() + int(TICK_S * 1e6)
        await asyncio.sleep(TICK_S)
        if (late := now() - due) > LATE_US:
            say("late", us=late)


async def main(words):
    global node, watcher
    options = dict(word.split("=", 1) for word in words if not word.startswith("dial="))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = set()
    more = {"peer_timeout": int(options["peer_timeout_ms"]) / 1000} if "peer_timeout_ms" in options else {}
    async with shoal.Node(listen=[options.get("listen", "/ip4/127.0.0.1/tcp/0")], key=options.get("key"),
                          announce=[options["announce"]] if "announce" in options else [],
                          dial=[word[5:] for word in words if word.startswith("dial=")],
                          threads=int(options.get("threads", 1)), on_event=on_event, log="off", **more) as node:
        watcher = await node.spawn(Leaf)
        say("ready", peer=node.peer_id, address=node.addresses[0])
        ticking = asyncio.create_task(ticks())
        while line := await lines.readline():
            word = line.decode().split()
            call = message(*word) if word[1] in ("ask", "tell") else obey(*word)
            if call:
                task = asyncio.create_task(call)
                running.add(task)
                task.add_done_callback(running.discard)
        ticking.cancel()


asyncio.run(main(sys.argv[1:]))

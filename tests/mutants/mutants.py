"""tests/mutants/mutants.py - small bugs of the kinds this field has had; see run.py.

Each: a name, what breaks for whom, the file, the text that is there once, what stands there instead, and the tests that may
catch it, narrow ones first. `sim` is the simulator with some seeds.
"""
from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


YAMUX = ("test_proto_yamux", "test_proto_stack", "sim")
STACK = ("test_proto_stack", "test_proto_stack_hostile", "sim")
NATIVE = ("test_remote_native", "test_remote_hostile", "test_remote_limits", "test_remote_chaos", "sim")
ACTOR = ("test_actor_runtime", "test_actor_life", "test_actor_property", "sim")
SWARM = ("test_swarm_swarm", "test_swarm_dht", "test_swarm_lookup", "test_swarm_limits", "sim")
NAMES = ("test_remote_names", "sim")
HOT = ("test_remote_hot", "test_remote_native", "sim")
INTERRUPTS = ("test_torture_interrupts",)
IO = ("test_io_tcp", "test_io_loopback", "test_abi_two_nodes")

MUTANTS = [
    # --- base ---
    Mutant("wheel-early", "a timer fires a tick too early", "core/base/wheel.c",
           "while (wheel_first(w, &level, &tick) && tick <= now) {", "while (wheel_first(w, &level, &tick) && tick <= now + 1) {",
           ("test_base_wheel", "sim")),
    Mutant("wheel-lost-level", "a timer that moves to a lower level is forgotten", "core/base/wheel.c",
           "    w->occupied[level] |= UINT64_C(1) << slot;\n", "    w->occupied[level] = UINT64_C(1) << slot;\n",
           ("test_base_wheel", "sim")),
    Mutant("slab-stale", "a reused slot answers to its old number", "core/base/slab.h",
           "SH_SLAB_LIVE && slot->generation == generation;", "SH_SLAB_LIVE && slot->generation >= generation;", ("test_base_slab", "test_actor_runtime", "sim")),
    Mutant("varint-long", "a number in more bytes than it needs is taken", "core/base/varint.c",
           "        if (byte == 0 && i > 0) {", "        if (byte == 0 && i > SH_UVARINT_MAX) {", ("test_base_span", "test_proto_frame", "test_proto_kad_msg")),
    Mutant("mp-depth", "a value one level too deep is walked", "core/base/mp.c",
           "        if (opens && depth == depth_max) {", "        if (opens && depth == SH_MP_DEPTH_MAX) {", ("test_base_mp", "test_abi_value")),
    # --- crypto and Noise ---
    Mutant("noise-nonce-back", "every handshake frame is sealed with nonce 0", "core/proto/noise.c",
           "rc = sh_aead_seal(&a, x->nonce++,", "rc = sh_aead_seal(&a, x->nonce,", ("test_proto_noise", "test_proto_stack")),
    Mutant("noise-no-binding", "a static key is not mixed into the transcript", "core/proto/noise.c",
           "    if (rc == 0) {\n        memcpy(x->h, next, 32);\n    }", "", ("test_proto_noise", "test_proto_stack")),
    Mutant("noise-any-signer", "the identity's signature is not looked at", "core/proto/noise.c",
           "return rc < 0 ? rc : sh_pubkey_verify(key, noise_signed_text(remote_static, text), signature);",
           "(void)text, (void)remote_static;\n    return rc < 0 ? rc : sh_pubkey_verify(key, signature, signature) == 1 ? 1 : 0;",
           ("test_proto_noise", "test_proto_stack_hostile")),
    # --- yamux ---
    Mutant("yamux-window-off-by-one", "a peer may send one byte more than its window", "core/proto/yamux_recv.c",
           "if (f->length > st->rx_window) {", "if (f->length > st->rx_window + 1) {", YAMUX),
    Mutant("yamux-window-unspent", "received data does not use the window up", "core/proto/yamux_recv.c",
           "    st->rx_window -= f->length;\n", "", YAMUX),
    Mutant("yamux-credit-wraps", "a window update past 2^32 wraps to a small one", "core/proto/yamux_recv.c",
           "if (delta > UINT32_MAX - st->tx_window) {", "if (delta == UINT32_MAX && st->tx_window > 0) {", YAMUX),
    Mutant("yamux-lost-wake", "a stream that waited for credit is not woken by it", "core/proto/yamux_recv.c",
           "if (st->starving && st->tx_window > 0) {", "if (st->starving && st->tx_window > delta) {", YAMUX),
    Mutant("yamux-wrong-parity", "a peer may open streams with our numbers", "core/proto/yamux_recv.c",
           "if (f->id == 0 || odd == y->client) {", "if (f->id == 0) {", YAMUX),
    Mutant("yamux-open-twice", "an open stream can be opened again", "core/proto/yamux_recv.c",
           "    if (sh_yamux_find(y, f->id)) {", "    if (sh_yamux_find(y, f->id) == (void *)-1) {", YAMUX),
    Mutant("yamux-double-fin", "the end of a stream is told twice", "core/proto/yamux_recv.c",
           "    if (st->fin_in) {\n        return false;\n    }\n    st->fin_in = true;", "    st->fin_in = true;", YAMUX),
    Mutant("yamux-any-pong", "an answer to another ping counts", "core/proto/yamux_recv.c",
           "y->pinging && f->length == y->ping_value", "y->pinging", ("test_proto_yamux", "test_proto_stack")),
    # --- actors ---
    Mutant("ask-wrong-reply", "a late reply is matched to the ask that has its slot now", "core/actor/ask.c",
           "    return sh_slab_get(&x->slots, sh_pid_slot(id), sh_pid_generation(id));", "    return sh_slab_at(&x->slots, sh_pid_slot(id));", ACTOR),
    Mutant("ask-no-withdraw", "an ask that timed out is still handled", "core/actor/ask.c",
           "    if (ask) {\n        sh_exec_release(x, ask);\n        return SH_NOT_SENT;\n    }", "    if (ask && !a) {\n        return SH_NOT_SENT;\n    }",
           ACTOR),
    Mutant("ask-wrong-class", "an ask that may have run is called safe to repeat", "core/actor/ask.c",
           "sh_slot_end(x, s, s->code, unsent ? SH_NOT_SENT : SH_UNKNOWN);", "sh_slot_end(x, s, s->code, SH_NOT_SENT);", ACTOR + ("test_abi_two_nodes",)),
    Mutant("gate-lost-wake", "who waits for room is not told of it", "core/actor/gate.h",
           "    if (!(v & SH_GATE_WANTED) || (v & SH_GATE_ROOM) <= SH_GATE_BIAS) {\n        return false;",
           "    if (!(v & SH_GATE_WANTED) || (v & SH_GATE_ROOM) <= SH_GATE_BIAS + 1) {\n        return false;", ("test_actor_parts",) + ACTOR),
    Mutant("gate-stale", "a gate lets through what was meant for its slot's last actor", "core/actor/gate.h",
           "if ((v >> 32) != generation || !(v & SH_GATE_ALIVE)) {", "if (!(v & SH_GATE_ALIVE)) {",
           ("test_actor_parts", "test_actor_runtime", "test_stress_actor_threads", "sim")),
    Mutant("inbox-order", "a chain from another thread is taken newest first", "core/actor/inbox.c",
           "        m->next = turned;\n        turned = m;\n        m = next;", "        if (turned) {\n            m->next = turned->next;\n            turned->next = m;\n        } else {\n            m->next = NULL;\n            turned = m;\n        }\n        m = next;",
           ("test_actor_parts", "test_actor_runtime", "test_stress_actor_threads")),
    Mutant("room-order", "a tell overtakes an ask that waits for room", "core/actor/room.c",
           "    return sh_map_u64_get(&x->waits, wait_key(to), NULL);", "    (void)x, (void)to;\n    return false;", ACTOR),
    Mutant("unlink-one-side", "a link that was taken back still kills the one who took it back", "core/actor/links.c",
           "    sh_msg *m = link || watched ? sh_exec_msg(", "    sh_msg *m = watched ? sh_exec_msg(", ACTOR),
    Mutant("death-untold", "who watches a name that is gone hears nothing", "core/actor/links.c",
           "    if (!a || (a->flags & SH_A_STOPPED)) {\n        watch_failed(x, m, SH_E_NOT_RUNNING);\n        return;\n    }",
           "    if (!a || (a->flags & SH_A_STOPPED)) {\n        sh_exec_release(x, m);\n        return;\n    }", ACTOR),
    Mutant("death-reason", "a death tells the wrong reason", "core/actor/links.c",
           "            m->why = (uint8_t)reason->kind;", "            m->why = 0;", ACTOR),
    # --- the wire between nodes ---
    Mutant("credit-dropped", "an answered ask never gives its window back", "core/remote/native_credit.c",
           "            native_credit_due(n, o, w->cost, true);\n        }\n        w->cost = 0;",
           "        }\n        w->cost = 0;", NATIVE),
    Mutant("credit-twice", "a credit is sent again", "core/remote/native_credit.c",
           "    o->due_messages = o->due_asks = o->wider = 0;", "    o->due_asks = o->wider = 0;", NATIVE),
    Mutant("credit-late", "the last credits of a burst never leave", "core/remote/native_credit.c",
           "    bool all = now_us >= n->credit_us || n->due_bytes >= SH_SESSION_WINDOW / QUARTER;",
           "    bool all = n->due_bytes >= SH_SESSION_WINDOW / QUARTER;", NATIVE),
    Mutant("window-unchecked", "a peer may send past a target's window", "core/remote/native_in.c",
           "    if (o->used + o->due_messages >= o->window || ", "    if (", NATIVE),
    Mutant("window-off-by-one", "a peer may send one message past a target's window", "core/remote/native_in.c",
           "    if (o->used + o->due_messages >= o->window || ", "    if (o->used + o->due_messages > o->window || ", NATIVE),
    Mutant("export-open", "an actor that was never handed out can be called", "core/remote/native_in.c",
           "    } else if (!o->exported && !sh_export_has(&n->r->exports, actor)) {", "    } else if (!o->exported && actor == 1) {", NATIVE),
    Mutant("admin-open", "anybody may stop our actors", "core/remote/native_in.c",
           "    bool found = r->admin_all;", "    bool found = true;", NATIVE + ("test_abi_two_nodes",)),
    Mutant("watch-forgotten", "watches are not sent again after a lost connection", "core/remote/native.c",
           "        if (w->call == 0 && !n->broken) {", "        if (w->call == 0 && !n->broken && !w->confirmed) {", NATIVE),
    Mutant("death-to-one", "of several watchers of one remote actor only the first is told", "core/remote/watch.c",
           "    while (!sh_list_empty(&w->locals)) {\n        struct sh_watch_local *l", "    if (!sh_list_empty(&w->locals)) {\n        struct sh_watch_local *l", NATIVE),
    # --- what makes it fast ---
    Mutant("room-untold", "who was refused by a peer's queue is never told of room", "core/actor/runtime.c",
           "        atomic_store_explicit(&rt->room_back, 1, memory_order_release);\n", "", HOT),
    Mutant("part-kept", "a half written value is never given back", "core/remote/native_write.c",
           "        n->part = NULL;\n        native_done(n, m);", "        n->part = NULL;\n        (void)m;", HOT),
    Mutant("gate-ungiven", "what has left still takes room in the peer's queue", "core/remote/native_out.c",
           "        n->peer->gate_due += sh_msg_bytes(m);", "        n->peer->gate_due += 0;", HOT),
    Mutant("names-late-kept", "names of the last session are taken for known", "core/remote/native_out.c",
           "    native_names_forget(n);\n", "", HOT),
    Mutant("last-own-kept", "the window found last outlives its session", "core/remote/native_credit.c",
           "    n->last_own = n->last_own == o ? NULL : n->last_own;\n", "", HOT),
    Mutant("table-off-by-one", "a table that grows is one entry short", "core/remote/native_in.c",
           "    while (more <= entry) {", "    while (more < entry) {", HOT),
    Mutant("rest-forgets", "a connection does not wake", "core/crypto/aead.c",
           "    EVP_CIPHER_CTX_free(a->ctx); /* cleanses", "    a->keyed = false;\n    EVP_CIPHER_CTX_free(a->ctx); /* cleanses",
           ("test_proto_rest", "test_swarm_swarm")),
    Mutant("never-rests", "an idle connection keeps its cipher contexts", "core/proto/stack.c",
           "    sh_aead_rest(&s->open);\n", "", ("test_proto_rest",)),
    Mutant("hot-kept", "the socket heard last is read after its end", "core/io/tcp.c",
           "    io->hot = io->hot == t ? NULL : io->hot;\n", "", ("test_io_hot", "test_io_tcp")),
    Mutant("room-no-end", "room does not end a poll", "core/io/poll.c",
           "    if (over || woken || room) {", "    (void)room;\n    if (over || woken) {", ("test_io_hot",)),
    Mutant("sleep-unseen", "what comes just before a sleep does not end it", "core/io/loop.c",
           "    atomic_store_explicit(blocked, 1, memory_order_seq_cst);", "    atomic_store_explicit(blocked, 0, memory_order_seq_cst);",
           ("test_io_hot", "test_io_poll")),
    Mutant("fd-late", "a descriptor asked for late does not tell what there is", "core/io/poll.c",
           "    if (atomic_exchange_explicit(&io->fd_asked, 1, memory_order_seq_cst) == 0) {",
           "    if (atomic_exchange_explicit(&io->fd_asked, 1, memory_order_seq_cst) == 2) {", ("test_io_hot", "test_io_poll")),
    Mutant("stranger-early", "an ask to a stranger does not wait for who can be asked", "core/swarm/dial.c",
           "    if (early && p->link_count == 0) {", "    if (early && p->link_count > 9) {", ("test_swarm_swarm",)),
    Mutant("stranger-for-ever", "an ask to a stranger waits for a silent peer", "core/swarm/dial.c",
           "DIAL_STRANGER_US = 1000000,", "DIAL_STRANGER_US = 100000000,", ("test_swarm_swarm",)),
    Mutant("given-up-silently", "a link that the other side gave up ends without a word", "core/remote/native_calls.c",
           "    bool lost = n->peer->gave_up;", "    bool lost = false;", NATIVE),
    Mutant("unlink-told-as-loss", "a link undone while there was no connection is told as a death", "core/remote/native_calls.c",
           "    bool lost = n->peer->gave_up;", "    bool lost = true;", NATIVE),
    Mutant("strange-once", "one spoilt bit in a protocol's name is a death", "core/swarm/dial.c",
           "(strange && a->strange)", "strange", ("test_swarm_loss",)),
    Mutant("goodbye-before-credits", "tells handled just before a graceful stop are told as undelivered", "core/remote/native_in.c",
           "        native_credits_all(n);\n", "", ("test_remote_limits",)),
    # --- calls that say "again" ---
    Mutant("send-interrupted", "a send that a signal interrupts ends the connection", "core/io/tcp.c",
           "        } else if (errno != EINTR) {\n            tcp_lost(t, errno, now_us);", "        } else {\n            tcp_lost(t, errno, now_us);",
           INTERRUPTS),
    Mutant("recv-interrupted", "a receive that a signal interrupts ends the connection", "core/io/tcp.c",
           "e != EWOULDBLOCK && e != EINTR) {", "e != EWOULDBLOCK) {", INTERRUPTS),
    Mutant("connect-interrupted", "a dial that a signal interrupts has failed", "core/io/tcp.c",
           "errno != EINPROGRESS && errno != EINTR", "errno != EINPROGRESS", INTERRUPTS),
    Mutant("full-for-ever", "a socket that was full is not written again", "core/io/tcp.c",
           "            tcp_arm(t, t->armed | UV_WRITABLE);\n            return told;", "            return told;", INTERRUPTS),
    Mutant("question-interrupted", "a question to a name server that a signal interrupts is given up", "core/io/dns.c",
           "    } while (put < 0 && errno == EINTR);", "    } while (put < -1);", INTERRUPTS),
    Mutant("allow-lent", "the allow list is read after its memory was given back", "core/swarm/swarm.c",
           "    memcpy(copy, cfg->allow, cfg->allow_count * sizeof *copy);\n    s->cfg.allow = s->allow = copy;",
           "    memcpy(copy, cfg->allow, cfg->allow_count * sizeof *copy);\n    s->allow = copy;\n    s->cfg.allow = cfg->allow;",
           ("test_swarm_swarm", "test_torture_secrets")),
    # --- names ---
    Mutant("lookup-all-at-once", "every lookup asks ten peers where one knows", "core/swarm/query.c",
           "    return s->now_us < q->hold_us && ", "    return s->now_us < q->hold_us && q->done && ", SWARM),
    Mutant("lone-name", "a name registered before anybody was known stays where its holder connected", "core/swarm/query.c",
           "        sh_pub_booted(s);\n", "        (void)s;\n", SWARM),
    Mutant("provider-for-others", "a record in somebody else's name is kept", "core/swarm/records.c",
           "sh_utf8_valid(key) && sh_peer_id_eq(id, sender);", "sh_utf8_valid(key);", ("test_swarm_records", "test_swarm_swarm")),
    Mutant("record-unexpired", "an expired record is still served", "core/swarm/records.c",
           "    return v->end_us > now_us ? v : NULL;", "    (void)now_us;\n    return v;", ("test_swarm_records", "sim")),
    Mutant("provider-unexpired", "a provider whose time is over is still named", "core/swarm/records.c",
           "        if (p->end_us > now_us && i-- == 0) {", "        if (i-- == 0) {", ("test_swarm_records", "sim")),
    Mutant("record-share", "one peer may fill the store", "core/swarm/records.c",
           "n >= SH_RECORD_PUBLISHER_MAX ? SH_E_LIMIT", "n > SH_RECORD_PUBLISHER_MAX * 64 ? SH_E_LIMIT",
           ("test_swarm_records", "test_swarm_limits")),
]

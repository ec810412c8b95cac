/* proto/stack.c - a connection over a byte pipe: implements the operations of conn.h by wiring
 * multistream-select, Noise and yamux together. Input is opened and output sealed where it lies. */
#include "proto/stack_internal.h"

#include "base/sh_assert.h"

enum {
    STACK_COMPACT_BELOW =
        32768, /* less room than this: move what is left of a frame to the front */
};

static sh_stack *stack_of(sh_conn *c)
{
    return (sh_stack *)(void *)c;
}

static const sh_stack *stack_of_const(const sh_conn *c)
{
    return (const sh_stack *)(const void *)c;
}

void sh_stack_fail(sh_stack *s, int err, const char *why)
{
    if (s->phase == STACK_OVER) {
        return;
    }
    if (s->phase == STACK_UP && !s->eof) {
        sh_yamux_away(&s->yamux, err == SH_E_PROTO ? SH_YAMUX_PROTOCOL : SH_YAMUX_INTERNAL);
        sh_outq_close(&s->out);
    }
    s->phase = STACK_OVER;
    s->err = err;
    s->why = why;
    s->deadline_us = UINT64_MAX;
}

/* --- input --- */

static void stack_release_input(sh_stack *s)
{
    if (s->in && s->in->head == s->in->tail && s->plain_n == 0) {
        sh_block_put(s->pool, s->in);
        s->in = NULL;
    }
}

/* Moves what is not yet done with to the front of the block. */
static void stack_compact(sh_stack *s)
{
    sh_block *b = s->in;
    uint32_t from = s->plain_n > 0 ? s->plain_at : b->head;
    if (from == 0) {
        return;
    }
    memmove(b->data, b->data + from, b->tail - from);
    b->head -= from;
    b->tail -= from;
    s->plain_at -= s->plain_n > 0 ? from : 0;
}

static uint8_t *stack_room(sh_conn *c, size_t *n)
{
    sh_stack *s = stack_of(c);
    *n = 0;
    if (!s->in && sh_block_get(s->pool, s->quota, &s->in) < 0) {
        s->in = NULL;
        return NULL;
    }
    sh_block *b = s->in;
    if (s->phase == STACK_OVER || s->eof || s->plain_n > 0) {
        return b->data;
    }
    if (b->head == b->tail) {
        b->head = 0;
        b->tail = 0;
    } else if (sh_block_room(b) < STACK_COMPACT_BELOW) {
        stack_compact(s);
    }
    *n = sh_block_room(b);
    return b->data + b->tail;
}

bool sh_stack_open_frame(sh_stack *s)
{
    sh_span raw = s->in ? sh_block_span(s->in) : sh_span_none();
    if (raw.n < 2) {
        return false;
    }
    size_t n = sh_load_u16be(raw.p);
    if (n < SH_AEAD_TAG_BYTES) {
        sh_stack_fail(s, SH_E_PROTO, "a Noise frame is shorter than its tag");
        return false;
    }
    if (raw.n - 2 < n) {
        return false;
    }
    uint8_t *body = s->in->data + s->in->head + 2;
    size_t plain_n = n - SH_AEAD_TAG_BYTES;
    if (sh_aead_open(&s->open, s->rx_nonce++, sh_span_none(), body, plain_n, body + plain_n) < 0) {
        sh_stack_fail(s, SH_E_PROTO, "a Noise frame does not decrypt");
        return false;
    }
    s->plain_at = s->in->head + 2;
    s->plain_n = (uint32_t)plain_n;
    s->in->head += (uint32_t)(2 + n);
    return true;
}

static void stack_filled(sh_conn *c, size_t n, uint64_t now_us)
{
    sh_stack *s = stack_of(c);
    (void)now_us; /* time comes with event and tick */
    if (s->phase == STACK_OVER || !s->in) {
        return;
    }
    SH_ASSERT(n <= sh_block_room(s->in));
    s->in->tail += (uint32_t)n;
    if (n == 0) {
        stack_release_input(s);
        return;
    }
    if (s->phase < STACK_UP) {
        sh_stack_handshake_step(s);
    }
}

static void stack_eof(sh_conn *c, uint64_t now_us)
{
    (void)now_us;
    stack_of(c)->eof = true;
}

/* --- events --- */

/* The next event of a connection that is up, as far as the bytes at hand allow. */
static bool stack_next(sh_stack *s, struct sh_conn_ev *ev, uint64_t now_us)
{
    if (sh_yamux_event(&s->yamux, ev)) {
        return true;
    }
    do {
        sh_span in = sh_stack_plain(s);
        size_t before = in.n;
        bool got = sh_yamux_recv(&s->yamux, &in, ev, now_us);
        s->plain_at += (uint32_t)(before - in.n);
        s->plain_n = (uint32_t)in.n;
        if (got) {
            return true;
        }
    } while (!sh_yamux_over(&s->yamux) && sh_stack_open_frame(s));
    return sh_yamux_event(&s->yamux, ev); /* the last bytes may have been a window update */
}

/* What the layers say about the end, once every event before it was taken. */
static void stack_check_over(sh_stack *s)
{
    const sh_yamux *y = &s->yamux;
    if (s->phase == STACK_UP && s->out.err < 0) {
        sh_stack_fail(s, s->out.err, "a frame could not be sealed");
    } else if (s->phase == STACK_UP && y->err < 0) {
        sh_stack_fail(s, y->err, y->why);
    } else if (s->phase == STACK_UP && y->away) {
        s->phase = STACK_OVER;
        s->code = y->away_code;
        s->err = s->code == 0 ? 0 : SH_E_UNREACHABLE;
        s->why =
            s->code == 0 ? "the peer said goodbye" : "the peer ended the connection with an error";
    } else if (s->eof && s->phase < STACK_UP) {
        sh_stack_fail(s, SH_E_UNREACHABLE, "the pipe ended in the handshake");
    } else if (s->eof && s->phase == STACK_UP) {
        bool inside = s->in || y->header_n > 0 || y->in_body;
        sh_stack_fail(s, inside ? SH_E_UNREACHABLE : 0,
                      inside ? "the pipe ended inside a frame" : "the pipe ended");
    }
}

static bool stack_event(sh_conn *c, struct sh_conn_ev *ev, uint64_t now_us)
{
    sh_stack *s = stack_of(c);
    if (s->phase == STACK_UP) {
        if (!s->told_up) {
            s->told_up = true;
            *ev = (struct sh_conn_ev){.kind = SH_CONN_UP, .peer = s->hs->peer.id};
            sh_stack_handshake_free(s);
            return true;
        }
        if (stack_next(s, ev, now_us)) {
            return true;
        }
    }
    stack_release_input(s);
    stack_check_over(s);
    if (s->phase != STACK_OVER || s->told_closed) {
        return false;
    }
    s->told_closed = true;
    *ev =
        (struct sh_conn_ev){.kind = SH_CONN_CLOSED, .err = s->err, .why = s->why, .code = s->code};
    return true;
}

/* Nothing may ever come in again: that a frame could not be sealed is told by time. */
static bool stack_broke(const sh_stack *s)
{
    return s->out.err < 0 && s->phase == STACK_UP && !s->broke;
}

static uint64_t stack_deadline(const sh_conn *c)
{
    const sh_stack *s = stack_of_const(c);
    return stack_broke(s) ? 0 : s->deadline_us;
}

static void stack_tick(sh_conn *c, uint64_t now_us)
{
    sh_stack *s = stack_of(c);
    s->broke = s->broke || stack_broke(s); /* its owner asks for events now */
    if (s->phase < STACK_UP && now_us >= s->deadline_us) {
        sh_stack_fail(s, SH_E_TIMEOUT, "the handshake took too long");
    }
}

/* --- output --- */

static void stack_flush(sh_conn *c)
{
    sh_stack *s = stack_of(c);
    sh_outq_close(&s->out);
    stack_release_input(s);
}

static void stack_rest(sh_conn *c)
{
    sh_stack *s = stack_of(c);
    sh_aead_rest(&s->seal);
    sh_aead_rest(&s->open);
}

static sh_span stack_out(const sh_conn *c)
{
    return sh_outq_out(&stack_of_const(c)->out);
}

static void stack_sent(sh_conn *c, size_t n)
{
    sh_stack *s = stack_of(c);
    sh_outq_sent(&s->out, n);
    sh_yamux_sent(&s->yamux);
}

/* --- streams: yamux's, once the connection is up --- */

static int stack_open(sh_conn *c, uint64_t *stream)
{
    sh_stack *s = stack_of(c);
    return s->phase == STACK_UP ? sh_yamux_open(&s->yamux, stream) : SH_E_CLOSED;
}

static int64_t stack_write(sh_conn *c, uint64_t stream, sh_span data)
{
    sh_stack *s = stack_of(c);
    return s->phase == STACK_UP ? sh_yamux_write(&s->yamux, stream, data) : SH_E_CLOSED;
}

static size_t stack_writable(const sh_conn *c, uint64_t stream)
{
    const sh_stack *s = stack_of_const(c);
    return s->phase == STACK_UP ? sh_yamux_writable(&s->yamux, stream) : 0;
}

static int stack_shut(sh_conn *c, uint64_t stream)
{
    sh_stack *s = stack_of(c);
    return s->phase == STACK_UP ? sh_yamux_shut(&s->yamux, stream) : SH_E_CLOSED;
}

static void stack_reset(sh_conn *c, uint64_t stream, uint32_t code)
{
    sh_stack *s = stack_of(c);
    if (s->phase == STACK_UP) {
        sh_yamux_reset(&s->yamux, stream, code);
    }
}

static void stack_credit(sh_conn *c, uint64_t stream, size_t n)
{
    sh_stack *s = stack_of(c);
    if (s->phase == STACK_UP) {
        sh_yamux_credit(&s->yamux, stream, n);
    }
}

static void stack_set_user(sh_conn *c, uint64_t stream, void *user)
{
    sh_stack *s = stack_of(c);
    if (s->phase == STACK_UP) {
        sh_yamux_set_user(&s->yamux, stream, user);
    }
}

static int stack_ping(sh_conn *c, uint64_t now_us)
{
    sh_stack *s = stack_of(c);
    return s->phase == STACK_UP ? sh_yamux_ping(&s->yamux, now_us) : SH_E_CLOSED;
}

uint64_t sh_stack_rtt_us(const sh_conn *c)
{
    return stack_of_const(c)->yamux.rtt_us;
}

/* --- life --- */

static void stack_close(sh_conn *c, uint32_t code)
{
    sh_stack *s = stack_of(c);
    if (s->phase == STACK_UP) {
        sh_yamux_away(&s->yamux, code);
        sh_outq_close(&s->out);
    }
    s->phase = STACK_OVER;
    s->told_closed = true; /* the owner knows */
    s->deadline_us = UINT64_MAX;
}

static void stack_free(sh_conn *c)
{
    if (!c) {
        return;
    }
    sh_stack *s = stack_of(c);
    if (s->yamux.mem) {
        sh_yamux_fini(&s->yamux);
    }
    sh_stack_handshake_free(s);
    sh_block_put(s->pool, s->in);
    sh_outq_fini(&s->out);
    sh_aead_fini(&s->seal);
    sh_aead_fini(&s->open);
    sh_mem_free(s->mem, s, sizeof *s);
}

static const struct sh_conn_ops STACK_OPS = {
    .room = stack_room,
    .filled = stack_filled,
    .eof = stack_eof,
    .event = stack_event,
    .flush = stack_flush,
    .rest = stack_rest,
    .out = stack_out,
    .sent = stack_sent,
    .deadline = stack_deadline,
    .tick = stack_tick,
    .open = stack_open,
    .write = stack_write,
    .writable = stack_writable,
    .shut = stack_shut,
    .reset = stack_reset,
    .credit = stack_credit,
    .set_user = stack_set_user,
    .ping = stack_ping,
    .close = stack_close,
    .free = stack_free,
};

int sh_stack_new_with(const struct sh_conn_config *cfg, const struct sh_stack_choice *choice,
                      uint64_t now_us, sh_conn **out)
{
    sh_stack *s = sh_mem_zalloc(cfg->mem, sizeof *s);
    if (!s) {
        return SH_E_NOMEM;
    }
    s->conn.ops = &STACK_OPS;
    s->mem = cfg->mem;
    s->quota = cfg->quota;
    s->pool = cfg->pool;
    s->dialer = cfg->dialer;
    s->deadline_us = now_us + cfg->handshake_us;
    sh_outq_init(&s->out, cfg->pool, cfg->quota);
    int rc = sh_stack_handshake_new(s, cfg, choice);
    if (rc < 0) {
        stack_free(&s->conn);
        return rc;
    }
    sh_stack_handshake_step(s);
    *out = &s->conn;
    return 0;
}

int sh_stack_new(const struct sh_conn_config *cfg, uint64_t now_us, sh_conn **out)
{
    struct sh_stack_choice choice = {0};
    return sh_stack_new_with(cfg, &choice, now_us, out);
}

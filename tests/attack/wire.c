/* wire.c - the DHT and the actor wire from the attacker's side. */
#include "peer.h"

#include "base/varint.h"

#include <string.h>

/* ------------------------------------------------------------------ DHT */

size_t kad_bytes(const struct sh_kad_msg *m, uint8_t *out, size_t cap)
{
    int n = sh_kad_msg_encode(m, out, cap);
    return n > 0 ? (size_t)n : 0;
}

bool kad_ask(struct link *l, const struct sh_kad_msg *m, struct sh_kad_msg *out)
{
    static uint8_t buf[SH_KAD_MESSAGE_MAX + 16];
    size_t n = kad_bytes(m, buf, sizeof buf);
    struct stream *s = stream_agreed(l, "/kameo/registry/1.0.0");
    uint64_t len = 0;
    if (!s) {
        return false;
    }
    stream_send(l, s, buf, n);
    for (size_t want = 1; stream_wait(l, s, want, 5000); want = s->n + 1) {
        int prefix = sh_uvarint_get(sh_span_of(s->in, s->n), &len);
        if (prefix > 0 && s->n >= (size_t)prefix + len) {
            bool ok = sh_kad_msg_decode(sh_mem_system(), sh_span_of(s->in + prefix, (size_t)len),
                                        out) == 0;
            link_put(l, DATA, FIN, s->id, 0, NULL, 0);
            return ok;
        }
    }
    return false;
}

void kad_tell(struct link *l, const struct sh_kad_msg *m)
{
    static uint8_t buf[SH_KAD_MESSAGE_MAX + 16];
    size_t n = kad_bytes(m, buf, sizeof buf);
    struct stream *s = stream_agreed(l, "/kameo/registry/1.0.0");
    if (s) {
        stream_send(l, s, buf, n);
        link_put(l, DATA, FIN, s->id, 0, NULL, 0);
    }
}

/* ------------------------------------------------------------------ actors */

static struct stream *native_theirs(struct link *l)
{
    for (size_t i = 0; i < l->stream_count; i++) {
        struct stream *s = &l->streams[i];
        if (s->theirs && s->agreed && !s->reset && strcmp(s->proto, "/shoal/actor/1.0.0") == 0) {
            return s;
        }
    }
    return NULL;
}

bool native_up(struct link *l)
{
    static uint64_t
        number; /* rises with each stream, so that a reconnection is one and not a restart */
    struct sh_frame hello = {.type = SH_FRAME_HELLO,
                             .version = 1,
                             .incarnation = sh_load_u64le(l->identity.public_key),
                             .number = ++number,
                             .message_max = 1 << 20};
    struct stream *out = stream_agreed(l, "/shoal/actor/1.0.0");
    struct stream *in = NULL;
    struct sh_frame got;
    if (!out) {
        return false;
    }
    l->native_out = out->id;
    native_put(l, &hello);
    for (uint64_t end = now_ms() + 5000; !in && now_ms() < end && link_pump(l, 20);) {
        in = native_theirs(l);
    }
    if (!in) {
        return false;
    }
    l->native_in = in->id;
    return native_next(l, 1u << SH_FRAME_HELLO, &got, 5000);
}

/* Keeps to the credit: what goes beyond it is a row of its own. */
void native_raw(struct link *l, const void *bytes, size_t n)
{
    struct stream *s = link_stream(l, l->native_out);
    for (uint64_t end = now_ms() + 3000;
         s && !s->reset && s->window < n && now_ms() < end && link_pump(l, 10);) {
    }
    if (s && (s->reset || s->window < n)) {
        l->dead = true; /* the session is over, or stuck */
        return;
    }
    if (s) {
        s->window -= (uint32_t)n;
    }
    link_put(l, DATA, 0, l->native_out, (uint32_t)n, bytes, n);
}

void native_put(struct link *l, const struct sh_frame *f)
{
    static uint8_t buf[1 << 18];
    int n = sh_frame_put(f, buf, sizeof buf);
    if (n > 0) {
        native_raw(l, buf, (size_t)n);
    }
}

bool native_next(struct link *l, unsigned types, struct sh_frame *out, int ms)
{
    static uint8_t last[STREAM_MAX];
    uint64_t end = now_ms() + (uint64_t)ms, len;
    struct stream *s = link_stream(l, l->native_in);
    for (;;) {
        int prefix = s ? sh_uvarint_get(sh_span_of(s->in, s->n), &len) : SH_E_MORE;
        if (prefix > 0 && s->n >= (size_t)prefix + len) {
            size_t n = (size_t)len, whole = (size_t)prefix + n;
            memcpy(last, s->in + prefix, n);
            s->n -= whole;
            memmove(s->in, s->in + whole, s->n);
            if (sh_frame_decode(sh_span_of(last, n), out) == 0 && (types >> out->type & 1)) {
                return true;
            }
            continue;
        }
        if (now_ms() >= end || !link_pump(l, 20)) {
            return false;
        }
    }
}

struct sh_frame native_ask(uint64_t call, uint64_t actor, const char *name, sh_span value)
{
    return (struct sh_frame){.type = SH_FRAME_ASK,
                             .call = call,
                             .left_ms = 5000,
                             .target = {.kind = SH_WHO_ACTOR, .actor = actor},
                             .name = sh_span_str(name),
                             .value = value};
}

const char *stranger_served(void)
{
    unsigned row = victim.row;
    victim.row = 100; /* from another network */
    struct link *l = link_up(0x0101);
    victim.row = row;
    struct sh_frame ask = native_ask(1, victim.echo, "echo", sh_span_none()), got;
    if (!l) {
        return "somebody new could not connect while the attack held";
    }
    bool up = native_up(l);
    if (up) {
        native_put(l, &ask);
    }
    bool ok = up && native_next(l, 1u << SH_FRAME_REPLY, &got, 3000) && got.code == 0;
    link_close(l);
    return ok ? NULL : "somebody new was not answered while the attack held";
}

/* proto/stack_handshake.c - from a fresh pipe to a secured one: /noise, three Noise messages,
 * /yamux/1.0.0. */
#include "proto/stack_internal.h"

#include "crypto/secret.h"

static const char *const STACK_SECURITIES[] = {"/noise"};
static const char *const STACK_MUXERS[] = {"/yamux/1.0.0"};

int sh_stack_handshake_new(sh_stack *s, const struct sh_conn_config *cfg,
                           const struct sh_stack_choice *choice)
{
    struct stack_handshake *hs = sh_mem_zalloc(s->mem, sizeof *hs);
    if (!hs) {
        return SH_E_NOMEM;
    }
    s->hs = hs;
    hs->identity = cfg->identity;
    hs->own = *cfg->noise_static;
    hs->late_muxer = choice->late_muxer;
    hs->streams_max = cfg->streams_max;
    hs->expect = cfg->expect;
    hs->seed = sh_rng_u64(cfg->rng);
    uint8_t ephemeral[32];
    if (choice->ephemeral) {
        memcpy(ephemeral, choice->ephemeral, sizeof ephemeral);
    } else if (!sh_rng_fill(cfg->rng, ephemeral, sizeof ephemeral)) {
        return SH_E_LIMIT; /* no handshake without a secret of its own */
    }
    if (s->dialer) {
        sh_mss_dialer(&hs->mss, STACK_SECURITIES, 1);
    } else {
        sh_mss_listener(&hs->mss, STACK_SECURITIES, 1);
    }
    int rc = sh_noise_init(&hs->noise, s->dialer, cfg->noise_static, ephemeral, sh_span_none());
    sh_wipe(ephemeral, sizeof ephemeral);
    return rc;
}

void sh_stack_handshake_free(sh_stack *s)
{
    if (s->hs) {
        sh_noise_fini(&s->hs->noise);
        sh_wipe(s->hs, sizeof *s->hs);
        sh_mem_free(s->mem, s->hs, sizeof *s->hs);
        s->hs = NULL;
    }
}

/* Failures of our own side carry their code; those of bytes are the peer's. */
static void handshake_fail(sh_stack *s, int rc, const char *why)
{
    sh_stack_fail(s, rc, rc == SH_E_NOMEM ? "out of memory in the handshake" : why);
}

/* --- multistream-select, raw or inside Noise --- */

static bool handshake_drain_mss(sh_stack *s)
{
    sh_mss *m = &s->hs->mss;
    for (sh_span piece = sh_mss_out(m); piece.n > 0; piece = sh_mss_out(m)) {
        int rc = sh_outq_put(&s->out, piece);
        if (rc < 0) {
            handshake_fail(s, rc, "handshake output does not fit");
            return false;
        }
        sh_mss_sent(m, piece.n);
    }
    sh_outq_close(&s->out);
    return true;
}

/* Eats what it can of in and answers; returns how much was eaten. */
static size_t handshake_mss(sh_stack *s, sh_span in)
{
    sh_mss *m = &s->hs->mss;
    size_t eaten = 0;
    for (size_t n = 1; n > 0;) {
        if (!handshake_drain_mss(s)) {
            return eaten;
        }
        n = sh_mss_recv(m, sh_span_skip(in, eaten));
        eaten += n;
    }
    if (sh_mss_state(m) == SH_MSS_REFUSED) {
        sh_stack_fail(s, SH_E_UNSUPPORTED, "no common security or muxer protocol");
    } else if (sh_mss_state(m) == SH_MSS_FAULT) {
        sh_stack_fail(s, SH_E_PROTO, "not multistream-select");
    }
    return eaten;
}

/* --- Noise --- */

static void handshake_send(sh_stack *s)
{
    struct stack_handshake *hs = s->hs;
    uint8_t payload[SH_NOISE_PAYLOAD_OWN_MAX];
    int n = 0;
    if (hs->noise.step > 0) { /* the first message must not carry one */
        n = sh_noise_payload_write(hs->identity, &hs->own, !hs->late_muxer, payload);
    }
    uint8_t message[2 + 96 + SH_NOISE_PAYLOAD_OWN_MAX + 16];
    int rc = n < 0 ? n
                   : sh_noise_write(&hs->noise, sh_span_of(payload, (size_t)n), message + 2,
                                    sizeof message - 2);
    if (rc >= 0) {
        sh_store_u16be(message, (uint16_t)rc);
        rc = sh_outq_put(&s->out, sh_span_of(message, (size_t)rc + 2));
    }
    if (rc < 0) {
        handshake_fail(s, rc, "the Noise handshake failed");
    }
    sh_outq_close(&s->out);
}

static void handshake_up(sh_stack *s)
{
    struct sh_yamux_config cfg = {
        .mem = s->mem,
        .quota = s->quota,
        .out = &s->out,
        .seed = s->hs->seed,
        .streams_in_max = s->hs->streams_max,
        .client = s->dialer,
    };
    sh_yamux_init(&s->yamux, &cfg);
    sh_noise_fini(&s->hs->noise); /* the rest goes once the owner was told who it is */
    s->phase = STACK_UP;
    s->deadline_us = UINT64_MAX;
}

/* All three messages are done and the peer is proven. */
static void handshake_secured(sh_stack *s)
{
    struct stack_handshake *hs = s->hs;
    int rc = sh_noise_split(&hs->noise, &s->seal, &s->open);
    if (rc < 0) {
        handshake_fail(s, rc, "the Noise handshake failed");
        return;
    }
    sh_outq_key(&s->out, &s->seal);
    if (hs->peer.muxer && !hs->late_muxer) {
        handshake_up(s);
        return;
    }
    s->phase = STACK_MUXER;
    if (s->dialer) {
        sh_mss_dialer(&hs->mss, STACK_MUXERS, 1);
        handshake_drain_mss(s);
    } else {
        sh_mss_listener(&hs->mss, STACK_MUXERS, 1);
    }
}

static void handshake_read(sh_stack *s, uint8_t *message, size_t n)
{
    struct stack_handshake *hs = s->hs;
    sh_span payload;
    int rc = sh_noise_read(&hs->noise, message, n, &payload);
    if (rc < 0) {
        handshake_fail(s, rc, "the Noise handshake failed");
        return;
    }
    if (hs->noise.step == 1) {
        return; /* nobody has said who they are yet */
    }
    rc = sh_noise_payload_read(payload, hs->noise.rs, &hs->peer);
    if (rc < 0) {
        handshake_fail(s, rc, "the peer does not prove its id");
    } else if (hs->expect.n > 0 && !sh_peer_id_eq(&hs->expect, &hs->peer.id)) {
        sh_stack_fail(s, SH_E_REFUSED, "another peer answered than the one dialled");
    }
}

static bool handshake_noise(sh_stack *s)
{
    struct stack_handshake *hs = s->hs;
    if (sh_noise_my_turn(&hs->noise)) {
        handshake_send(s);
    } else if (!sh_noise_done(&hs->noise)) {
        sh_span raw = s->in ? sh_block_span(s->in) : sh_span_none();
        size_t n = raw.n >= 2 ? sh_load_u16be(raw.p) : 0;
        if (n > SH_NOISE_MESSAGE_MAX) {
            sh_stack_fail(s, SH_E_PROTO, "a Noise handshake message is too long");
        }
        if (raw.n < 2 || raw.n - 2 < n || s->phase == STACK_OVER) {
            return false;
        }
        uint8_t *message = s->in->data + s->in->head + 2;
        s->in->head += (uint32_t)(2 + n);
        handshake_read(s, message, n);
    }
    if (s->phase == STACK_NOISE && sh_noise_done(&hs->noise)) {
        handshake_secured(s);
    }
    return true;
}

static bool handshake_muxer(sh_stack *s)
{
    if (s->plain_n == 0 && !sh_stack_open_frame(s)) {
        return false;
    }
    size_t n = handshake_mss(s, sh_stack_plain(s));
    s->plain_at += (uint32_t)n;
    s->plain_n -= (uint32_t)n;
    if (s->phase == STACK_MUXER && sh_mss_state(&s->hs->mss) == SH_MSS_ACCEPTED) {
        handshake_up(s);
    }
    return true;
}

/* One proposal only, so a dialler's first Noise message goes out right behind it. */
static bool handshake_security(sh_stack *s)
{
    if (s->dialer && s->hs->noise.step == 0) {
        if (handshake_drain_mss(s)) {
            handshake_send(s);
        }
        return s->phase != STACK_OVER;
    }
    size_t n = handshake_mss(s, s->in ? sh_block_span(s->in) : sh_span_none());
    if (n > 0) {
        s->in->head += (uint32_t)n;
    }
    if (s->phase == STACK_SECURITY && sh_mss_state(&s->hs->mss) == SH_MSS_ACCEPTED) {
        s->phase = STACK_NOISE;
        return true;
    }
    return n > 0;
}

void sh_stack_handshake_step(sh_stack *s)
{
    for (bool more = true; more;) {
        switch (s->phase) {
        case STACK_SECURITY: more = handshake_security(s); break;
        case STACK_NOISE: more = handshake_noise(s); break;
        case STACK_MUXER: more = handshake_muxer(s); break;
        case STACK_UP:
        case STACK_OVER: return;
        }
    }
}

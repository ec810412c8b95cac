/* tests/unit/remote/puppet.h - a peer of node 0 that is driven by hand, frame by frame, and keeps to no limit of its own. */
#ifndef PUPPET_H
#define PUPPET_H

#include "harness.h"

#include "proto/frame.h"
#include "proto/frame_reader.h"
#include "remote/native.h"

struct puppet {
    struct harness *h;
    sh_swarm *swarm;
    struct sh_peer_ref node0;
    sh_stream *out;
    sh_frame_reader reader;
    bool reads;
    unsigned replies[32]; /* by code, negated */
    unsigned ends, deaths;
    uint64_t lost;    /* messages that LOST frames told of */
    uint64_t session; /* its number */
    uint64_t wider;   /* by the last CREDIT that widened a window */
    unsigned wides;   /* so many did */
    unsigned credits;
};

static inline void puppet_put(struct puppet *p, const struct sh_frame *f)
{
    static uint8_t buf[1 << 17];
    int n = sh_frame_put(f, buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(sh_stream_write(p->out, sh_span_of(buf, (size_t)n)), n);
}

static inline void puppet_take(struct puppet *p, sh_span in)
{
    sh_span body;
    int rc;
    while ((rc = sh_frame_reader_next(&p->reader, &in, &body)) == 1) {
        struct sh_frame f;
        assert_int_equal(sh_frame_decode(body, &f), 0);
        if (f.type == SH_FRAME_REPLY) {
            p->replies[-f.code]++;
        }
        p->deaths += f.type == SH_FRAME_DEATH;
        p->wider = f.type == SH_FRAME_CREDIT && f.wider ? f.wider : p->wider;
        p->wides += f.type == SH_FRAME_CREDIT && f.wider;
        p->credits += f.type == SH_FRAME_CREDIT;
        p->lost += f.type == SH_FRAME_LOST ? f.count : 0;
    }
    assert_int_equal(rc, 0);
}

static inline void puppet_run(struct puppet *p, unsigned ms)
{
    struct sh_swarm_event ev;
    while (ms-- > 0) {
        h_run(p->h, 1);
        while (p->reads && sh_swarm_event(p->swarm, &ev, p->h->now)) {
            if (ev.kind == SH_SWARM_STREAM_DATA) {
                puppet_take(p, ev.data);
                sh_stream_consumed(ev.stream, ev.data.n);
            }
            p->ends += ev.kind == SH_SWARM_STREAM_END;
        }
    }
}

/* Opens its stream, the only one: a session begins. */
static inline void puppet_say_hello(struct puppet *p, uint64_t message_max)
{
    assert_int_equal(sh_swarm_open(p->swarm, p->node0, 0, NULL, &p->out), 0);
    puppet_put(p, &(struct sh_frame){.type = SH_FRAME_HELLO,
                                     .version = 1,
                                     .incarnation = 5,
                                     .number = ++p->session,
                                     .message_max = message_max});
    puppet_run(p, 20);
}

static inline void puppet_hello(struct puppet *p, uint64_t seed, uint64_t message_max)
{
    memset(p, 0, sizeof *p);
    p->h = h_new(seed, 1);
    p->h->net->window = 1 << 20;
    p->swarm = fake_net_node(p->h->net, 1);
    p->reads = true;
    sh_frame_reader_init(&p->reader, sh_mem_system(), NULL, 1 << 21);
    fake_net_connect(p->h->net, 1, 0);
    sh_swarm_peer(p->swarm, &p->h->net->ids[0], &p->node0);
    puppet_say_hello(p, message_max);
}

static inline void puppet_start(struct puppet *p, uint64_t seed)
{
    puppet_hello(p, seed, 1 << 20);
}

/* Ends its session and begins another one. */
static inline void puppet_again(struct puppet *p)
{
    sh_stream_reset(p->out, 0);
    sh_frame_reader_fini(&p->reader);
    puppet_run(p, 20);
    sh_frame_reader_init(&p->reader, sh_mem_system(), NULL, 1 << 21);
    puppet_say_hello(p, 1 << 20);
}

static inline void puppet_end(struct puppet *p)
{
    sh_frame_reader_fini(&p->reader);
    h_free(p->h);
}

static inline struct sh_frame_who who(uint64_t actor)
{
    return (struct sh_frame_who){.kind = SH_WHO_ACTOR, .actor = actor};
}

/* Our end of the session with the puppet. */
static inline struct native *session(struct puppet *p)
{
    struct sh_remote *r = p->h->node[0].remote;
    return native_of(
        sh_remote_peer(r, (struct sh_peer_ref){1, p->h->node[0].swarm->peers[1].check}));
}

#endif

/* main.c - the interop peer: one thread around one swarm. tests/interop/README.md is the contract. */
#include "peer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static const char *const protocols[] = {"/shoal-test/echo/1.0.0"};

uint64_t peer_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

bool bytes_add(struct bytes *b, sh_span s)
{
    if (b->cap - b->n < s.n) {
        size_t cap = 2 * b->cap > b->n + s.n ? 2 * b->cap : b->n + s.n;
        uint8_t *at = realloc(b->b, cap);
        if (!at) {
            return false;
        }
        b->b = at;
        b->cap = cap;
    }
    if (s.n > 0) {
        memcpy(b->b + b->n, s.p, s.n);
    }
    b->n += s.n;
    return true;
}

void bytes_drop(struct bytes *b, size_t n)
{
    if (n > 0) {
        memmove(b->b, b->b + n, b->n - n);
        b->n -= n;
    }
}

void bytes_free(struct bytes *b)
{
    free(b->b);
    memset(b, 0, sizeof *b);
}

static bool entropy(void *ud, void *out, size_t n)
{
    uint8_t *at = out;
    (void)ud;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
    return true;
}

static int peer_start(struct peer *p)
{
    uint8_t seed[SH_ED25519_BYTES];
    sh_addr bare;
    sh_list_init(&p->pipes);
    sh_list_init(&p->ops);
    p->listen_fd = -1;
    p->rng = (sh_rng){entropy, NULL};
    sh_quota_init(&p->quota, NULL, SH_NODE_QUOTA_BYTES);
    sh_mem_counted(&p->mem, sh_mem_system());
    sh_block_pool_init(&p->pool, &p->mem.mem, NULL, SH_BLOCKS_KEPT);
    sh_rng_fill(&p->rng, seed, sizeof seed);
    int err = sh_identity_from_seed(&p->identity, seed);
    struct sh_swarm_config cfg = {
        .mem = &p->mem.mem,
        .quota = &p->quota,
        .pool = &p->pool,
        .rng = &p->rng,
        .identity = &p->identity,
        .agent = "shoal-interop/0.1.0",
        .protocols = protocols,
        .protocol_count = 1,
        .dht = SH_DHT_AUTO,
        .peers_connected_max = SH_PEERS_CONNECTED_MAX,
        .peer_timeout_us = SH_PEER_TIMEOUT_MS * UINT64_C(1000),
        .closed_grace_us = SH_CLOSED_GRACE_MS * UINT64_C(1000),
    };
    p->now_us = peer_clock_us();
    err = err == 0 ? sh_swarm_new(&cfg, p->now_us, &p->swarm) : err;
    err = err == 0 ? net_listen(p, &bare) : err;
    if (err == 0) {
        sh_swarm_listening(p->swarm, &bare, p->now_us);
        err = sh_swarm_address(p->swarm, 0, &p->address);
    }
    return err;
}

static void peer_hello(const struct peer *p)
{
    char text[SH_ADDR_TEXT_MAX];
    sh_addr_text(&p->address, text, sizeof text);
    event_print("listening", "address", text, &p->swarm->self_id);
}

static void peer_turn(struct peer *p)
{
    struct sh_swarm_event ev;
    bool again = true;
    sh_swarm_tick(p->swarm, p->now_us);
    while (again) {
        again = false;
        while (sh_swarm_event(p->swarm, &ev, p->now_us)) {
            again = true;
            if (ev.stream) {
                flow_event(p, &ev);
            } else {
                command_event(p, &ev);
            }
        }
        commands_step(p);
        sh_swarm_flush(p->swarm, p->now_us);
        again = net_act(p) || again;
    }
}

static void peer_end(struct peer *p)
{
    commands_free(p);
    net_close(p);
    while (p->swarm) {
        sh_swarm_free(p->swarm);
        p->swarm = NULL;
    }
    bytes_free(&p->in);
    sh_block_pool_fini(&p->pool);
    sh_identity_fini(&p->identity);
}

int main(void)
{
    static struct peer p;
    signal(SIGPIPE, SIG_IGN);
    int err = peer_start(&p);
    if (err == 0) {
        peer_hello(&p);
        while (!p.quit) {
            peer_turn(&p);
            uint64_t due = sh_swarm_deadline(p.swarm);
            uint64_t mine = commands_deadline(&p);
            net_poll(&p, due < mine ? due : mine);
        }
    } else {
        fprintf(stderr, "shoal-interop-peer: %s\n", sh_err_text(err));
    }
    peer_end(&p);
    if (atomic_load(&p.mem.live_blocks) != 0 || p.quota.used != 0) {
        fprintf(stderr, "shoal-interop-peer: %zu blocks and %zu charged bytes are left\n",
                atomic_load(&p.mem.live_blocks), p.quota.used);
        err = SH_E_LIMIT;
    }
    return err == 0 ? 0 : 1;
}

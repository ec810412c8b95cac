/* connections.c - rows 01 to 04: more connections than there is room for, and slow ones. */
#include "peer.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { FLOOD = 600 };

static void fds_close(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

/* How many of them the victim keeps. */
static size_t fds_held(const int *fds, size_t n)
{
    struct pollfd p[FLOOD];
    size_t held = 0;
    for (size_t i = 0; i < n; i++) {
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    poll(p, n, 0);
    for (size_t i = 0; i < n; i++) {
        held += fds[i] >= 0 && !(p[i].revents & (POLLIN | POLLHUP | POLLERR));
    }
    return held;
}

static void fds_settle(const int *fds, size_t n, size_t most)
{
    for (uint64_t end = now_ms() + 2000; fds_held(fds, n) > most && now_ms() < end;) {
        poll(NULL, 0, 5);
    }
}

static const char *half_open(void)
{
    static int fds[FLOOD];
    const char *error = NULL;
    for (size_t i = 0; i < FLOOD; i++) { /* one address */
        fds[i] = tcp_dial(1);
    }
    fds_settle(fds, FLOOD, SH_CONNS_PENDING_ADDR_MAX);
    size_t one = fds_held(fds, FLOOD);
    error = one > SH_CONNS_PENDING_ADDR_MAX
                ? failed("%zu silent connections of one address are kept", one)
                : stranger_served();
    fds_close(fds, FLOOD);
    if (error) {
        return error;
    }
    for (size_t i = 0; i < FLOOD; i++) { /* addresses of one /24 */
        fds[i] = tcp_dial((unsigned)(0x0200 + i % 250));
    }
    fds_settle(fds, FLOOD, SH_CONNS_PENDING_NET_MAX);
    size_t net = fds_held(fds, FLOOD);
    error = net > SH_CONNS_PENDING_NET_MAX
                ? failed("%zu silent connections of one network are kept", net)
                : stranger_served();
    fds_close(fds, FLOOD);
    if (error) {
        return error;
    }
    for (size_t i = 0; i < FLOOD; i++) { /* as many networks as connections */
        fds[i] = tcp_dial((unsigned)(i << 7 | 1));
    }
    fds_settle(fds, FLOOD, SH_CONNS_PENDING_MAX);
    size_t all = fds_held(fds, FLOOD);
    error = all > SH_CONNS_PENDING_MAX ? failed("%zu silent connections are kept", all) : NULL;
    for (uint64_t end = now_ms() + 4000; !error && now_ms() < end;) {
        const char *now =
            stranger_served(); /* those that have said nothing for a second make room */
        if (!now) {
            break;
        }
        error = now_ms() + 500 > end ? now : NULL;
        poll(NULL, 0, 50);
    }
    for (uint64_t end = now_ms() + 12000; !error && fds_held(fds, FLOOD) > 0;) {
        error = now_ms() > end ? "silent connections are kept for more than 12 s" : NULL;
        poll(NULL, 0, 20);
    }
    fds_close(fds, FLOOD);
    note("kept: %zu of one address, %zu of one network, %zu in all", one, net, all);
    return error;
}

/* One byte every 250 ms, at each stage; the deadline is for the whole upgrade. */
static const char *slowloris(void)
{
    enum { STAGES = 3 };
    uint8_t offer[64], slow[STAGES][512];
    size_t n = mss_offer(offer, "/noise"), have[STAGES], at[STAGES] = {0};
    struct link *l[STAGES];
    uint64_t begun = now_ms(), ended[STAGES] = {0};
    for (int i = 0; i < STAGES; i++) {
        l[i] = link_new((unsigned)(i + 1));
        if (!l[i] || (i > 0 && !link_negotiated(l[i]))) {
            return "not accepted";
        }
    }
    memcpy(slow[0], offer, have[0] = n);
    sh_store_u16be(slow[1], 300); /* a first message of 300 bytes */
    have[1] = 302;
    if (!link_noise(l[2], sh_span_none(), false)) { /* then the muxer, inside Noise */
        return "no handshake";
    }
    have[2] = mss_offer(slow[2], "/yamux/1.0.0");
    for (unsigned left = STAGES; left > 0 && now_ms() < begun + 14000;) {
        for (int i = 0; i < STAGES; i++) {
            uint8_t room[512];
            if (ended[i]) {
                continue;
            }
            if (i == 2) {
                link_seal(l[2], sh_span_of(slow[2] + at[2] % have[2], 1));
                at[2]++;
            } else if (at[i] < have[i] - 1) {
                tcp_send(l[i]->fd, slow[i] + at[i]++, 1);
            }
            int got;
            while ((got = tcp_read(l[i]->fd, room, sizeof room, 0)) > 0) {
            }
            if (got == 0) {
                ended[i] = now_ms();
                left--;
            }
        }
        poll(NULL, 0, 250);
    }
    const char *error = NULL;
    for (int i = 0; i < STAGES; i++) {
        if (!ended[i]) {
            error = failed("stage %d still open after 14 s", i);
        }
        link_close(l[i]);
    }
    note("ended after %llu, %llu, %llu ms", (unsigned long long)(ended[0] - begun),
         (unsigned long long)(ended[1] - begun), (unsigned long long)(ended[2] - begun));
    return error;
}

/* The conductor gives this row a victim with few descriptors and watches its CPU. */
static const char *descriptors(void)
{
    static int fds[FLOOD];
    for (size_t i = 0; i < FLOOD; i++) {
        fds[i] = tcp_dial((unsigned)(i << 7 | 1));
    }
    for (uint64_t end = now_ms() + 2000; now_ms() < end;) {
        poll(NULL, 0, 50);
    }
    note("%zu held", fds_held(fds, FLOOD));
    fds_close(fds, FLOOD);
    return NULL;
}

/* Cheap first messages as fast as they go, from one address and from many; how many were answered with a signature. */
static unsigned handshakes(unsigned sources, uint64_t ms, unsigned *tried)
{
    uint8_t first[64 + 34], room[512];
    size_t n = mss_offer(first, "/noise");
    unsigned answered = 0;
    sh_store_u16be(first + n, 32);
    *tried = 0;
    for (uint64_t end = now_ms() + ms; now_ms() < end; ++*tried) {
        int fd = tcp_dial(1 + *tried % sources);
        if (fd < 0) {
            continue;
        }
        sh_rng_fill(&rng, first + n + 2, 32);
        tcp_send(fd, first, n + 34);
        size_t have = 0;
        int got;
        while (have < 60 && (got = tcp_read(fd, room, sizeof room, 1000)) > 0) {
            have += (size_t)got;
        }
        answered += have >= 60;
        close(fd);
    }
    return answered;
}

static const char *handshake_flood(void)
{
    unsigned tried, answered = handshakes(1, 2000, &tried);
    const char *error = stranger_served();
    if (!error && answered > SH_HANDSHAKES_ADDR_BURST + SH_HANDSHAKES_ADDR_PER_S * 3) {
        error = failed("%u of %u handshakes of one address were begun in 2 s", answered, tried);
    }
    note("%u of %u first messages answered in 2 s", answered, tried);
    return error;
}

const struct row connection_rows[] = {{1, "half-open flood", half_open},
                                      {2, "slowloris through the upgrade", slowloris},
                                      {3, "descriptors exhausted", descriptors},
                                      {4, "handshake CPU flood", handshake_flood},
                                      {0, NULL, NULL}};

/* negotiation.c - rows 17 and 27: multistream-select, raw and on streams. */
#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct text {
    const char *what;
    uint8_t bytes[2200];
    size_t n;
};

static size_t texts(struct text *t)
{
    size_t n = 0;
    t[n].what = "60 proposals";
    t[n].n = mss_line(t[n].bytes, "/multistream/1.0.0");
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "/no/such/%d", i);
        t[n].n += mss_line(t[n].bytes + t[n].n, name);
    }
    t[++n].what = "60 times ls";
    t[n].n = mss_line(t[n].bytes, "/multistream/1.0.0");
    for (int i = 0; i < 60; i++) {
        t[n].n += mss_line(t[n].bytes + t[n].n, "ls");
    }
    t[++n].what = "a length of ten bytes";
    memset(t[n].bytes, 0xff, 9);
    t[n].bytes[9] = 1;
    t[n].n = 10;
    t[++n].what = "length 0";
    t[n].n = mss_line(t[n].bytes, "/multistream/1.0.0");
    memset(t[n].bytes + t[n].n, 0, 40);
    t[n].n += 40;
    t[++n].what = "no newline";
    memset(t[n].bytes, 'x', 20);
    t[n].bytes[0] = 19;
    t[n].n = 20;
    t[++n].what = "a line of 2,000 bytes";
    t[n].n = mss_line(t[n].bytes, "/multistream/1.0.0");
    t[n].bytes[t[n].n] = 0xd0;
    t[n].bytes[t[n].n + 1] = 0x0f;
    memset(t[n].bytes + t[n].n + 2, 'y', 2000);
    t[n].n += 2002;
    t[++n].what = "HTTP";
    t[n].n = (size_t)snprintf((char *)t[n].bytes, 200,
                              "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a browser of "
                              "today\r\nAccept: any\r\n\r\n");
    return n + 1;
}

static const char *proposals(void)
{
    static struct text t[8];
    size_t count = texts(t);
    for (size_t i = 0; i < count; i++) {
        int fd = tcp_dial(1);
        tcp_send(fd, t[i].bytes, t[i].n);
        bool ended = tcp_ended(fd, 3000);
        close(fd);
        if (!ended) {
            return failed("raw: %s keeps the connection", t[i].what);
        }
    }
    struct link *l = link_up(1);
    for (size_t i = 0; l && i < count; i++) {
        struct stream *s = stream_open(l, NULL);
        stream_send(l, s, t[i].bytes, t[i].n);
        if (!stream_reset(l, s, 3000)) {
            return failed("stream: %s keeps the stream", t[i].what);
        }
    }
    if (!l || !link_alive(l)) {
        return "a bad stream ended its connection";
    }
    link_close(l);
    return NULL;
}

static const char *mplex(void)
{
    struct link *l = link_new(1);
    uint8_t offer[64];
    if (!l || !link_negotiated(l) || !link_noise(l, sh_span_none(), false)) {
        return "not accepted";
    }
    link_seal(l, sh_span_of(offer, mss_offer(offer, "/mplex/6.7.0")));
    uint8_t frame[256], *body = frame + 2;
    size_t have = 0, answers = 0;
    char text[256] = "";
    while (answers < 24 && have < sizeof frame) {
        int got = tcp_read(l->fd, frame + have, 2 - (have < 2 ? have : 0), 3000);
        size_t n = got == 2 ? sh_load_u16be(frame) : 0;
        if (n < 16 || n > 200 || tcp_read(l->fd, body, n, 3000) != (int)n ||
            sh_aead_open(&l->open, l->rx++, sh_span_none(), body, n - 16, body + n - 16) != 0) {
            break;
        }
        memcpy(text + answers, body, n - 16);
        answers += n - 16;
    }
    link_close(l);
    bool refused = answers == 24 && memcmp(text + 20, "\x03na\n", 4) == 0;
    return refused ? NULL : "mplex was not refused";
}

const struct row negotiation_rows[] = {{17, "endless and malformed proposals", proposals},
                                       {27, "mplex is never negotiated", mplex},
                                       {0, NULL, NULL}};

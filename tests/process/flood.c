/* flood.c - many messages: numbered tells as fast as they are taken, and asks of which each must end once. */
#include "host.h"
#include <stdlib.h>
#include <string.h>

enum { CODES = 18 };

struct tells {
    char id[24];
    shoal_pid pid;
    int64_t lane, count, sent, refused;
    size_t pad;
    int stop_when_full, other;
};

struct asks;
struct ask {
    struct asks *of;
    int64_t begun_us;
    int ends;
};

struct asks {
    char id[24];
    shoal_node *node;
    shoal_pid pid;
    struct ask *each;
    int64_t count, width, made, ended, twice, refused;
    int64_t most_over_us; /* how long after its deadline an ask ended, at most */
    int64_t codes[CODES], unsure;
    uint32_t timeout_ms;
};

static struct tells *tells_out;
static struct asks *asks_out;

int flood_tells(shoal_node *node, const char *id, shoal_pid pid, int64_t lane, int64_t count,
                size_t pad, int stop_when_full)
{
    (void)node;
    tells_out = calloc(1, sizeof *tells_out);
    *tells_out = (struct tells){
        .pid = pid, .lane = lane, .count = count, .pad = pad, .stop_when_full = stop_when_full};
    snprintf(tells_out->id, sizeof tells_out->id, "%s", id);
    return 0;
}

static void tells_end(struct tells *t)
{
    host_say("\"id\": \"%s\", \"code\": \"%s\", \"value\": [%lld, %lld]", t->id,
             shoal_code_name(t->other), (long long)t->sent, (long long)t->refused);
    free(t);
    tells_out = NULL;
}

/* Tells until one is refused. */
static void tells_turn(shoal_node *node, struct tells *t)
{
    static const unsigned char zeros[65536];
    while (t->sent < t->count) {
        shoal_pack p;
        shoal_pack_init(&p, NULL, 0);
        shoal_put_list(&p, 3);
        shoal_put_i64(&p, t->lane);
        shoal_put_i64(&p, t->sent + 1);
        shoal_put_bytes(&p, zeros, t->pad);
        int code = shoal_tell(node, t->pid, "seq", shoal_packed(&p));
        shoal_pack_free(&p);
        if (code == SHOAL_E_MAILBOX_FULL && !t->stop_when_full) {
            t->refused++;
            return;
        }
        if (code < 0) {
            t->other = code;
            tells_end(t);
            return;
        }
        t->sent++;
    }
    tells_end(t);
}

static void asks_end(struct asks *a)
{
    char text[1024];
    size_t n = 0;
    for (int i = 0; i < CODES; i++) {
        if (a->codes[i]) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\": %lld", n ? ", " : "",
                                  shoal_code_name(-i), (long long)a->codes[i]);
        }
    }
    text[n] = 0;
    host_say("\"id\": \"%s\", \"code\": \"ok\", \"made\": %lld, \"ended\": %lld, \"twice\": %lld, "
             "\"over_us\": %lld, \"unsure\": %lld, "
             "\"refused\": %lld, \"codes\": {%s}",
             a->id, (long long)a->made, (long long)a->ended, (long long)a->twice,
             (long long)a->most_over_us, (long long)a->unsure, (long long)a->refused, text);
}

static void on_ask_end(void *ud, const shoal_result *result)
{
    struct ask *ask = ud;
    struct asks *a = ask->of;
    int64_t over = host_now_us() - ask->begun_us - (int64_t)a->timeout_ms * 1000;
    if (ask->ends++) {
        a->twice++;
        return;
    }
    a->ended++;
    a->most_over_us = over > a->most_over_us ? over : a->most_over_us;
    a->codes[-result->code % CODES]++;
    a->unsure += result->code < 0 && result->delivery == SHOAL_UNKNOWN;
}

int flood_asks(shoal_node *node, const char *id, shoal_pid pid, int64_t count, int64_t width,
               uint32_t timeout_ms)
{
    asks_out = calloc(1, sizeof *asks_out);
    *asks_out = (struct asks){.node = node,
                              .pid = pid,
                              .count = count,
                              .width = width,
                              .timeout_ms = timeout_ms,
                              .most_over_us = INT64_MIN};
    snprintf(asks_out->id, sizeof asks_out->id, "%s", id);
    asks_out->each = calloc((size_t)count, sizeof *asks_out->each);
    return 0;
}

/* The records of a finished flood are kept: a second end of an ask would be counted in them. */
static void asks_turn(shoal_node *node, struct asks *a)
{
    while (a->made + a->refused < a->count && a->made - a->ended < a->width) {
        struct ask *ask = &a->each[a->made];
        *ask = (struct ask){.of = a, .begun_us = host_now_us()};
        int64_t call = shoal_ask(node, a->pid, "echo", shoal_nil(), a->timeout_ms, on_ask_end, ask);
        if (call < 0) {
            a->refused++;
            a->codes[-call % CODES]++;
            continue;
        }
        a->made++;
    }
    if (a->made + a->refused == a->count && a->ended == a->made) {
        asks_out = NULL;
        asks_end(a);
    }
}

void flood_enough(void)
{
    if (tells_out) {
        tells_out->count = tells_out->sent;
    }
    if (asks_out) {
        asks_out->count = asks_out->made + asks_out->refused;
    }
}

int flood_turn(shoal_node *node)
{
    if (tells_out) {
        tells_turn(node, tells_out);
    }
    if (asks_out) {
        asks_turn(node, asks_out);
    }
    return tells_out || asks_out;
}

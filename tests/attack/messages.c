/* messages.c - rows 47 to 57: the actor wire. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct link *session(unsigned source)
{
    struct link *l = link_up(source);
    return l && native_up(l) ? l : NULL;
}

static struct sh_frame tell(uint64_t actor, const char *name, sh_span value)
{
    struct sh_frame f = native_ask(0, actor, name, value);
    f.type = SH_FRAME_TELL;
    return f;
}

/* The code of the next REPLY, or 99. */
static int replied(struct link *l, int ms)
{
    struct sh_frame got;
    return native_next(l, 1u << SH_FRAME_REPLY, &got, ms) ? got.code : 99;
}

/* A frame that is none: the session must end. */
static bool value_refused(sh_span value)
{
    struct link *l = session(1);
    if (!l) {
        return false;
    }
    struct sh_frame f = native_ask(1, victim.echo, "echo", value);
    uint8_t *buf = malloc(value.n + 4096);
    int n = sh_frame_put(&f, buf, value.n + 4096);
    for (int at = 0; at < n; at += 60000) {
        native_raw(l, buf + at, (size_t)(n - at < 60000 ? n - at : 60000));
    }
    free(buf);
    bool ended = link_ended(l, 3000);
    link_close(l);
    return ended;
}

static const char *nesting(void)
{
    static uint8_t bomb[200000];
    static const uint8_t kinds[] = {0x91, 0x81, 0xdc};
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof bomb; i++) {
            bomb[i] = kinds[k] == 0x81   ? (i & 1 ? 0x01 : 0x81)
                      : kinds[k] == 0xdc ? (uint8_t[]){0xdc, 0, 1}[i % 3]
                                         : 0x91;
        }
        static const size_t sizes[] = {40, 1000, sizeof bomb};
        for (size_t s = 0; s < 3; s++) {
            size_t n = kinds[k] == 0x91             ? sizes[s]
                       : sizes[s] * 3 < sizeof bomb ? sizes[s] * 3
                                                    : sizeof bomb;
            bomb[n - 1] = 0xc0;
            if (!value_refused(sh_span_of(bomb, n))) {
                return failed("%zu levels of %02x are taken", sizes[s], kinds[k]);
            }
            bomb[n - 1] = 0x91;
        }
    }
    return NULL;
}

static const char *declared_length(void)
{
    static const uint8_t bombs[][6] = {
        {0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0}, {0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0},
        {0xdb, 0x7f, 0xff, 0xff, 0xff, 'x'},  {0xc6, 0xff, 0xff, 0xff, 0xff, 0},
        {0xc9, 0xff, 0xff, 0xff, 0xff, 1},    {0xdd, 0x10, 0x00, 0x00, 0x00, 0xc0}};
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        if (!value_refused(sh_span_of(bombs[i], 6))) {
            return failed("bomb %zu is taken", i);
        }
    }
    static const uint8_t lengths[][5] = {{0xff, 0xff, 0xff, 0xff, 0x7f},
                                         {0x80, 0x80, 0x80, 0x80, 0x01}};
    for (size_t i = 0; i < 2; i++) { /* of the frame itself */
        struct link *l = session(1);
        if (!l) {
            return "no session";
        }
        native_raw(l, lengths[i], 5);
        bool ended = link_ended(l, 3000);
        link_close(l);
        if (!ended) {
            return "a frame of 2^28 bytes and more is waited for";
        }
    }
    return NULL;
}

static const char *odd_values(void)
{
    static const struct {
        const char *what;
        uint8_t b[24];
        size_t n;
    } values[] = {
        {"trailing bytes", {0x01, 0x02}, 2},
        {"a tag (extension 2)", {0xd4, 2, 0}, 3},
        {"a timestamp extension", {0xd6, 0xff, 0, 0, 0, 1}, 6},
        {"a ref to nowhere", {0xc7, 3, 1, 1, 2, 3}, 6},
        {"a NaN key", {0x81, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0}, 11},
        {"a list as key", {0x81, 0x91, 1, 0xc0}, 4},
        {"a nil key", {0x81, 0xc0, 0xc0}, 3},
        {"the byte c1", {0xc1}, 1},
        {"text that is not UTF-8", {0xa2, 0xc0, 0x80}, 3},
        {"a map cut short", {0x82, 1, 2, 3}, 4},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (!value_refused(sh_span_of(values[i].b, values[i].n))) {
            return failed("%s: taken", values[i].what);
        }
    }
    note("%zu values", sizeof values / sizeof *values);
    return NULL;
}

/* Names and actors interned over and over: bounded tables, and time that grows with the bytes alone. */
static const char *intern_flood(void)
{
    struct link *l = session(1);
    char name[200];
    memset(name, 'n', sizeof name);
    uint64_t times[2] = {0, 0};
    for (int round = 0; l && round < 2; round++) {
        uint64_t begun = now_ms();
        for (uint32_t i = 0; i < 10000 && !l->dead; i++) {
            size_t len = 180 + (size_t)snprintf(name + 180, 20, "%d-%u", round, i);
            struct sh_frame f = {.type = SH_FRAME_INTERN,
                                 .table = SH_TABLE_NAMES,
                                 .entry = i % SH_INTERN_NAMES_MAX,
                                 .name = sh_span_of(name, len)};
            native_put(l, &f);
            if (i % 100 == 0) {
                link_pump(l, 0);
            }
        }
        link_alive(l);
        times[round] = now_ms() - begun;
    }
    if (!l || l->dead) {
        return "the session ended for names within the limits";
    }
    uint8_t raw[] = {0x06, 0x02, 0x00, 0x80, 0x08, 0x01, 'x'};
    native_raw(l, raw, sizeof raw);
    bool ended = link_ended(l, 3000);
    link_close(l);
    note("10,000 names in %llu ms, 10,000 more in %llu ms", (unsigned long long)times[0],
         (unsigned long long)times[1]);
    return !ended                          ? "entry 1,024 is taken"
           : times[1] > 4 * times[0] + 500 ? "the second ten thousand take longer"
                                           : NULL;
}

/* Bodies that never become whole, then whole ones that nobody takes, over connections and reconnections of one peer: what the victim
 * keeps of one peer does not grow with the number of its sessions. */
static const char *held_bodies(void)
{
    static uint8_t body[60000];
    struct link *l = session(1);
    if (!l) {
        return "no session";
    }
    sh_identity identity = l->identity; /* seed and public key: the key is made anew */
    uint8_t *big = malloc(1 << 20);
    memset(big, 0, 1 << 20);
    uint8_t head[] = {0xc6, 0, 0x0f, 0, 0}; /* bin of 983,040 bytes */
    memcpy(big, head, 5);
    unsigned rounds = 0, refused = 0, whole = 0;
    for (; l && rounds < 40; rounds++) {
        for (int i = 0; i < 7 && !l->dead; i++) {
            struct sh_frame f = tell(victim.slot, "hold", sh_span_of(big, 983045));
            static uint8_t out[1 << 20];
            int n = sh_frame_put(&f, out, sizeof out);
            for (int at = 0; at < n && !l->dead; at += 60000) {
                native_raw(l, out + at, (size_t)(n - at < 60000 ? n - at : 60000));
                link_pump(l, 0);
            }
            struct sh_frame got;
            whole += !l->dead;
            while (native_next(l, 1u << SH_FRAME_LOST, &got, 0)) {
                refused++;
            }
        }
        link_alive(l);
        link_close(l);
        l = link_up_as(1, &identity);
        if (l && !native_up(l)) {
            link_close(l);
            l = NULL;
        }
    }
    if (l) {
        native_raw(l, body, 0);
        link_close(l);
    }
    free(big);
    const char *error = stranger_served();
    note("%u sessions, %.1f MB, %u times refused", rounds, (double)whole * 0.983, refused);
    return error;
}

/* Deaths and unwatches that are not the sender's to tell; watches without end. The conductor checks that no actor was told anything. */
static const char *forged(void)
{
    struct link *l = session(1);
    struct sh_frame got;
    if (!l) {
        return "no session";
    }
    for (uint64_t i = 0; i < 200; i++) {
        struct sh_frame death = {
            .type = SH_FRAME_DEATH,
            .kind = (uint8_t)(i % 7),
            .target = {.kind = SH_WHO_ACTOR, .actor = i % 2 ? victim.mute : i + 1},
            .other = {.kind = SH_WHO_ACTOR, .actor = victim.echo},
            .text = sh_span_str("forged")};
        struct sh_frame unwatch = {.type = SH_FRAME_UNWATCH,
                                   .target = {.kind = SH_WHO_ACTOR, .actor = victim.echo},
                                   .other = {.kind = SH_WHO_ACTOR, .actor = victim.mute},
                                   .flags = i & 1};
        native_put(l, &death);
        native_put(l, &unwatch);
    }
    unsigned taken = 0, limited = 0;
    for (uint64_t call = 1; call <= SH_SESSION_WATCHES_MAX + 616 && !l->dead; call++) {
        struct sh_frame watch = {.type = SH_FRAME_WATCH,
                                 .call = call,
                                 .target = {.kind = SH_WHO_ACTOR, .actor = victim.echo},
                                 .other = {.kind = SH_WHO_ACTOR, .actor = 1000 + call}};
        native_put(l, &watch);
        while (native_next(l, 1u << SH_FRAME_REPLY, &got, 0)) {
            taken += got.code == 0;
            limited += got.code != 0;
        }
    }
    while (taken + limited < SH_SESSION_WATCHES_MAX + 616 &&
           native_next(l, 1u << SH_FRAME_REPLY, &got, 5000)) {
        taken += got.code == 0;
        limited += got.code != 0;
    }
    bool dead = l->dead;
    link_close(l);
    note("%u watches taken, %u refused", taken, limited);
    return dead                             ? "the session ended"
           : taken > SH_SESSION_WATCHES_MAX ? "more watches than the limit"
           : taken < 16000 ? failed("%u watches taken, %u refused: too few", taken, limited)
                           : NULL;
}

static const char *guessed(void)
{
    struct link *l = session(1);
    unsigned refused = 0, asked = 0;
    uint64_t call = 0;
    for (uint64_t i = 1; l && i < 400; i++) {
        uint64_t actor = i % 2 ? victim.echo + i : (victim.echo & ~UINT64_C(0xffffffff)) | i;
        if (actor == victim.echo || actor == victim.mute || actor == victim.slot) {
            continue;
        }
        struct sh_frame f = native_ask(++call, actor, "echo", sh_span_none());
        native_put(l, &f);
        asked++;
        refused += replied(l, 3000) == SH_E_REFUSED;
    }
    static const char *const orders[] = {"info", "stop", "kill"};
    for (size_t i = 0; l && i < 3; i++) {
        struct sh_frame f = native_ask(++call, 0, orders[i], sh_span_none());
        f.target.kind = SH_WHO_NOBODY;
        native_put(l, &f);
        asked++;
        refused += replied(l, 3000) == SH_E_REFUSED;
    }
    if (l) {
        link_close(l);
    }
    return asked == 0         ? "no session"
           : refused != asked ? failed("%u of %u refused", refused, asked)
                              : NULL;
}

/* As many asks as are taken to an actor that never answers; then somebody else asks. */
static const char *parked(void)
{
    struct link *l = session(1);
    struct sh_frame got;
    unsigned limited = 0, sent = 0;
    if (!l) {
        return "no session";
    }
    for (uint64_t call = 1; call <= SH_SESSION_CALLS_MAX + 616 && !l->dead; call++, sent++) {
        struct sh_frame f = native_ask(call, victim.mute, "ask", sh_span_none());
        f.left_ms = 3600000;
        for (uint64_t end = now_ms() + 2000;
             call % 32 == 0 && now_ms() < end;) { /* its window comes back */
            link_pump(l, 0);
            if (native_next(l, 1u << SH_FRAME_CREDIT | 1u << SH_FRAME_REPLY, &got, 20)) {
                limited += got.type == SH_FRAME_REPLY;
                break;
            }
        }
        native_put(l, &f);
        while (native_next(l, 1u << SH_FRAME_REPLY, &got, 0)) {
            limited += got.code == SH_E_LIMIT;
        }
    }
    while (limited < 500 && native_next(l, 1u << SH_FRAME_REPLY, &got, 300)) {
        limited += got.code == SH_E_LIMIT;
    }
    const char *error = stranger_served();
    bool dead = l->dead;
    link_close(l);
    note("%u asks sent, %u refused%s", sent, limited, dead ? ", then ended" : "");
    return error ? error : limited == 0 && !dead ? "17,000 open asks of one peer are held" : NULL;
}

static const char *foreign_reply(void)
{
    struct link *l = session(1);
    if (!l) {
        return "no session";
    }
    for (uint64_t call = 1; call < 200; call++) {
        struct sh_frame f = {.type = SH_FRAME_REPLY, .call = call, .value = sh_span_of("\xc0", 1)};
        native_put(l, &f);
    }
    struct sh_frame ask = native_ask(1, victim.echo, "echo", sh_span_of("\x07", 1)), got;
    native_put(l, &ask);
    bool ok = native_next(l, 1u << SH_FRAME_REPLY, &got, 3000) && got.call == 1 && got.code == 0;
    native_put(l, &ask); /* the same number again is malformed */
    bool ended = link_ended(l, 3000);
    link_close(l);
    return !ok ? "the session ended" : !ended ? "a call number was taken twice" : NULL;
}

static const char *huge_timeouts(void)
{
    static const uint64_t lefts[] = {1, UINT64_C(1) << 32, UINT64_MAX / 1000000, UINT64_MAX / 1000,
                                     (UINT64_C(1) << 63) - 1};
    struct link *l = session(1);
    for (size_t i = 0; l && i < sizeof lefts / sizeof *lefts; i++) {
        struct sh_frame f = native_ask(i + 1, victim.echo, "echo", sh_span_none());
        f.left_ms = lefts[i];
        native_put(l, &f);
        int code = replied(l, 3000);
        if (code != 0 && !(i == 0 && code == SH_E_TIMEOUT)) {
            return failed("left_ms %llu: code %d", (unsigned long long)lefts[i], code);
        }
    }
    if (l) {
        link_close(l);
    }
    return l ? NULL : "no session";
}

/* Texts with line ends and escapes wherever one is logged, and events to log without end. The conductor reads the victim's log. */
static const char *log_tricks(void)
{
    static const char evil[] = "x\n2026-01-01 shoal error forged\r\x1b[31m\x07\x7f\xe2\x80\xae";
    static char text[1000];
    unsigned ended = 0;
    memset(text, '\n', sizeof text);
    for (int i = 0; i < 400; i++) {
        struct link *l = session(1 + (unsigned)(i % 200));
        if (!l) {
            continue;
        }
        struct sh_frame lost = {.type = SH_FRAME_LOST,
                                .target = {.kind = SH_WHO_ACTOR, .actor = 1},
                                .name = sh_span_str(evil),
                                .count = 1,
                                .code = SH_E_NOT_RUNNING,
                                .text = sh_span_str(evil)};
        struct sh_frame fail = native_ask(1, victim.echo, "fail", sh_span_none());
        struct sh_frame odd = native_ask(2, victim.echo, evil, sh_span_none());
        struct sh_frame bye = {.type = SH_FRAME_GOODBYE, .text = sh_span_of(text, sizeof text)};
        native_put(l, &fail);
        native_put(l, &odd);
        native_put(l, &lost);
        native_put(l, &bye);
        uint8_t nothing[] = {0x01, 0xff, 0x00, 0x00};
        native_raw(l, nothing, sizeof nothing);
        link_pump(l, 0);
        ended++;
        link_close(l);
    }
    note("%u sessions", ended);
    return ended < 100 ? "too few sessions" : NULL;
}

const struct row message_rows[] = {{47, "nesting bomb", nesting},
                                   {48, "declared length bomb", declared_length},
                                   {49, "values that are not strict", odd_values},
                                   {50, "table and hash flooding", intern_flood},
                                   {51, "bodies held over reconnections", held_bodies},
                                   {52, "forged deaths, watch flood", forged},
                                   {53, "guessed actor ids", guessed},
                                   {54, "handlers parked for ever", parked},
                                   {55, "late, duplicate and foreign replies", foreign_reply},
                                   {56, "huge timeouts", huge_timeouts},
                                   {57, "log injection", log_tricks},
                                   {0, NULL, NULL}};

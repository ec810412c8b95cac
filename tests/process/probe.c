/* probe.c - the actors that the process tests talk to.
 *   probe   inc echo seq seqinfo slow pause sleep work mute take relay watch die downs
 *   clock   answers later (wait: after some milliseconds, hold: when told open), so that a probe can wait without holding its thread */
#include "host.h"
#include <time.h>

enum { LANES = 8, HELD = 4096 };

struct probe {
    int64_t n;
    int64_t last[LANES], count, disorder;
    int64_t slow_every; /* each so many seq messages wait a millisecond */
};

struct clock {
    shoal_promise held[HELD];
    char used[HELD]; /* 't': its timer answers it, 'h': open does */
    int64_t next;
};

static shoal_pid the_clock;

static shoal_bytes packed_i64(shoal_pack *p, void *room, size_t cap, int64_t value)
{
    shoal_pack_init(p, room, cap);
    shoal_put_i64(p, value);
    return shoal_packed(p);
}

/* ------------------------------------------------------------------ clock */

static int clock_wait(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct clock *clock = state;
    unsigned char room[16];
    shoal_pack p;
    int64_t ms = 0, slot = clock->next++ % HELD;
    shoal_as_i64(value, &ms);
    clock->used[slot] = 't';
    shoal_after(cx, (uint64_t)ms, "due", packed_i64(&p, room, sizeof room, slot));
    return shoal_defer(cx, &clock->held[slot]);
}

static int clock_due(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct clock *clock = state;
    int64_t slot = 0;
    shoal_as_i64(value, &slot);
    clock->used[slot] = 0;
    shoal_promise_reply(shoal_cx_node(cx), clock->held[slot], shoal_nil());
    return 0;
}

static int clock_hold(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct clock *clock = state;
    int64_t slot = clock->next++ % HELD;
    (void)value;
    clock->used[slot] = 'h';
    return shoal_defer(cx, &clock->held[slot]);
}

static int clock_open(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct clock *clock = state;
    (void)value;
    for (int i = 0; i < HELD; i++) {
        if (clock->used[i] == 'h') {
            shoal_promise_reply(shoal_cx_node(cx), clock->held[i], shoal_nil());
            clock->used[i] = 0;
        }
    }
    return 0;
}

static const shoal_handler clock_handlers[] = {
    {"wait", clock_wait}, {"due", clock_due}, {"hold", clock_hold}, {"open", clock_open}};
static const shoal_actor_type clock_type = {
    .struct_size = sizeof clock_type,
    .id = "test.clock",
    .state_size = sizeof(struct clock),
    .handlers = clock_handlers,
    .handler_count = sizeof clock_handlers / sizeof *clock_handlers,
};

/* ------------------------------------------------------------------ probe */

static int probe_inc(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct probe *probe = state;
    probe->n += shoal_field_i64(value, "amount", 1);
    return shoal_reply_i64(cx, probe->n);
}

static int probe_echo(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state;
    return shoal_reply(cx, value);
}

static int then_nothing(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)cx, (void)ud, (void)result;
    return 0;
}

/* Opens the message again after some milliseconds: the mailbox waits, the thread does not. */
static int probe_later(shoal_cx *cx, const char *name, int64_t ms, shoal_then_fn then)
{
    unsigned char room[16];
    shoal_pack p;
    int64_t call = shoal_cx_ask(cx, the_clock, name, packed_i64(&p, room, sizeof room, ms), 120000,
                                then, NULL);
    return call < 0 ? (int)call : 0;
}

/* seq: [lane, number, bytes]; the numbers of a lane must come as 1, 2, 3, ... */
static int probe_seq(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct probe *probe = state;
    int64_t lane = 0, number = 0;
    shoal_as_i64(shoal_item(value, 0), &lane);
    shoal_as_i64(shoal_item(value, 1), &number);
    if (lane < 0 || lane >= LANES) {
        return SHOAL_E_BAD_VALUE;
    }
    probe->count++;
    probe->disorder += number != probe->last[lane] + 1;
    probe->last[lane] = number;
    if (probe->slow_every && probe->count % probe->slow_every == 0) {
        return probe_later(cx, "wait", 1, then_nothing);
    }
    return 0;
}

static int probe_seqinfo(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct probe *probe = state;
    shoal_pack p;
    (void)value;
    shoal_pack_init(&p, NULL, 0);
    shoal_put_list(&p, 2);
    shoal_put_i64(&p, probe->count);
    shoal_put_i64(&p, probe->disorder);
    int code = shoal_reply(cx, shoal_packed(&p));
    shoal_pack_free(&p);
    return code;
}

static int probe_slow(shoal_cx *cx, void *state, shoal_bytes value)
{
    struct probe *probe = state;
    (void)cx;
    return shoal_as_i64(value, &probe->slow_every);
}

/* pause: takes no other message until the clock is told open. */
static int probe_pause(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return probe_later(cx, "hold", 0, then_nothing);
}

/* open: lets every paused probe of this process go on. Ask another probe for it. */
static int probe_open(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    return shoal_cx_tell(cx, the_clock, "open", shoal_nil());
}

/* sleep: blocks its thread for so many milliseconds, then answers them. */
static int probe_sleep(shoal_cx *cx, void *state, shoal_bytes value)
{
    int64_t ms = 0;
    (void)state;
    shoal_as_i64(value, &ms);
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
    return shoal_reply_i64(cx, ms);
}

static int then_worked(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)ud;
    return result->code < 0 ? shoal_fail(cx, result->text) : shoal_reply_text(cx, "worked");
}

/* work: answers after so many milliseconds, its message open and its thread free. */
static int probe_work(shoal_cx *cx, void *state, shoal_bytes value)
{
    int64_t ms = 0;
    (void)state;
    shoal_as_i64(value, &ms);
    return probe_later(cx, "wait", ms, then_worked);
}

static int probe_mute(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_promise promise;
    (void)state, (void)value;
    return shoal_defer(cx, &promise);
}

static int then_taken(shoal_cx *cx, void *ud, const shoal_result *result)
{
    (void)ud;
    return result->code < 0
               ? shoal_fail_with(cx, result->text, shoal_code_name(result->code), shoal_nil())
               : shoal_reply(cx, result->value);
}

/* take: a ref; asks its actor inc and answers what that answered. */
static int probe_take(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_pid pid;
    (void)state;
    if (shoal_as_ref(shoal_cx_node(cx), value, &pid) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    int64_t call = shoal_cx_ask(cx, pid, "inc", shoal_nil(), 5000, then_taken, NULL);
    return call < 0 ? (int)call : 0;
}

/* relay: a ref; asks its actor to work for 200 ms and answers what that answered. */
static int probe_relay(shoal_cx *cx, void *state, shoal_bytes value)
{
    unsigned char room[16];
    shoal_pid pid;
    shoal_pack p;
    (void)state;
    if (shoal_as_ref(shoal_cx_node(cx), value, &pid) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    int64_t call = shoal_cx_ask(cx, pid, "work", packed_i64(&p, room, sizeof room, 200), 5000,
                                then_taken, NULL);
    return call < 0 ? (int)call : 0;
}

/* watch: a ref; its end is printed. */
static int probe_watch(shoal_cx *cx, void *state, shoal_bytes value)
{
    shoal_pid pid;
    (void)state;
    if (shoal_as_ref(shoal_cx_node(cx), value, &pid) < 0) {
        return SHOAL_E_BAD_VALUE;
    }
    return shoal_monitor(shoal_cx_node(cx), shoal_cx_self(cx), pid);
}

static int probe_die(shoal_cx *cx, void *state, shoal_bytes value)
{
    (void)state, (void)value;
    shoal_cx_stop(cx, "told to die");
    return 0;
}

static int probe_on_down(shoal_cx *cx, void *state, shoal_pid pid, const shoal_reason *reason)
{
    (void)state;
    host_say("\"event\": \"down\", \"ref\": \"%s\", \"kind\": %d", host_ref(shoal_cx_node(cx), pid),
             reason->kind);
    return SHOAL_RESUME;
}

static const shoal_handler probe_handlers[] = {
    {"inc", probe_inc},   {"echo", probe_echo},   {"seq", probe_seq},   {"seqinfo", probe_seqinfo},
    {"slow", probe_slow}, {"pause", probe_pause}, {"open", probe_open}, {"sleep", probe_sleep},
    {"work", probe_work}, {"mute", probe_mute},   {"take", probe_take}, {"relay", probe_relay},
    {"die", probe_die},   {"watch", probe_watch},
};
static const shoal_actor_type probe_type = {
    .struct_size = sizeof probe_type,
    .id = "test.probe",
    .state_size = sizeof(struct probe),
    .handlers = probe_handlers,
    .handler_count = sizeof probe_handlers / sizeof *probe_handlers,
    .on_down = probe_on_down,
};

int probe_start(shoal_node *node)
{
    return shoal_spawn(node, &clock_type, NULL, &the_clock);
}

int probe_spawn(shoal_node *node, uint32_t mailbox, shoal_pid *pid)
{
    shoal_spawn_options options = {.struct_size = sizeof options, .mailbox = mailbox};
    return shoal_spawn(node, &probe_type, &options, pid);
}

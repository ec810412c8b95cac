/* floor_local.c - the smallest actor scheduler that is one: what a local message costs at least.
 *   floor_local tell COUNT    ns a message: a producer's handler sends bursts to a consumer
 *   floor_local ask COUNT     ns a round trip: two hops, and a timer-wheel entry that is taken out again
 *   floor_local ring COUNT    ns a hop: one message goes round 1,000 actors
 *   floor_local cross COUNT   ns a message from one thread to another: batches of 64 linked messages, 768 under way, each
 *                             handled by an indirect call and sent home with its batch
 *
 * An actor has a list mailbox that any thread may put into, a flag that says whether it is in the run queue, and a
 * handler, called indirectly; a message is 64 bytes of a free list. No names, no values to parse, no pids, no limits. */
#include <pthread.h>
#include <stdatomic.h>

#include "bench.h"

enum { BURST = 256, SLICE = 64, WHEEL_SLOTS = 256, RING = 1000, BATCH = 64, UNDER_WAY = 768 };

struct actor;

struct msg {
    _Atomic(struct msg *) next;
    struct actor *from;
    int64_t value;
    char rest[40];
};

typedef void handler(struct actor *self, struct msg *m);

struct actor {
    handler *handle;
    _Atomic(struct msg *) last; /* where senders put */
    struct msg *first;          /* the one before the next to handle: empty, or handled */
    struct actor *ready_next;
    atomic_int queued;
    uint64_t n;
    struct actor *peer;
};

struct timer {
    struct timer *next, *prev;
    uint64_t deadline_us;
};

static struct msg *free_list;
static struct actor *ready_head, *ready_tail;
static struct timer wheel[WHEEL_SLOTS];
static struct timer pending;
static uint64_t now_us, left;

static struct msg *msg_new(void)
{
    struct msg *m = free_list;
    if (!m) {
        m = malloc(sizeof *m);
        if (!m) {
            bench_die("no memory");
        }
        return m;
    }
    free_list = atomic_load_explicit(&m->next, memory_order_relaxed);
    return m;
}

static void msg_free(struct msg *m)
{
    atomic_store_explicit(&m->next, free_list, memory_order_relaxed);
    free_list = m;
}

static void ready(struct actor *a)
{
    a->ready_next = NULL;
    if (ready_head) {
        ready_tail->ready_next = a;
    } else {
        ready_head = a;
    }
    ready_tail = a;
}

/* Not inlined: a scheduler is a library, its user calls it. */
__attribute__((noinline)) static void send(struct actor *to, struct actor *from, int64_t value)
{
    struct msg *m = msg_new();
    atomic_store_explicit(&m->next, NULL, memory_order_relaxed);
    m->from = from;
    m->value = value;
    memset(m->rest, 0, sizeof m->rest); /* a message is written whole */
    struct msg *before = atomic_exchange_explicit(&to->last, m, memory_order_acq_rel);
    atomic_store_explicit(&before->next, m, memory_order_release);
    if (!atomic_load_explicit(&to->queued, memory_order_acquire) &&
        !atomic_exchange_explicit(&to->queued, 1, memory_order_acq_rel)) {
        ready(to);
    }
}

static void run(void)
{
    struct actor *a;
    while ((a = ready_head) != NULL) {
        ready_head = a->ready_next;
        struct msg *m;
        for (int i = 0; i < SLICE; i++) {
            m = atomic_load_explicit(&a->first->next, memory_order_acquire);
            if (!m) {
                break;
            }
            msg_free(a->first);
            a->first = m; /* its node stays in the list until the next one is taken */
            a->handle(a, m);
        }
        atomic_store_explicit(&a->queued, 0, memory_order_seq_cst);
        if (atomic_load_explicit(&a->first->next, memory_order_acquire) &&
            !atomic_exchange_explicit(&a->queued, 1, memory_order_acq_rel)) {
            ready(a);
        }
    }
}

static void actor_init(struct actor *a, handler *handle, struct actor *peer)
{
    struct msg *empty = msg_new();
    *a = (struct actor){.handle = handle, .first = empty, .peer = peer};
    atomic_store(&empty->next, NULL);
    atomic_store(&a->last, empty);
}

static void consume(struct actor *self, struct msg *m)
{
    self->n += (uint64_t)m->value;
    if (self->n % BURST == 0) {
        send(m->from, self, 0); /* the next burst: the queue stays short */
    }
}

static void produce(struct actor *self, struct msg *m)
{
    (void)m;
    for (int i = 0; i < BURST && left > 0; i++, left--) {
        send(self->peer, self, 1);
    }
}

static void arm(struct timer *t, uint64_t deadline_us)
{
    struct timer *slot = &wheel[(deadline_us >> 10) % WHEEL_SLOTS];
    t->deadline_us = deadline_us;
    t->next = slot;
    t->prev = slot->prev;
    slot->prev->next = t;
    slot->prev = t;
}

static void cancel(struct timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = t;
}

static void answer(struct actor *self, struct msg *m)
{
    send(m->from, self, (int64_t)++self->n);
}

static void ask(struct actor *self, struct msg *m)
{
    if (m->from) {
        cancel(&pending);
        self->n += (uint64_t)m->value;
    }
    if (left > 0) {
        left--;
        now_us += 3;
        arm(&pending, now_us + 5000000);
        send(self->peer, self, 1);
    }
}

static void hop(struct actor *self, struct msg *m)
{
    self->n += (uint64_t)m->value;
    if (left-- > 1) {
        send(self->peer, self, 1);
    }
}

/* --- two threads --- */

static _Atomic(struct msg *) there, home; /* stacks of batches */
static struct actor far;
static atomic_uint_fast64_t expected;

static void push(_Atomic(struct msg *) *to, struct msg *first, struct msg *last)
{
    struct msg *seen = atomic_load_explicit(to, memory_order_relaxed);
    do {
        atomic_store_explicit(&last->next, seen, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(to, &seen, first, memory_order_release,
                                                    memory_order_relaxed));
}

static struct msg *next_of(struct msg *m)
{
    return atomic_load_explicit(&m->next, memory_order_relaxed);
}

/* Takes all, oldest first, handles it, sends it home. */
static void *cross_serve(void *ud)
{
    (void)ud;
    bench_pin(1);
    while (far.n < atomic_load_explicit(&expected, memory_order_relaxed)) {
        struct msg *taken = atomic_exchange_explicit(&there, NULL, memory_order_acquire);
        struct msg *turned = NULL, *last = taken;
        while (taken) {
            struct msg *next = next_of(taken);
            atomic_store_explicit(&taken->next, turned, memory_order_relaxed);
            turned = taken;
            taken = next;
        }
        if (!turned) {
            sched_yield();
            continue;
        }
        struct msg *first = turned;
        for (struct msg *m = first; m; m = next_of(m)) {
            far.handle(&far, m);
        }
        push(&home, first, last);
    }
    return NULL;
}

static void cross_send(uint64_t count)
{
    while (count > 0) {
        struct msg *first = NULL, *last = NULL;
        for (int i = 0; i < BATCH && count > 0 && free_list; i++, count--) {
            struct msg *m = msg_new();
            m->from = NULL;
            m->value = 1;
            memset(m->rest, 0, sizeof m->rest);
            atomic_store_explicit(&m->next, first, memory_order_relaxed);
            last = last ? last : m;
            first = m;
        }
        if (first) {
            push(&there, first, last);
        }
        if (!free_list) {
            free_list = atomic_exchange_explicit(&home, NULL, memory_order_acquire);
        }
        if (!free_list) {
            sched_yield();
        }
    }
}

static void count_one(struct actor *self, struct msg *m)
{
    self->n += (uint64_t)m->value;
}

static double cross(uint64_t count)
{
    double took = 0;
    handler *volatile handle = count_one;
    bench_pin(0);
    far.handle = handle;
    struct msg *all = malloc(UNDER_WAY * sizeof *all);
    for (int i = 0; all && i < UNDER_WAY; i++) {
        msg_free(&all[i]);
    }
    for (int round = 0; round < 2; round++) {
        pthread_t thread;
        uint64_t n = round ? count : count / 10;
        far.n = 0;
        atomic_store(&expected, n);
        uint64_t start = bench_now_ns();
        if (!all || pthread_create(&thread, NULL, cross_serve, NULL) != 0) {
            bench_die("no thread");
        }
        cross_send(n);
        pthread_join(thread, NULL);
        took = (double)(bench_now_ns() - start) / (double)n;
    }
    return took;
}

static double ring(uint64_t count)
{
    static struct actor actors[RING];
    handler *volatile handle = hop;
    for (int i = 0; i < RING; i++) {
        actor_init(&actors[i], handle, &actors[(i + 1) % RING]);
    }
    uint64_t start = 0;
    for (int round = 0; round < 2; round++) {
        left = round ? count : count / 10;
        start = bench_used_ns();
        send(&actors[0], NULL, 1);
        run();
    }
    return (double)(bench_used_ns() - start) / (double)count;
}

static double measure(struct actor *first, uint64_t count)
{
    uint64_t start = 0;
    for (int round = 0; round < 2; round++) { /* the first one warms up */
        left = round ? count : count / 10 / BURST * BURST;
        start = bench_used_ns();
        send(first, NULL, 0);
        run();
    }
    return (double)(bench_used_ns() - start) / (double)count;
}

int main(int argc, char **argv)
{
    uint64_t count = bench_count(argc, argv) / BURST * BURST;
    int tell = strcmp(argv[1], "tell") == 0;
    if (strcmp(argv[1], "ring") == 0 || strcmp(argv[1], "cross") == 0) {
        printf("%.3f\n", argv[1][0] == 'r' ? ring(count) : cross(count));
        return 0;
    }
    /* Not known to the compiler: the call stays indirect. */
    handler *volatile handlers[2] = {tell ? produce : ask, tell ? consume : answer};
    struct actor first, second;
    actor_init(&second, handlers[1], NULL);
    actor_init(&first, handlers[0], &second);
    for (int i = 0; i < WHEEL_SLOTS; i++) {
        wheel[i].next = wheel[i].prev = &wheel[i];
    }
    printf("%.3f\n", measure(&first, count));
    if (second.n < count) {
        bench_die("messages were lost");
    }
    return 0;
}

/* actor/timer.c - after and every: one message per timer, made with it, so firing cannot fail. */
#include "actor/actor.h"

struct after {
    struct sh_due due;
    sh_list link; /* of its actor */
    uint64_t actor;
    sh_msg *m;          /* NULL while it is in the mailbox or handled */
    uint64_t period_us; /* 0: once */
    uint64_t next_us;
    uint64_t id;
};

static struct after *timer_at(const sh_exec *x, uint64_t id)
{
    return sh_slab_get(&x->timers, (uint32_t)id, (uint32_t)(id >> 32));
}

void sh_timer_table_init(sh_exec *x)
{
    sh_slab_init(&x->timers, x->rt->cfg.mem, sizeof(struct after), SH_SLAB_COUNT_MAX,
                 (uint32_t)sh_rng_u64(x->rt->cfg.rng[x->index]));
}

static int64_t timer_start(sh_cx *cx, uint64_t us, bool again, sh_span name, sh_span value)
{
    sh_exec *x = cx->x;
    sh_actor *a = cx->a;
    if (!a) {
        return SH_E_CLOSED;
    }
    if (name.n - 1 >= SH_NAME_MAX || (again && us < SH_WHEEL_TICK_US) || us > UINT64_MAX / 4) {
        return SH_E_BAD_VALUE;
    }
    uint32_t index = 0;
    uint32_t generation = 0;
    void *object = NULL;
    struct sh_msg_parts parts = {.name = name, .value = value};
    sh_pid self = sh_actor_pid(x, a);
    sh_msg *m = sh_exec_msg(x, SH_MSG_TIMER, self, self, &parts);
    if (!m || sh_slab_alloc(&x->timers, &index, &generation, &object)) {
        if (m) {
            sh_exec_release(x, m);
        }
        return SH_E_LIMIT;
    }
    struct after *t = object;
    t->id = ((uint64_t)generation << 32) | index;
    m->flags |= SH_MSG_OWNED;
    m->reply.actor = t->id;
    t->due.what = SH_DUE_ACTOR_TIMER;
    sh_timer_init(&t->due.timer);
    t->actor = a->id;
    t->m = m;
    t->period_us = again ? us : 0;
    t->next_us = x->now_us + us;
    sh_list_init(&t->link);
    sh_list_push_back(&a->timers, &t->link);
    sh_wheel_arm(&x->wheel, &t->due.timer, t->next_us);
    return (int64_t)(t->id & INT64_MAX);
}

int64_t sh_cx_after(sh_cx *cx, uint64_t us, sh_span name, sh_span value)
{
    return timer_start(cx, us, false, name, value);
}

int64_t sh_cx_every(sh_cx *cx, uint64_t us, sh_span name, sh_span value)
{
    return timer_start(cx, us, true, name, value);
}

static void message_free(sh_exec *x, sh_msg *m)
{
    m->flags &= (uint8_t)~SH_MSG_OWNED;
    sh_exec_release(x, m);
}

static void timer_free(sh_exec *x, struct after *t)
{
    sh_wheel_cancel(&x->wheel, &t->due.timer);
    sh_list_remove(&t->link);
    if (t->m) {
        message_free(x, t->m);
    }
    sh_slab_free(&x->timers, (uint32_t)t->id, (uint32_t)(t->id >> 32));
}

int sh_cx_cancel_timer(sh_cx *cx, int64_t timer)
{
    struct after *t = cx->a ? sh_slab_at(&cx->x->timers, (uint32_t)timer) : NULL;
    if (!t || (t->id & INT64_MAX) != (uint64_t)timer || t->actor != cx->a->id) {
        return SH_E_NOT_FOUND;
    }
    timer_free(cx->x, t);
    return 0;
}

void sh_timer_fire(sh_exec *x, struct sh_due *due)
{
    struct after *t = SH_CONTAINER(due, struct after, due);
    sh_actor *a = sh_actor_at(x, t->actor);
    if (t->period_us) {
        uint64_t missed = (x->now_us - t->next_us) / t->period_us;
        t->next_us += (missed + 1) * t->period_us;
        sh_wheel_arm(&x->wheel, &t->due.timer, t->next_us);
    }
    /* m is NULL while the last one still waits: skipped, so a slow actor is not buried. */
    if (t->m && a && !(a->flags & SH_A_CLOSING)) {
        sh_msg *m = t->m;
        t->m = NULL;
        sh_actor_enqueue(x, a, m);
    }
}

bool sh_timer_begin(sh_exec *x, sh_msg *m)
{
    struct after *t = timer_at(x, m->reply.actor);
    if (!t) {
        message_free(x, m);
        return false;
    }
    if (t->period_us == 0) {
        timer_free(x, t);
    }
    return true;
}

void sh_timer_home(sh_exec *x, sh_msg *m)
{
    struct after *t = timer_at(x, m->reply.actor);
    if (t && t->period_us && !t->m) {
        t->m = m;
    } else {
        message_free(x, m);
    }
}

void sh_timer_end_all(sh_exec *x, sh_actor *a)
{
    while (!sh_list_empty(&a->timers)) {
        timer_free(x, SH_CONTAINER(sh_list_front(&a->timers), struct after, link));
    }
}

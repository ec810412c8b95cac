/* actor/event.c - what the node tells its user: undelivered, actor_failed, stalled. They are messages on their
 * way to the loop; equal ones that meet in the queue become one with a count. */
#include "actor/internal.h"

static void event_send(sh_exec *x, enum sh_runtime_event_kind kind, sh_pid pid, sh_span name,
                       sh_span text, int code, uint64_t count)
{
    struct sh_msg_parts parts = {.name = sh_span_take(name, SH_NAME_MAX), .text = text};
    sh_pid to = sh_exec_pid(x, 0);
    sh_msg *m = sh_exec_msg(x, SH_MSG_EVENT, to, pid, &parts);
    if (!m) {
        x->stats.events_dropped += kind == SH_RT_STALLED ? 1 : count;
        return;
    }
    m->tag = (uint32_t)kind;
    m->code = (int8_t)code;
    m->deadline_us = count;
    sh_exec_send(x, m);
}

void sh_event_undelivered(sh_exec *x, sh_pid to, sh_span name, uint32_t count, int code,
                          sh_span text)
{
    x->stats.lost += count;
    event_send(x, SH_RT_UNDELIVERED, to, name, text, code, count);
}

void sh_event_failed(sh_exec *x, sh_pid pid, sh_span name, int code, sh_span text)
{
    event_send(x, SH_RT_ACTOR_FAILED, pid, name, text, code, 1);
}

void sh_event_stalled(sh_exec *x, sh_pid pid, sh_span name, uint64_t us)
{
    event_send(x, SH_RT_STALLED, pid, name, sh_span_none(), 0, us);
}

static bool event_same(const sh_msg *a, const sh_msg *b)
{
    return a->tag == SH_RT_UNDELIVERED && a->tag == b->tag && a->code == b->code &&
           sh_pid_eq(a->from, b->from) && sh_span_eq(sh_msg_name(a), sh_msg_name(b));
}

void sh_event_arrive(sh_exec *x, sh_msg *m)
{
    if (x->events.head && event_same(x->events.tail, m)) {
        x->events.tail->deadline_us += m->deadline_us;
        sh_exec_release(x, m);
        return;
    }
    if (x->event_count >= SH_RUNTIME_EVENTS_MAX) {
        x->stats.events_dropped += m->tag == SH_RT_STALLED ? 1 : m->deadline_us;
        sh_exec_release(x, m);
        return;
    }
    x->event_count++;
    sh_msg_queue_push(&x->events, m);
}

bool sh_runtime_event(sh_runtime *rt, struct sh_runtime_event *out)
{
    sh_exec *x = rt->exec[0];
    if (x->event_taken) {
        sh_exec_release(x, x->event_taken);
    }
    sh_msg *m = sh_msg_queue_pop(&x->events);
    x->event_taken = m;
    if (!m) {
        return false;
    }
    x->event_count--;
    *out = (struct sh_runtime_event){.kind = (enum sh_runtime_event_kind)m->tag,
                                     .pid = m->from,
                                     .code = m->code,
                                     .count = m->deadline_us,
                                     .name = sh_msg_name(m),
                                     .text = sh_msg_text(m)};
    return true;
}

void sh_loss_note(sh_exec *x, uint64_t actor, int code)
{
    enum { LOSSES = sizeof x->losses / sizeof x->losses[0] };
    for (uint32_t i = 0; i < LOSSES; i++) {
        if (x->losses[i].code && x->losses[i].actor == actor) {
            return; /* the first is told */
        }
    }
    x->losses[x->loss_at].actor = actor;
    x->losses[x->loss_at].code = code;
    x->loss_at = (x->loss_at + 1) % LOSSES;
}

int sh_loss_take(sh_exec *x, uint64_t actor)
{
    for (uint32_t i = 0; i < sizeof x->losses / sizeof x->losses[0]; i++) {
        if (x->losses[i].code && x->losses[i].actor == actor) {
            int code = x->losses[i].code;
            x->losses[i].code = 0;
            return code;
        }
    }
    return 0;
}

/* ltimer.c - who sleeps, and calls with a time of their own: a heap of coroutines by the moment they are due.
 *
 * They are woken in a callback of the library, so that all Lua code runs inside shoal_poll: when someone is due,
 * a call that ends at once (the end of an actor that is not) is begun, and its callback wakes. */
#include <stdlib.h>

#include "lshoal.h"

static void heap_put(lnode *n, size_t i, lcoro *c)
{
    n->sleepers[i] = c;
    c->at = i + 1;
}

static void heap_up(lnode *n, size_t i, lcoro *c)
{
    while (i > 0 && n->sleepers[(i - 1) / 2]->due_us > c->due_us) {
        heap_put(n, i, n->sleepers[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(n, i, c);
}

static void heap_down(lnode *n, size_t i, lcoro *c)
{
    for (size_t child = 2 * i + 1; child < n->sleeper_count; child = 2 * i + 1) {
        if (child + 1 < n->sleeper_count &&
            n->sleepers[child + 1]->due_us < n->sleepers[child]->due_us) {
            child++;
        }
        if (n->sleepers[child]->due_us >= c->due_us) {
            break;
        }
        heap_put(n, i, n->sleepers[child]);
        i = child;
    }
    heap_put(n, i, c);
}

bool ltimer_add(lcoro *c, uint64_t due_us)
{
    lnode *n = c->node;
    if (n->sleeper_count == n->sleeper_cap) {
        size_t cap = n->sleeper_cap ? n->sleeper_cap * 2 : 16;
        lcoro **grown = realloc(n->sleepers, cap * sizeof(lcoro *));
        if (!grown) {
            return false;
        }
        n->sleepers = grown;
        n->sleeper_cap = cap;
    }
    c->due_us = due_us;
    heap_up(n, n->sleeper_count++, c);
    return true;
}

void ltimer_remove(lcoro *c)
{
    lnode *n = c->node;
    size_t i = c->at - 1;
    lcoro *last = n->sleepers[--n->sleeper_count];
    c->at = 0;
    if (last == c) {
        return;
    }
    if (i > 0 && n->sleepers[(i - 1) / 2]->due_us > last->due_us) {
        heap_up(n, i, last);
    } else {
        heap_down(n, i, last);
    }
}

bool ltimer_due(const lnode *n)
{
    return n->sleeper_count > 0 && n->sleepers[0]->due_us <= lnode_now_us(n);
}

uint64_t ltimer_next_us(const lnode *n, uint64_t otherwise_us)
{
    return n->sleeper_count > 0 && n->sleepers[0]->due_us < otherwise_us ? n->sleepers[0]->due_us
                                                                         : otherwise_us;
}

int64_t ltimer_wait_ms(const lnode *n, int64_t wait_ms)
{
    if (n->sleeper_count == 0) {
        return wait_ms;
    }
    uint64_t now_us = shoal_clock_us(n->node), due_us = n->sleepers[0]->due_us;
    int64_t left_ms = due_us <= now_us ? 0 : (int64_t)((due_us - now_us + 999) / 1000);
    return wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
}

void ltimer_fire(lnode *n)
{
    uint64_t now_us = lnode_now_us(n);
    while (n->sleeper_count > 0 && n->sleepers[0]->due_us <= now_us) {
        lcoro *c = n->sleepers[0];
        ltimer_remove(c);
        if (c->wait == WAIT_SLEEP) {
            lcoro_wake(c, NULL);
        } else {
            c->timed_out = true;
            shoal_cancel(c->on->node, c->call);
        }
    }
}

static void timer_fired(void *ud, const shoal_result *result)
{
    (void)result;
    lnode *n = ud;
    n->waking = false;
    if (!n->closing) {
        ltimer_fire(n);
    }
}

void ltimer_arm(lnode *n)
{
    if (n->waking || !lnode_usable(n)) {
        return;
    }
    n->waking = true;
    if (shoal_done(n->node, n->nobody, timer_fired, n) < 0) {
        n->waking = false;
        ltimer_fire(n); /* out of memory: rather outside a turn than never */
    }
}

void ltimer_close(lnode *n)
{
    free(n->sleepers);
    n->sleepers = NULL;
    n->sleeper_count = n->sleeper_cap = 0;
}

/* swarm/internal.c - notes, alarms, charged memory, texts: the tools the files of this layer share. */
#include "swarm/internal.h"

void sh_note_queue(struct sh_swarm *s, struct sh_note *n)
{
    if (sh_list_empty(&n->at)) {
        sh_list_push_back(&s->notes, &n->at);
    }
}

void sh_alarm_init(struct sh_alarm *a, enum sh_alarm_kind kind)
{
    sh_timer_init(&a->t);
    a->kind = kind;
}

void sh_alarm_set(struct sh_swarm *s, struct sh_alarm *a, uint64_t due_us)
{
    sh_wheel_arm(&s->wheel, &a->t, due_us);
}

void *sh_swarm_take(struct sh_swarm *s, size_t bytes)
{
    if (sh_quota_take(s->cfg.quota, bytes) != 0) {
        return NULL;
    }
    void *p = sh_mem_zalloc(s->cfg.mem, bytes);
    if (!p && s->cfg.quota) {
        sh_quota_give(s->cfg.quota, bytes);
    }
    return p;
}

void sh_swarm_give(struct sh_swarm *s, void *p, size_t bytes)
{
    sh_mem_free(s->cfg.mem, p, bytes);
    if (s->cfg.quota) {
        sh_quota_give(s->cfg.quota, bytes);
    }
}

int sh_buf_append(struct sh_swarm *s, struct sh_buf *b, sh_span bytes)
{
    if (bytes.n == 0) {
        return 0;
    }
    if (b->cap - b->n < bytes.n) {
        size_t cap = b->cap < 256 ? 256 : b->cap;
        while (cap - b->n < bytes.n) {
            cap *= 2;
        }
        if (sh_quota_take(s->cfg.quota, cap - b->cap) != 0) {
            return SH_E_LIMIT;
        }
        uint8_t *p = sh_mem_resize(s->cfg.mem, b->b, b->cap, cap);
        if (!p) {
            if (s->cfg.quota) {
                sh_quota_give(s->cfg.quota, cap - b->cap);
            }
            return SH_E_NOMEM;
        }
        b->b = p;
        b->cap = cap;
    }
    memcpy(b->b + b->n, bytes.p, bytes.n);
    b->n += bytes.n;
    return 0;
}

void sh_buf_consume(struct sh_buf *b, size_t n)
{
    if (n > 0) {
        memmove(b->b, b->b + n, b->n - n);
        b->n -= n;
    }
}

void sh_buf_free(struct sh_swarm *s, struct sh_buf *b)
{
    if (b->cap > 0) {
        sh_swarm_give(s, b->b, b->cap);
    }
    memset(b, 0, sizeof *b);
}

void sh_text_copy(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; text && text[n] && n + 1 < cap; n++) {
        out[n] = text[n];
    }
    out[n] = 0;
}

/* remote/native_bye.c - a session that ends well: GOODBYE, its answer, what is still due, the end of our stream.
 *
 * Spec     docs/wire.md, "Loss and goodbye". */
#include "remote/native.h"

void native_op_goodbye(struct sh_rpeer *p, uint64_t left_ms, sh_span text, uint64_t now_us)
{
    struct native *n = p->native;
    if (!n || n->said_bye) {
        return;
    }
    native_fail_waiting(n, SH_E_CLOSED, "the node is stopping");
    if (n->out && n->active >= 0) {
        struct sh_frame f = {.type = SH_FRAME_GOODBYE, .left_ms = left_ms, .text = text};
        native_frame(n, &f);
        n->said_bye = true;
        n->bye_until_us = now_us + SH_BYE_ANSWER_MS * 1000u;
    } else if (n->out) {
        native_end(n, "the node is stopping"); /* not paired: nobody is owed a word */
    } else {
        sh_watch_peer_lost(p, sh_span_str("the node is stopping"));
    }
    for (int i = 0; i < SH_SESSION_STREAMS_MAX; i++) { /* nor is a HELLO waited for so long */
        uint64_t until_us = now_us + SH_BYE_ANSWER_MS * 1000u;
        if (!n->in[i].hello && n->in[i].deadline_us > until_us) {
            n->in[i].deadline_us = until_us;
        }
    }
    sh_remote_touch(p);
}

/* Answered once, so that its writer knows when nothing of ours can cross any more; before that, what became of its tells:
 * those without a credit count as lost. */
const char *native_get_goodbye(struct native *n)
{
    if (!n->said_bye && !n->got_bye && n->out) {
        native_lost_flush(n);
        native_credits_all(n);
        struct sh_frame f = {.type = SH_FRAME_GOODBYE};
        native_frame(n, &f);
    }
    n->got_bye = true;
    native_fail_waiting(n, SH_E_CLOSED, "the peer is stopping");
    sh_remote_touch(n->peer);
    return NULL;
}

static bool native_owes(const struct native *n)
{
    if (n->calls_in_open || n->backlog_n || n->part || !sh_list_empty(&n->peer->watches.held)) {
        return true;
    }
    SH_LIST_FOREACH(it, &n->peer->watches.watches)
    {
        if (SH_CONTAINER(it, struct sh_watch, link)->linked) {
            return true; /* the end of our actor is still to be told */
        }
    }
    return false;
}

/* After goodbye, its answer, and all that was still due: the end of our stream. The peer's is waited for as long. */
void native_finish(struct native *n, uint64_t now_us)
{
    bool answered = n->got_bye || n->bye_until_us == UINT64_MAX;
    if (n->said_bye && answered && !n->fin_sent && n->out && n->out_open && !native_owes(n)) {
        native_lost_flush(n);
        native_credits_all(n);
        native_scratch_flush(n->r);
        if (n->backlog_n == 0 && !n->part) {
            sh_stream_shut(n->out);
            n->fin_sent = true;
            n->bye_until_us = now_us + SH_BYE_ANSWER_MS * 1000u;
        }
    }
}

/* The peer has not answered our goodbye in time, or not ended its stream after ours. */
void native_bye_late(struct native *n)
{
    n->bye_until_us = UINT64_MAX;
    if (n->fin_sent || !n->out_open) {
        native_end(n, "the peer does not answer a goodbye");
    }
}

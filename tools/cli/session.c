/* session.c - a node for one errand. --timeout bounds the whole of it: dialling, finding, asking.
 *
 * Of several --dial one that answers is enough; the others get a short grace, ps waits for all. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

enum { TIMEOUT_MS = 5000, GRACE_MS = 300, SLICE_MS = 50, LEAVE_MS = 500 };

uint64_t session_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t timeout_ms(const struct cli *cli)
{
    return cli->timeout_s > 0 ? (uint32_t)(cli->timeout_s * 1000 + 0.999) : TIMEOUT_MS;
}

uint32_t session_left_ms(const struct session *s)
{
    uint64_t now = session_now_ms();
    return s->end_ms > now ? (uint32_t)(s->end_ms - now) : 1;
}

static size_t answers(const struct session *s, bool good)
{
    size_t n = 0;
    for (size_t i = 0; i < s->cli->dial.count; i++) {
        n += s->dialled[i] && (!good || s->dialled[i]->code == 0);
    }
    return n;
}

/* Polls until the dials have ended, or one has been good for a while, or the time is over. */
static void await_dials(struct session *s, bool all)
{
    uint64_t grace_end = UINT64_MAX;
    while (answers(s, false) < s->cli->dial.count) {
        uint64_t now = session_now_ms();
        if (!all && grace_end == UINT64_MAX && answers(s, true) > 0) {
            grace_end = now + GRACE_MS;
        }
        if (now >= s->end_ms || now >= grace_end) {
            return;
        }
        shoal_poll(s->node, 0, SLICE_MS);
    }
}

static int dial_failure(const struct session *s)
{
    char text[512];
    for (size_t i = 0; i < s->cli->dial.count; i++) {
        const shoal_result *r = s->dialled[i];
        if (r && r->code < 0) {
            snprintf(text, sizeof text, "%s: %s", s->cli->dial.at[i], r->text);
            return output_error(s->cli, r->code, SHOAL_NOT_SENT, text);
        }
    }
    snprintf(text, sizeof text, "%s: no answer in %g s", s->cli->dial.at[0],
             timeout_ms(s->cli) / 1000.0);
    return output_error(s->cli, SHOAL_E_TIMEOUT, SHOAL_NOT_SENT, text);
}

int session_dial(struct session *s, bool all)
{
    size_t n = s->cli->dial.count;
    for (size_t i = 0; i < n; i++) {
        int64_t call = shoal_dial(s->node, s->cli->dial.at[i], shoal_keep, &s->dialled[i]);
        if (call < 0) {
            return output_last(s->cli, s->node, call);
        }
    }
    await_dials(s, all);
    size_t good = answers(s, true);
    return n == 0 || (all ? good == n : good > 0) ? CLI_DONE : dial_failure(s);
}

int session_open(struct session *s, const struct cli *cli)
{
    shoal_node_config cfg;
    *s = (struct session){.cli = cli, .end_ms = session_now_ms() + timeout_ms(cli)};
    s->dialled = calloc(cli->dial.count + 1, sizeof(shoal_result *));
    if (!s->dialled) {
        return output_error(cli, SHOAL_E_LIMIT, SHOAL_NOT_SENT, "no memory");
    }
    shoal_node_config_init(&cfg, sizeof cfg);
    cfg.key = cli->key;
    cfg.ask_timeout_ms = timeout_ms(cli);
    cfg.log_level = SHOAL_LOG_ERROR; /* a loss is said as the command's own failure */
    int code = shoal_node_new(&cfg, &s->node);
    return code < 0 ? output_last(cli, NULL, code) : CLI_DONE;
}

int session_wait(struct session *s, int64_t call, shoal_result **result)
{
    if (call < 0) {
        return output_last(s->cli, s->node, call);
    }
    shoal_wait(s->node, result);
    return (*result)->code < 0 ? output_result(s->cli, *result) : CLI_DONE;
}

static bool looks_like_ref(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF") == 16 && text[16] == '@';
}

int session_find(struct session *s, const char *text, shoal_pid *pid)
{
    shoal_result *found = NULL;
    if (looks_like_ref(text)) {
        int code = shoal_pid_parse(s->node, text, pid);
        return code < 0 ? output_last(s->cli, s->node, code) : CLI_DONE;
    }
    uint32_t look_ms = s->cli->timeout_s == 0 ? 0 : session_left_ms(s);
    int status = session_wait(s, shoal_lookup(s->node, text, look_ms, shoal_keep, &found), &found);
    if (status == CLI_DONE) {
        *pid = found->pid;
    }
    shoal_result_free(found);
    return status;
}

/* Peers are told, so that they do not take the end for a loss. */
void session_close(struct session *s)
{
    shoal_result *left = NULL;
    if (s->node && shoal_node_stop(s->node, LEAVE_MS, shoal_keep, &left) > 0) {
        shoal_wait(s->node, &left);
    }
    shoal_node_free(s->node);
    shoal_result_free(left);
    for (size_t i = 0; s->dialled && i < s->cli->dial.count; i++) {
        shoal_result_free(s->dialled[i]);
    }
    free(s->dialled);
}

/* abi/call.c - the ends of calls: results translated, kept, waited for. */
#include <string.h>

#include "internal.h"

static const char *text_of(char *room, sh_span text)
{
    if (!text.n) {
        return "";
    }
    size_t n = text.n < SH_TEXT_MAX ? text.n : SH_TEXT_MAX;
    memcpy(room, text.p, n);
    room[n] = 0;
    return room;
}

void abi_reason_of(shoal_reason *out, char *text, const struct sh_reason *in)
{
    *out = (shoal_reason){
        .kind = in->kind, .text = text_of(text, in->text), .pid = abi_pid_out(in->pid)};
}

void abi_result_of(struct abi_result *out, const struct sh_result *in)
{
    static const struct sh_result fine;
    in = in ? in : &fine;
    shoal_result *r = &out->result;
    out->of = in;
    r->code = in->code == SH_RESULT_MORE ? 0 : in->code;
    r->delivery = in->code < 0 ? in->delivery ? in->delivery : SHOAL_NOT_SENT : 0;
    r->text = text_of(out->text, in->text);
    if (r->code < 0 && !*r->text) {
        r->text = shoal_strerror(r->code);
    }
    r->type = text_of(out->type, in->type);
    r->value = abi_bytes_out(in->value);
    r->pid = abi_pid_out(in->pid);
    abi_reason_of(&r->reason, out->reason, &in->reason);
}

/* --- callbacks of open calls: from a short list of spares, so that an ask allocates nothing --- */

static struct abi_call *spare_take(shoal_node *node, unsigned list)
{
    struct abi_call *call = node->spare[list];
    if (call) {
        node->spare[list] = call->next;
        node->spare_count[list]--;
    }
    return call;
}

static bool spare_put(struct abi_call *call)
{
    shoal_node *node = call->node;
    if (node->spare_count[call->exec] >= ABI_SPARE_CALLS_MAX) {
        return false;
    }
    call->next = node->spare[call->exec];
    node->spare[call->exec] = call;
    node->spare_count[call->exec]++;
    return true;
}

struct abi_call *abi_call_new(shoal_node *node, unsigned exec, void *ud)
{
    struct abi_call *call = NULL;
    if (exec != ABI_CALL_ANY) {
        call = spare_take(node, exec);
    } else if (!atomic_flag_test_and_set_explicit(&node->spare_busy, memory_order_acquire)) {
        call = spare_take(node, exec);
        atomic_flag_clear_explicit(&node->spare_busy, memory_order_release);
    }
    if (!call) {
        call = sh_mem_alloc(&node->mem, sizeof *call);
    }
    if (call) {
        *call = (struct abi_call){.node = node, .exec = exec, .ud = ud};
    }
    return call;
}

void abi_call_free(struct abi_call *call)
{
    shoal_node *node = call->node;
    bool kept = false;
    if (call->exec != ABI_CALL_ANY) {
        kept = spare_put(call);
    } else if (!atomic_flag_test_and_set_explicit(&node->spare_busy, memory_order_acquire)) {
        kept = spare_put(call);
        atomic_flag_clear_explicit(&node->spare_busy, memory_order_release);
    }
    if (!kept) {
        sh_mem_free(&node->mem, call, sizeof *call);
    }
}

void abi_call_fini(shoal_node *node)
{
    for (unsigned list = 0; list <= ABI_CALL_ANY; list++) {
        for (struct abi_call *call = spare_take(node, list); call; call = spare_take(node, list)) {
            sh_mem_free(&node->mem, call, sizeof *call);
        }
    }
}

void abi_call_item(void *ud, const struct sh_result *result)
{
    struct abi_call *call = ud;
    struct abi_result out;
    abi_result_of(&out, result);
    bool last = !result || result->code != SH_RESULT_MORE;
    if (last && out.result.code == 0) {
        out.result.code = SHOAL_END;
    }
    shoal_fn done = call->done;
    void *done_ud = call->ud;
    if (last) {
        abi_call_free(call);
    }
    done(done_ud, &out.result);
}

void abi_call_done(void *ud, const struct sh_result *result)
{
    struct abi_call *call = ud;
    struct abi_result out;
    abi_result_of(&out, result);
    shoal_fn done = call->done;
    void *done_ud = call->ud;
    abi_call_free(call);
    done(done_ud, &out.result);
}

int abi_call_room(shoal_node *node, shoal_fn done, void *ud, struct abi_call **out)
{
    *out = NULL;
    if (done) {
        *out = abi_call_new(node, ABI_CALL_ANY, ud);
        if (!*out) {
            return (int)abi_code(node, SH_E_NOMEM);
        }
        (*out)->done = done;
    }
    return 0;
}

int64_t abi_call_begun(shoal_node *node, struct abi_call *call, int64_t id)
{
    if (id < 0 && call) {
        abi_call_free(call);
    }
    return abi_code(node, id);
}

void *shoal_result_object(const shoal_result *result)
{
    const struct abi_origin *lent = (const void *)result; /* its first member */
    return result && lent->of ? sh_result_object(lent->of) : NULL;
}

/* --- kept results --- */

/* One allocation: the result, then what it points to. */
struct kept {
    shoal_result result;
    const struct sh_result *of; /* as in abi_origin: NULL */
    size_t size; /* of this allocation; results outlive nodes, so it is the system's */
    char room[];
};

/* What is kept when there is no memory to keep anything else. */
static const struct abi_origin out_of_memory = {
    .result = {.code = SHOAL_E_LIMIT,
               .delivery = SHOAL_UNKNOWN,
               .text = "out of memory: the result could not be kept",
               .type = "",
               .reason = {.text = ""}},
};

static char *keep_bytes(char **at, const void *bytes, size_t n)
{
    char *copy = *at;
    if (n) {
        memcpy(copy, bytes, n);
    }
    *at += n;
    return copy;
}

void shoal_keep(void *ud, const shoal_result *result)
{
    shoal_result **slot = ud;
    size_t text = strlen(result->text) + 1, type = strlen(result->type) + 1;
    size_t reason = strlen(result->reason.text) + 1;
    size_t size = sizeof(struct kept) + text + type + reason + result->value.len;
    struct kept *kept = sh_mem_alloc(sh_mem_system(), size);
    shoal_result *keep = (shoal_result *)(uintptr_t)&out_of_memory.result; /* nobody writes to it */
    if (kept) {
        char *at = kept->room;
        kept->result = *result;
        kept->of = NULL;
        kept->size = size;
        if (result->value.len) { /* an empty one stays without an address: nil */
            kept->result.value.data = keep_bytes(&at, result->value.data, result->value.len);
        }
        kept->result.text = keep_bytes(&at, result->text, text);
        kept->result.type = keep_bytes(&at, result->type, type);
        kept->result.reason.text = keep_bytes(&at, result->reason.text, reason);
        keep = &kept->result;
    }
    /* Pairs with the load in kept_done: shoal_wait may look from another thread. */
    __atomic_store_n(slot, keep, __ATOMIC_RELEASE);
}

void shoal_result_free(shoal_result *result)
{
    if (result && result != &out_of_memory.result) {
        struct kept *kept = (struct kept *)result; /* its first member */
        sh_mem_free(sh_mem_system(), kept, kept->size);
    }
}

static bool kept_done(void *ud)
{
    shoal_result *const *slot = ud;
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE) != NULL;
}

int shoal_wait(shoal_node *node, shoal_result *const *result)
{
    if (!node || !result) {
        return abi_fail(node, SHOAL_E_USAGE, "shoal_wait: node and result must not be NULL");
    }
    while (!kept_done((void *)(uintptr_t)result)) {
        int code = abi_check_node(node, "shoal_wait");
        if (code < 0) {
            return code;
        }
        code = node->ops->wait(node->driver, kept_done, (void *)(uintptr_t)result);
        if (code < 0) {
            return abi_fail(node, code, "shoal_wait: %s",
                            code == SH_E_USAGE
                                ? "inside a handler nothing can wait: use shoal_cx_ask"
                            : code == SH_E_TIMEOUT ? "nothing is left to happen in the simulation"
                                                   : shoal_strerror(code));
        }
    }
    return (*result)->code;
}

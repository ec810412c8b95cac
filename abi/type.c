/* abi/type.c - actor types in core's form: checked, copied, and their hooks called with public arguments. */
#include <string.h>

#include "internal.h"

/* --- hooks: core's form to the public one --- */

static shoal_cx *cx_out(sh_cx *cx)
{
    return (shoal_cx *)cx; /* opaque outside; only core looks inside */
}

/* A message that does not fit is told apart from a handler that failed. */
static int handler_code(sh_cx *cx, int code)
{
    bool unfit = code < 0 && (code == SHOAL_E_BAD_VALUE || code == SHOAL_E_NO_HANDLER ||
                              code == SHOAL_E_REFUSED);
    return unfit ? sh_cx_reject(cx, code, sh_span_none()) : code;
}

static const char *name_out(char room[SH_NAME_MAX + 1], sh_span name)
{
    if (name.n <= SH_COPY_SHORT_MAX) {
        sh_copy_short((uint8_t *)room, name.p, name.n);
    } else {
        memcpy(room, name.p, name.n);
    }
    room[name.n] = 0;
    return room;
}

static int hook_init(void *ud, sh_cx *cx, void *state, sh_span args, void *user)
{
    (void)user;
    const struct abi_type *t = ud;
    return t->def.init(cx_out(cx), state, abi_bytes_out(args));
}

static int hook_handle(void *ud, sh_cx *cx, void *state, int index, sh_span name, sh_span value)
{
    const struct abi_type *t = ud;
    if (index >= 0) {
        return handler_code(cx, t->def.handlers[index].fn(cx_out(cx), state, abi_bytes_out(value)));
    }
    char room[SH_NAME_MAX + 1];
    return handler_code(
        cx, t->def.on_message(cx_out(cx), state, name_out(room, name), abi_bytes_out(value)));
}

static void hook_on_stop(void *ud, sh_cx *cx, void *state, const struct sh_reason *reason)
{
    const struct abi_type *t = ud;
    char text[SH_TEXT_MAX + 1];
    shoal_reason out;
    abi_reason_of(&out, text, reason);
    t->def.on_stop(cx_out(cx), state, &out);
}

static int hook_on_error(void *ud, sh_cx *cx, void *state, const struct sh_result *error)
{
    const struct abi_type *t = ud;
    struct abi_result out;
    abi_result_of(&out, error);
    return t->def.on_error(cx_out(cx), state, &out.result);
}

static int hook_on_down(void *ud, sh_cx *cx, void *state, sh_pid dead,
                        const struct sh_reason *reason, unsigned flags)
{
    (void)flags;
    const struct abi_type *t = ud;
    char text[SH_TEXT_MAX + 1];
    shoal_reason out;
    abi_reason_of(&out, text, reason);
    return t->def.on_down(cx_out(cx), state, abi_pid_out(dead), &out);
}

static void hook_on_undelivered(void *ud, sh_cx *cx, void *state, sh_span name, sh_span value)
{
    const struct abi_type *t = ud;
    char room[SH_NAME_MAX + 1];
    t->def.on_undelivered(cx_out(cx), state, name_out(room, name), abi_bytes_out(value));
}

/* --- types --- */

static int type_check(const shoal_node *node, const shoal_actor_type *def,
                      const shoal_actor_type *given)
{
    sh_span name;
    if (given->struct_size < offsetof(shoal_actor_type, init) || given->struct_size > 4096) {
        return abi_fail(node, SHOAL_E_BAD_VALUE,
                        "actor type: struct_size is %u, expected sizeof(shoal_actor_type)",
                        given->struct_size);
    }
    if (def->flags & ~(uint32_t)SHOAL_REENTRANT || def->reserved) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "actor type: unknown flags %#x", def->flags);
    }
    int code = abi_name(node, "actor type: id", def->id, &name);
    for (size_t i = 0; i < def->handler_count && code == 0; i++) {
        code = abi_name(node, "actor type: handler name", def->handlers[i].name, &name);
        if (code == 0 && !def->handlers[i].fn) {
            code = abi_fail(node, SHOAL_E_BAD_VALUE, "actor type %s: handler %s has no function",
                            def->id, def->handlers[i].name);
        }
    }
    return code;
}

/* The runtime's form of def; names is room for the handlers' names. */
static struct sh_actor_type type_form(struct abi_type *t, sh_span *names)
{
    const shoal_actor_type *def = &t->def;
    for (size_t i = 0; i < def->handler_count; i++) {
        names[i] = sh_span_str(def->handlers[i].name);
    }
    return (struct sh_actor_type){
        .id = sh_span_str(def->id),
        .ud = t,
        .state_size = def->state_size,
        .names = names,
        .name_count = def->handler_count,
        .flags = (def->flags & SHOAL_REENTRANT) ? SH_TYPE_REENTRANT : 0,
        .mailbox = def->mailbox == 0            ? -1
                   : def->mailbox == UINT32_MAX ? 0
                                                : (int64_t)def->mailbox,
        .init = def->init ? hook_init : NULL,
        .handle = hook_handle,
        .takes_any = def->on_message != NULL,
        .on_stop = def->on_stop ? hook_on_stop : NULL,
        .on_error = def->on_error ? hook_on_error : NULL,
        .on_down = def->on_down ? hook_on_down : NULL,
        .on_undelivered = def->on_undelivered ? hook_on_undelivered : NULL,
    };
}

static int type_make(shoal_node *node, const shoal_actor_type *key, struct abi_type **out)
{
    struct abi_type *t = sh_mem_zalloc(&node->mem, sizeof *t);
    if (!t) {
        return (int)abi_code(node, SH_E_NOMEM);
    }
    t->key = key;
    t->node = node;
    memcpy(&t->def, key, key->struct_size < sizeof t->def ? key->struct_size : sizeof t->def);
    int code = type_check(node, &t->def, key);
    size_t count = t->def.handler_count;
    sh_span *names = code == 0 && count ? sh_mem_array(&node->mem, count, sizeof *names) : NULL;
    if (code == 0 && count && !names) {
        code = (int)abi_code(node, SH_E_NOMEM);
    }
    if (code == 0) {
        struct sh_actor_type form = type_form(t, names);
        code = (int)abi_code(node, sh_runtime_type(node->rt, &form, &t->type));
    }
    if (names) {
        sh_mem_free(&node->mem, names, count * sizeof *names);
    }
    if (code < 0) {
        sh_mem_free(&node->mem, t, sizeof *t);
        return code;
    }
    *out = t;
    return 0;
}

int abi_type_of(shoal_node *node, unsigned exec, const shoal_actor_type *key, struct abi_type **out)
{
    for (struct abi_type *t = node->types[exec]; t; t = t->next) {
        if (t->key == key) {
            *out = t;
            return 0;
        }
    }
    int code = type_make(node, key, out);
    if (code == 0) {
        (*out)->next = node->types[exec];
        node->types[exec] = *out;
    }
    return code;
}

void abi_types_fini(shoal_node *node)
{
    for (unsigned i = 0; i < SH_RUNTIME_EXECS_MAX; i++) {
        while (node->types[i]) {
            struct abi_type *t = node->types[i];
            node->types[i] = t->next;
            sh_mem_free(&node->mem, t, sizeof *t);
        }
    }
}

/* abi/internal.h - what the files of this layer share: the node behind the handle, checks, results, calls.
 *
 * Driver   what turns the node is behind a small table (driver.h): this machine's network, or a simulation.
 * Rule     each public function checks its arguments, makes one call into core, translates the answer.
 * Errors   abi_fail notes a sentence for shoal_last_error and returns the code. */
#ifndef SHOAL_ABI_INTERNAL_H
#define SHOAL_ABI_INTERNAL_H

#include <stdatomic.h>

#include "actor/runtime.h"
#include "base/mem.h"
#include "base/mp.h"
#include "driver.h"
#include "io/keyfile.h"
#include "shoal_object.h"

/* A C type as the runtime knows it: made once per executor, so that no lock is needed. */
struct abi_type {
    struct abi_type *next;
    const shoal_actor_type *key; /* the caller's struct: its identity */
    shoal_actor_type def;        /* our copy, of our size */
    const sh_type *type;
    shoal_node *node;
};

/* The callback of one open call. */
struct abi_call {
    shoal_node *node;
    struct abi_call *next; /* in a spare list */
    unsigned exec;         /* whose list it is; ABI_CALL_ANY: the node's */
    union {
        shoal_fn done;
        shoal_then_fn then;
    };
    void *ud;
};

enum { ABI_SPARE_CALLS_MAX = 256, ABI_CALL_ANY = SH_RUNTIME_EXECS_MAX };

struct shoal_node {
    sh_mem mem;
    const struct abi_driver *ops;
    void *driver;
    sh_node *core;
    sh_runtime *rt;
    bool ended; /* crashed, or its simulation is gone: core and rt are no more */
    uint32_t max_message;
    uint64_t ask_timeout_us;
    atomic_bool stopping;                         /* shoal_node_stop was called: again means now */
    struct abi_type *types[SH_RUNTIME_EXECS_MAX]; /* of that executor: touched inside it only */
    atomic_flag
        spare_busy; /* guards the last of each of the two below; who finds it taken allocates */
    struct abi_call
        *spare[ABI_CALL_ANY + 1]; /* by executor: touched inside it only; the last: any thread's */
    unsigned spare_count[ABI_CALL_ANY + 1];
    void (*on_event)(void *ud, const char *event, shoal_bytes info);
    void *event_ud;
    void (*on_log)(void *ud, int level, const char *text);
    void *log_ud;
    char peer_id[SH_PEER_ID_TEXT_MAX];
};

/* --- the driver, as the rest of this layer calls it --- */

/* [any] The calling thread's token, for functions of runtime.h and node.h. */
static inline uint64_t abi_token(const shoal_node *node)
{
    return node->ops->token(node->driver);
}

static inline uint64_t abi_now_us(const shoal_node *node)
{
    return node->ops->now_us(node->driver);
}

/* As sh_io_inside. */
static inline int abi_inside(const shoal_node *node, abi_inside_fn *fn, void *ud)
{
    return node->ops->inside(node->driver, fn, ud);
}

/* --- config.c --- */
/* What a node was asked for, over the defaults. */
struct abi_options {
    shoal_node_config c;
    sh_peer_id *peers; /* allow, then admin */
    size_t peer_count;
    uint8_t key[SH_KEYFILE_MAX];
    int key_len;
};
/* given: NULL for the defaults. */
int abi_options_read(struct abi_options *o, const shoal_node_config *given);
/* Also reads the peer ids and the key file. In any case abi_options_fini takes it all back. */
int abi_options_check(struct abi_options *o, const sh_mem *mem);
void abi_options_core(const struct abi_options *o, shoal_node *node, struct sh_io_config *out);
void abi_options_fini(struct abi_options *o, const sh_mem *mem);

/* --- node.c --- */
/* Makes the driver of a node that is all but ready: sets ops, driver, core, rt. 0, or a code of core and *why. */
typedef int abi_drive_fn(shoal_node *node, void *ud, struct sh_io_config *cfg,
                         char why[SH_IO_WHY_MAX]);
/* shoal_node_new, whatever drives it. cfg may be NULL. */
int abi_node_make(const shoal_node_config *cfg, abi_drive_fn *drive, void *ud, shoal_node **out);

/* --- driver_io.c, driver_sim.c --- */
abi_drive_fn abi_drive_io;  /* ud: NULL */
abi_drive_fn abi_drive_sim; /* ud: the shoal_sim */

/* --- error.c --- */
/* Notes the text for this thread and returns code. node: NULL for shoal_node_new. */
int abi_fail(const shoal_node *node, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes the standard sentence of a failure; 0 and more pass through; core's own codes become public ones. */
int64_t abi_code(const shoal_node *node, int64_t code);

/* --- check.c --- */
/* 0 or a noted failure; *out is the text without its NUL. what: "message name", "name", ... */
int abi_name(const shoal_node *node, const char *what, const char *text, sh_span *out);
int abi_registry_name(const shoal_node *node, const char *text,
                      sh_span *out); /* one that an actor can have */
int abi_value(const shoal_node *node, shoal_bytes value, sh_span *out);

/* node is there and has not ended before its time. what: the function, for the text. */
int abi_check_node(const shoal_node *node, const char *what);

/* node is there and pid names somebody. what: the function, for the text. */
int abi_check_pid(const shoal_node *node, const char *what, shoal_pid pid);
/* All that a message needs; *name_out and *value_out are its parts. */
int abi_check_message(const shoal_node *node, const char *what, shoal_pid pid, const char *name,
                      shoal_bytes value, sh_span *name_out, sh_span *value_out);

/* --- call.c --- */
/* Each result that we give out lies in one of these, so that shoal_result_object finds its object. */
struct abi_origin {
    shoal_result result;
    const struct sh_result *of; /* NULL: a copy */
};
/* Room for lent NUL-terminated texts beside a public result. */
struct abi_result {
    shoal_result result;
    const struct sh_result *of; /* as in abi_origin */
    char text[SH_TEXT_MAX + 1];
    char type[SH_TEXT_MAX + 1];
    char reason[SH_TEXT_MAX + 1];
};
void abi_result_of(struct abi_result *out, const struct sh_result *in);
void abi_reason_of(shoal_reason *out, char *text, const struct sh_reason *in);
/* exec: it is made and freed inside that executor; else ABI_CALL_ANY. */
struct abi_call *abi_call_new(shoal_node *node, unsigned exec, void *ud);
void abi_call_free(struct abi_call *call);
/* A sh_call_fn whose ud is a struct abi_call with done. NULL done: give NULL for both. */
void abi_call_done(void *ud, const struct sh_result *result);
/* The same for a call that gives many: code 0 for each item, SHOAL_END last. */
void abi_call_item(void *ud, const struct sh_result *result);
/* Room for a callback in *out; NULL done needs none and gives NULL. */
int abi_call_room(shoal_node *node, shoal_fn done, void *ud, struct abi_call **out);
/* The id of a call that core began, or its failure: then the callback's room is given back. */
int64_t abi_call_begun(shoal_node *node, struct abi_call *call, int64_t id);
void abi_call_fini(shoal_node *node);

/* --- cx.c, send.c --- */
/* Room for a continuation; NULL then: one that hands a failure on. 0 or a noted failure. */
int abi_then_room(const sh_cx *cx, shoal_node *node, shoal_then_fn then, void *ud,
                  struct abi_call **out);
/* A sh_then_fn whose ud is a struct abi_call with then. */
int abi_then_run(sh_cx *cx, void *ud, const struct sh_result *result);
uint64_t abi_ask_deadline_us(const shoal_node *node, uint32_t timeout_ms);

/* --- type.c --- */
/* [exec] The type as executor `exec` has it. */
int abi_type_of(shoal_node *node, unsigned exec, const shoal_actor_type *key,
                struct abi_type **out);
void abi_types_fini(shoal_node *node);

/* --- event.c --- */
void abi_event(void *ud, const struct sh_node_event *ev);

/* The node that handles cx: every actor's type is one of type.c. NULL: a held message whose actor has ended. */
static inline shoal_node *abi_cx_node(const sh_cx *cx)
{
    const sh_type *type = sh_cx_type(cx);
    return type ? ((const struct abi_type *)sh_type_def(type)->ud)->node : NULL;
}

static inline shoal_pid abi_pid_out(sh_pid p)
{
    return (shoal_pid){p.actor, p.node, p.check};
}

static inline sh_pid abi_pid_in(shoal_pid p)
{
    return (sh_pid){p.actor, p.node, p.check};
}

/* An empty value is nil, whatever its address; with an address it would read as "no value". */
static inline shoal_bytes abi_bytes_out(sh_span s)
{
    return (shoal_bytes){s.n ? s.p : NULL, s.n};
}

static inline sh_span abi_bytes_in(shoal_bytes b)
{
    return (sh_span){b.data, b.len};
}

/* A fit value that needs no walk; less than any max_message. */
static inline bool abi_value_is_plain(shoal_bytes b)
{
    return b.len == 0 || (b.data && sh_mp_is_plain(abi_bytes_in(b)));
}

#endif

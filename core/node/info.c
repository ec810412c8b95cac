/* node/info.c - rows about this node as MessagePack, for its user and for administrators elsewhere.
 *
 * Rows of actors live in two executors: those of the host executor are written there, the answer is given on the loop.
 * Reading them never stops anybody. */
#include "node/internal.h"

struct info_name {
    sh_pid pid;
    size_t at; /* in names.at */
    size_t n;
};

/* One question on its way: from the loop to the host executor and back. */
struct info_job {
    struct sh_node *n;
    sh_pid reply;  /* of a local question */
    uint64_t wire; /* of a peer's, else 0 */
    sh_mpw w;
    size_t mark; /* of the list */
    uint32_t rows;
    int err;
    sh_mpw names; /* raw texts, for actors */
    struct info_name *index;
    size_t index_count;
};

/* --- pieces of rows --- */

static void info_ref(struct info_job *j, sh_pid pid)
{
    uint8_t ref[SH_MP_REF_MAX];
    if (sh_pid_is_none(pid) || pid.node != 0) {
        sh_mpw_nil(&j->w);
        return;
    }
    sh_store_u64le(ref, pid.actor);
    memcpy(ref + 8, j->n->self.b, j->n->self.n);
    sh_mpw_ext(&j->w, SH_MP_EXT_REF, sh_span_of(ref, 8u + j->n->self.n));
}

static void info_peer_id(sh_mpw *w, const char *key, const sh_peer_id *id)
{
    char text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(id, text);
    sh_mpw_str(w, key);
    sh_mpw_str(w, text);
}

static void info_flag(sh_mpw *w, const char *key, bool v)
{
    sh_mpw_str(w, key);
    sh_mpw_bool(w, v);
}

static void info_number(sh_mpw *w, const char *key, uint64_t v)
{
    sh_mpw_str(w, key);
    sh_mpw_u64(w, v);
}

/* A row that does not fit any more is taken back, and the list ends there. True: it was kept. */
static bool info_row_end(struct info_job *j, size_t start)
{
    if (j->w.err == SH_E_LIMIT) {
        j->w.n = start;
        j->w.err = 0;
        return false;
    }
    j->rows += j->w.err == 0;
    return j->w.err == 0;
}

/* --- kinds of rows --- */

static void info_peers(struct info_job *j)
{
    struct sh_peer_row row;
    bool room = true;
    for (size_t i = 0; room && sh_swarm_peer_row(j->n->swarm, i, &row) == 0; i++) {
        char addr[SH_ADDR_TEXT_MAX];
        size_t start = j->w.n;
        if (row.addr.n == 0 || sh_addr_text(&row.addr, addr, sizeof addr) < 0) {
            addr[0] = 0;
        }
        sh_mpw_map(&j->w, 8);
        info_peer_id(&j->w, "peer", &row.id);
        info_flag(&j->w, "connected", row.connected);
        info_flag(&j->w, "inbound", row.inbound);
        info_flag(&j->w, "server", row.server);
        info_number(&j->w, "connections", row.connections);
        info_number(&j->w, "rtt_us", row.rtt_us);
        sh_mpw_str(&j->w, "address");
        sh_mpw_str(&j->w, addr);
        sh_mpw_str(&j->w, "agent");
        sh_mpw_str(&j->w, row.agent);
        room = info_row_end(j, start);
    }
}

static void info_routing(struct info_job *j)
{
    struct sh_routing_row row;
    bool room = true;
    for (size_t i = 0; room && sh_swarm_routing_row(j->n->swarm, i, &row) == 0; i++) {
        size_t start = j->w.n;
        sh_mpw_map(&j->w, 3);
        info_number(&j->w, "bucket", row.bucket);
        info_peer_id(&j->w, "peer", &row.id);
        info_flag(&j->w, "connected", row.connected);
        room = info_row_end(j, start);
    }
}

static void info_names(struct info_job *j)
{
    sh_span name;
    sh_pid pid;
    bool room = true;
    for (size_t i = 0; room && sh_remote_name_row(j->n->remote, i, &name, &pid); i++) {
        size_t start = j->w.n;
        sh_mpw_map(&j->w, 2);
        sh_mpw_str(&j->w, "name");
        sh_mpw_text(&j->w, name);
        sh_mpw_str(&j->w, "ref");
        info_ref(j, pid);
        room = info_row_end(j, start);
    }
}

static void info_actor_names(struct info_job *j, sh_pid pid)
{
    size_t mark = sh_mpw_list_begin(&j->w);
    uint32_t count = 0;
    for (size_t i = 0; i < j->index_count; i++) {
        if (j->index[i].pid.actor == pid.actor) {
            sh_mpw_text(&j->w, sh_span_of(j->names.at + j->index[i].at, j->index[i].n));
            count++;
        }
    }
    sh_mpw_list_end(&j->w, mark, count);
}

static void info_actors_of(struct info_job *j, const sh_exec *x)
{
    struct sh_actor_row row;
    uint32_t cursor = 0;
    bool room = j->err == 0;
    while (room && sh_exec_actor_row(x, &cursor, &row)) {
        size_t start = j->w.n;
        sh_mpw_map(&j->w, 8);
        sh_mpw_str(&j->w, "ref");
        info_ref(j, row.pid);
        sh_mpw_str(&j->w, "id");
        sh_mpw_text(&j->w, row.type_id);
        sh_mpw_str(&j->w, "names");
        info_actor_names(j, row.pid);
        sh_mpw_str(&j->w, "state");
        sh_mpw_str(&j->w, row.state);
        info_number(&j->w, "mailbox", row.mailbox);
        info_number(&j->w, "handled", row.handled);
        info_number(&j->w, "restarts", row.restarts);
        sh_mpw_str(&j->w, "parent");
        info_ref(j, row.parent);
        room = info_row_end(j, start);
    }
}

/* Names are the loop's: copied, so that rows can be written in the host executor. */
static void info_copy_names(struct info_job *j)
{
    sh_span name;
    sh_pid pid;
    size_t count = 0;
    while (sh_remote_name_row(j->n->remote, count, &name, &pid)) {
        count++;
    }
    j->index = count ? sh_mem_array(j->n->mem, count, sizeof *j->index) : NULL;
    if (count && !j->index) {
        j->err = SH_E_LIMIT;
        return;
    }
    j->index_count = count;
    for (size_t i = 0; i < count && sh_remote_name_row(j->n->remote, i, &name, &pid); i++) {
        sh_mpw_text(&j->names, name);
        j->index[i] = (struct info_name){pid, j->names.n - (j->names.err ? 0 : name.n), name.n};
    }
    j->err = j->names.err ? SH_E_LIMIT : 0;
}

/* --- the way of a job --- */

static void info_free(struct info_job *j)
{
    struct sh_node *n = j->n;
    sh_mem_free(n->mem, j->index, j->index_count * sizeof *j->index);
    sh_mpw_fini(&j->names);
    sh_mpw_fini(&j->w);
    sh_mem_free(n->mem, j, sizeof *j);
}

/* [loop] The last step. */
static void info_finish(struct info_job *j)
{
    struct sh_node *n = j->n;
    sh_mpw_list_end(&j->w, j->mark, j->rows);
    int err = j->err ? j->err : j->w.err ? SH_E_LIMIT : 0;
    struct sh_result r = {.code = err, .delivery = err ? SH_NOT_SENT : SH_HANDLED};
    if (err) {
        r.text = sh_span_str(sh_err_text(err));
    } else {
        r.value = sh_span_of(j->w.at, j->w.n);
    }
    if (j->wire) {
        if (n->remote) { /* gone: the node is being freed, and so is the asker's session */
            sh_remote_node_reply(n->remote, j->wire, &r, n->now_us);
        }
    } else if (!sh_pid_is_none(j->reply)) {
        (void)sh_runtime_reply(n->runtime, n->token, j->reply, &r);
    }
    info_free(j);
}

static void info_back_on_loop(void *ud, const struct sh_result *result)
{
    (void)result;
    info_finish(ud);
}

static void info_on_host(void *ud, const struct sh_result *result)
{
    struct info_job *j = ud;
    struct sh_node *n = j->n;
    uint64_t mark = 0; /* its address is a token no other thread can have now */
    uint64_t token = (uint64_t)(uintptr_t)&mark;
    if (result->code < 0) { /* the node is being freed */
        info_free(j);
        return;
    }
    info_actors_of(j, sh_runtime_exec(n->runtime, sh_runtime_host(n->runtime)));
    if (sh_runtime_call(n->runtime, token, SH_NODE_LOOP, info_back_on_loop, j, NULL) < 0) {
        info_free(j); /* no memory: the asker's deadline ends it */
    }
}

static void info_actors(struct info_job *j)
{
    struct sh_node *n = j->n;
    info_copy_names(j);
    info_actors_of(j, sh_runtime_exec(n->runtime, SH_NODE_LOOP));
    unsigned host = sh_runtime_host(n->runtime);
    if (host == SH_NODE_LOOP ||
        sh_runtime_call(n->runtime, n->token, host, info_on_host, j, NULL) < 0) {
        info_finish(j);
    }
}

void sh_node_info_answer(struct sh_node *n, sh_span what, sh_pid reply, uint64_t wire)
{
    static const struct {
        const char *name;
        void (*write)(struct info_job *j);
    } kinds[] = {{"peers", info_peers}, {"names", info_names}, {"routing", info_routing}};
    struct info_job *j = sh_mem_zalloc(n->mem, sizeof *j);
    if (!j) {
        struct sh_result r = {.code = SH_E_LIMIT,
                              .delivery = SH_NOT_SENT,
                              .text = sh_span_str(sh_err_text(SH_E_NOMEM))};
        if (wire) {
            sh_remote_node_reply(n->remote, wire, &r, n->now_us);
        } else {
            (void)sh_runtime_reply(n->runtime, n->token, reply, &r);
        }
        return;
    }
    j->n = n;
    j->reply = reply;
    j->wire = wire;
    size_t most = wire ? SH_NODE_INFO_BYTES_MAX : SH_NODE_INFO_LOCAL_MAX;
    sh_mpw_init(&j->w, n->mem, most);
    sh_mpw_init(&j->names, n->mem, most);
    j->mark = sh_mpw_list_begin(&j->w);
    if (sh_span_eq(what, sh_span_str("actors"))) {
        info_actors(j);
        return;
    }
    j->err = SH_E_NOT_FOUND;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (sh_span_eq(what, sh_span_str(kinds[i].name))) {
            j->err = 0;
            kinds[i].write(j);
        }
    }
    info_finish(j);
}

/* --- questions of administrators elsewhere (remote has checked that they are) --- */

/* A short MessagePack text; an empty span if it is none. */
static sh_span wire_text(sh_span value)
{
    if (value.n > 0 && (value.p[0] & 0xe0) == 0xa0 && value.n == 1u + (value.p[0] & 0x1fu)) {
        return sh_span_skip(value, 1);
    }
    return sh_span_none();
}

static int wire_pid(struct sh_node *n, sh_span value, sh_pid *pid)
{
    sh_mp_refs refs = sh_mp_refs_of(value);
    sh_span ref;
    if (!sh_mp_refs_next(&refs, &ref)) {
        return SH_E_BAD_VALUE;
    }
    return sh_remote_pid_of_ref(n->remote, ref, pid);
}

void sh_node_wire_call(struct sh_node *n, const struct sh_remote_event *ev)
{
    if (sh_span_eq(ev->name, sh_span_str("info"))) {
        sh_node_info_answer(n, wire_text(ev->value), sh_pid_none(), ev->call);
        return;
    }
    bool stop = sh_span_eq(ev->name, sh_span_str("stop"));
    bool kill = sh_span_eq(ev->name, sh_span_str("kill"));
    sh_pid pid;
    int rc = stop || kill ? wire_pid(n, ev->value, &pid) : SH_E_NO_HANDLER;
    if (rc == 0 && pid.node != 0) {
        rc = SH_E_REFUSED; /* only our own actors */
    }
    if (rc == 0) {
        sh_span why = sh_span_str("stopped by an administrator");
        int64_t call = stop ? sh_runtime_stop(n->runtime, n->token, pid, why, NULL, NULL)
                            : sh_runtime_kill(n->runtime, n->token, pid, why);
        rc = call < 0 ? (int)call : 0;
    }
    struct sh_result r = {
        .code = rc,
        .delivery = rc < 0 ? SH_NOT_SENT : SH_HANDLED,
        .text = sh_span_str(rc < 0 ? sh_err_text(rc) : ""),
    };
    sh_remote_node_reply(n->remote, ev->call, &r, n->now_us);
}

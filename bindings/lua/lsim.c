/* lsim.c - simulations: nodes whose network and time are virtual, and the function that sim:run runs among them.
 *
 * Home     what sim:run runs belongs to no node: its coroutine lives at the simulation's home, an lnode without a node.
 *          It is never woken inside a turn but queued (lsim_defer), and goes on between two turns: there nodes can be
 *          made, crashed and closed.
 * Turn     a turn runs handlers and callbacks of all nodes, whichever is polled: all are entered for it.
 * Memory   a simulation keeps its nodes until it is closed: when the collector runs decides nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

enum { SLICE_US = 60 * 1000000 }; /* then Lua code runs, so that an interpreter hears of Ctrl-C */
/* So long without a handler, and no task that waits for a time: only the nodes' own timers are left. */
static const uint64_t QUIET_US = (uint64_t)24 * 3600 * 1000000;

static lsim *sim_check(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, "shoal.sim");
}

static int fail_closed(lua_State *L)
{
    return lfail(L, SHOAL_E_CLOSED, SHOAL_NOT_SENT, "the simulation is closed");
}

static int push_done(lua_State *L, int code)
{
    if (code < 0) {
        return lfail(L, code, SHOAL_NOT_SENT, shoal_last_error(NULL));
    }
    lua_pushboolean(L, 1);
    return 1;
}

static bool is_usable(const lsim *s)
{
    return s->sim && !s->home.closing;
}

/* --- its nodes --- */

void lsim_join(lua_State *L, lsim *s, lnode *n, int idx)
{
    n->sim = s;
    n->sim_prev = s->last;
    if (s->last) {
        s->last->sim_next = n;
    } else {
        s->first = n;
    }
    s->last = n;
    lua_pushvalue(L, idx);
    lnode_push_box(L, &s->home, BOX_ANCHOR);
    lua_insert(L, -2);
    lua_rawsetp(L, -2, n);
    lua_pop(L, 1);
    if (s->turning) { /* made in a handler: entered with the others */
        lua_State *outer;
        lnode_enter(L, n, &outer);
        n->vm->L = outer;
    }
}

void lsim_leave(lua_State *L, lnode *n)
{
    lsim *s = n->sim;
    if (n->sim_prev) {
        n->sim_prev->sim_next = n->sim_next;
    } else {
        s->first = n->sim_next;
    }
    if (n->sim_next) {
        n->sim_next->sim_prev = n->sim_prev;
    } else {
        s->last = n->sim_prev;
    }
    n->sim = NULL;
    lnode_push_box(L, &s->home, BOX_ANCHOR);
    if (lua_istable(L, -1)) { /* not while both are collected */
        lua_pushnil(L);
        lua_rawsetp(L, -2, n);
    }
    lua_pop(L, 1);
}

/* sim_node(options, sim) -> node */
static int sim_node(lua_State *L)
{
    lsim *s = sim_check(L, 2);
    lua_settop(L, 2);
    return is_usable(s) ? lnode_make(L, s) : fail_closed(L);
}

/* --- the function that runs --- */

bool lsim_defer(lcoro *c, const shoal_result *result)
{
    lsim *s = c->node->sim;
    if (!c->node->home) {
        return false;
    }
    if (result) {
        shoal_keep(&c->kept, result);
    }
    c->queued = true;
    c->ready_next = NULL;
    if (s->ready_last) {
        s->ready_last->ready_next = c;
    } else {
        s->ready = c;
    }
    s->ready_last = c;
    if (s->polled) {
        shoal_wake(s->polled->node);
    }
    return true;
}

void lsim_forget(lcoro *c)
{
    lsim *s = c->node->sim;
    lcoro *before = NULL;
    for (lcoro *at = s->ready; at != c; at = at->ready_next) {
        before = at;
    }
    if (before) {
        before->ready_next = c->ready_next;
    } else {
        s->ready = c->ready_next;
    }
    if (s->ready_last == c) {
        s->ready_last = before;
    }
    c->queued = false;
    shoal_result_free(c->kept);
    c->kept = NULL;
}

/* Goes on with those who were woken. */
static void run_ready(lua_State *L, lsim *s)
{
    lua_State *outer;
    lnode_enter(L, &s->home, &outer);
    while (s->ready) {
        lcoro *c = s->ready;
        shoal_result *kept = c->kept;
        c->kept = NULL;
        lsim_forget(c);
        lcoro_go(c, kept);
        shoal_result_free(kept);
    }
    lnode_leave(&s->home, outer);
}

/* sim_task(sim, fn) -> true: begins it */
static int sim_task(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    return is_usable(s) ? ltask_begin(L, &s->home) : fail_closed(L);
}

/* sim_drop(sim): ends what sim_task began */
static int sim_drop(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    lua_State *outer;
    lnode_enter(L, &s->home, &outer);
    lcoro_close_all(&s->home.tasks);
    lnode_leave(&s->home, outer);
    lprotect_raise(L, &s->home);
    return 0;
}

/* --- turns --- */

static lua_State *turn_enter(lua_State *L, lsim *s)
{
    lua_State *first = s->home.vm->L, *outer;
    s->turning = true;
    for (lnode *n = s->first; n; n = n->sim_next) {
        lnode_enter(L, n, &outer);
    }
    s->home.vm->L = L;
    return first;
}

static void turn_leave(lua_State *L, lsim *s, lua_State *outer)
{
    for (lnode *n = s->first; n; n = n->sim_next) {
        levent_deliver_logs(n);
    }
    s->turning = false;
    for (lnode *n = s->first; n; n = n->sim_next) {
        lnode_leave(n, L);
    }
    s->home.vm->L = outer;
}

static void raise_kept(lua_State *L, lsim *s)
{
    lprotect_raise(L, &s->home);
    for (lnode *n = s->first; n; n = n->sim_next) {
        lprotect_raise(L, n);
    }
}

/* The moment the first sleeper of any node is due; at most until_us. */
static uint64_t first_due(const lsim *s, uint64_t until_us)
{
    uint64_t due_us = ltimer_next_us(&s->home, until_us);
    for (const lnode *n = s->first; n; n = n->sim_next) {
        due_us = ltimer_next_us(n, due_us);
    }
    return due_us;
}

static void arm_due(lsim *s)
{
    for (lnode *n = s->first; n; n = n->sim_next) {
        if (ltimer_due(n)) {
            ltimer_arm(n);
        }
    }
}

static int turn_poll(lsim *s, lnode *n, uint64_t us)
{
    s->polled = n;
    int handled = shoal_poll(n->node, 0, (int64_t)(us / 1000));
    s->polled = NULL;
    return handled;
}

/* Turns until n has handled something, someone of home is ready, or until_us, or a sleeper's time if that is before. */
static int turn(lua_State *L, lsim *s, lnode *n, uint64_t until_us)
{
    lua_State *outer = turn_enter(L, s);
    arm_due(s);
    uint64_t now_us = shoal_sim_now_us(s->sim), due_us = first_due(s, until_us);
    int handled = turn_poll(s, n, due_us > now_us ? due_us - now_us : 0);
    now_us = shoal_sim_now_us(s->sim);
    if (handled == 0 && !s->ready && now_us < due_us && due_us - now_us < 1000) {
        shoal_sim_advance(s->sim, due_us - now_us); /* what milliseconds left over */
        now_us = due_us;
    }
    if (handled == 0 && now_us >= due_us) {
        arm_due(s);
        handled = turn_poll(s, n, 0);
    }
    turn_leave(L, s, outer);
    return handled;
}

int lsim_poll(lua_State *L, lnode *n, int64_t wait_ms)
{
    lsim *s = n->sim;
    if (s->turning) {
        luaL_error(L, "node:poll inside a handler or callback of the simulation");
    }
    uint64_t now_us = shoal_sim_now_us(s->sim);
    int handled = turn(L, s, n, now_us + (uint64_t)wait_ms * 1000);
    raise_kept(L, s);
    return handled;
}

/* A node that can be polled; NULL. */
static lnode *find_running(const lsim *s)
{
    lnode *n = s->first;
    while (n && (n->stopped || !lnode_usable(n))) {
        n = n->sim_next;
    }
    return n;
}

/* sim_turn(sim) -> whether anything is left to happen */
static int sim_turn(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    bool more = s->sim != NULL;
    if (s->turning || s->home.entered) {
        return luaL_error(L, "sim:run inside a handler or callback of the simulation");
    }
    if (more && s->handled) {
        s->busy_us = shoal_sim_now_us(s->sim);
        s->handled = false;
    }
    if (more && !s->ready && !ltimer_due(&s->home)) {
        lnode *n = find_running(s);
        uint64_t now_us = shoal_sim_now_us(s->sim), due_us = first_due(s, UINT64_MAX);
        uint64_t until_us = due_us < now_us + SLICE_US ? due_us : now_us + SLICE_US;
        bool quiet = now_us - s->busy_us >= QUIET_US;
        more = due_us != UINT64_MAX || (n && !quiet && shoal_next_timeout_ms(n->node) >= 0);
        if (more && n) {
            turn(L, s, n, until_us);
        } else if (more) {
            shoal_sim_advance(s->sim, until_us > now_us ? until_us - now_us : 0);
        }
    }
    if (s->sim) {
        ltimer_fire(&s->home);
        run_ready(L, s);
        raise_kept(L, s);
    }
    lua_pushboolean(L, more);
    return 1;
}

/* --- faults --- */

/* The nodes of the list at arg; the array lives until the stack is popped. */
static shoal_node **list_nodes(lua_State *L, int arg, size_t *count)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    size_t len = (size_t)lua_rawlen(L, arg);
    shoal_node **list = lcompat_newuserdata(L, (len + 1) * sizeof *list);
    *count = 0;
    for (size_t i = 1; i <= len; i++) {
        lua_rawgeti(L, arg, (lua_Integer)i);
        lnode *n = luaL_testudata(L, -1, "shoal.node");
        if (!n) {
            luaL_argerror(L, arg, lua_pushfstring(L, "item %d is no node", (int)i));
        } else if (n->node) { /* the others hear nothing anyway */
            list[(*count)++] = n->node;
        }
        lua_pop(L, 1);
    }
    return list;
}

/* sim:partition(a, b) -> true */
static int sim_partition(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    size_t a_count, b_count;
    lua_settop(L, 3);
    shoal_node **a = list_nodes(L, 2, &a_count), **b = list_nodes(L, 3, &b_count);
    if (!is_usable(s)) {
        return fail_closed(L);
    }
    return push_done(L, shoal_sim_partition(s->sim, a, a_count, b, b_count));
}

/* sim:heal() -> true */
static int sim_heal(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    return is_usable(s) ? push_done(L, shoal_sim_heal(s->sim)) : fail_closed(L);
}

/* sim:crash(node) -> true */
static int sim_crash(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    lnode *n = lnode_check(L, 2);
    if (!is_usable(s)) {
        return fail_closed(L);
    }
    if (n->node && n->sim != s) {
        return luaL_error(L, "sim:crash: the node is not of this simulation");
    }
    if (s->turning || n->entered) {
        return luaL_error(L, "sim:crash inside a handler, a task or a callback of a node: call it "
                             "in the function of sim:run");
    }
    if (!lnode_usable(n)) {
        return lfail_closed(L);
    }
    lnode_end(L, n, 2, true);
    lprotect_raise(L, n);
    lua_pushboolean(L, 1);
    return 1;
}

/* sim_net(sim, least_us, most_us, loss_ppm) -> true */
static int sim_net(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    uint64_t least_us = (uint64_t)luaL_checkinteger(L, 2),
             most_us = (uint64_t)luaL_checkinteger(L, 3);
    uint32_t loss_ppm = (uint32_t)luaL_checkinteger(L, 4);
    return is_usable(s) ? push_done(L, shoal_sim_net(s->sim, least_us, most_us, loss_ppm))
                        : fail_closed(L);
}

/* --- maps: Lua's own order differs from process to process, and what is sent decides the run --- */

static int key_compare(const void *left, const void *right)
{
    const lkey *a = left, *b = right;
    if (!a->text || !b->text) {
        int kinds = (a->text != NULL) - (b->text != NULL);
        return kinds ? kinds : (a->number > b->number) - (a->number < b->number);
    }
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

const lkey *lsim_keys(lua_State *L, int idx, lua_Integer count)
{
    lkey *keys = lcompat_newuserdata(L, ((size_t)count + 1) * sizeof *keys);
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, idx); n++) {
        lua_pop(L, 1);
        keys[n] = (lkey){0};
        if (lua_type(L, -1) == LUA_TSTRING) {
            keys[n].text = lua_tolstring(L, -1, &keys[n].len);
        } else if (lcompat_isinteger(L, -1)) {
            keys[n].number = lua_tointeger(L, -1);
        } else {
            lua_pop(L, 2);
            return NULL;
        }
    }
    qsort(keys, n, sizeof *keys, key_compare);
    return keys;
}

/* --- properties --- */

static int sim_now(lua_State *L)
{
    const lsim *s = sim_check(L, 1);
    uint64_t us = s->sim ? shoal_sim_now_us(s->sim) : s->end_us;
    lua_pushnumber(L, (lua_Number)us / 1e6);
    return 1;
}

static int sim_seed(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)sim_check(L, 1)->seed);
    return 1;
}

static int sim_digest(lua_State *L)
{
    const lsim *s = sim_check(L, 1);
    char text[17];
    uint64_t digest = s->sim ? shoal_sim_digest(s->sim) : s->end_digest;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    lua_pushstring(L, text);
    return 1;
}

static int sim_tostring(lua_State *L)
{
    const lsim *s = sim_check(L, 1);
    char text[64];
    snprintf(text, sizeof text, "shoal.sim %lld%s", (long long)s->seed, s->sim ? "" : " (closed)");
    lua_pushstring(L, text);
    return 1;
}

/* --- birth and end --- */

/* sim_new(seed) -> sim */
static int sim_new(lua_State *L)
{
    uint64_t seed = (uint64_t)luaL_checkinteger(L, 1);
    lua_settop(L, 0);
    lua_newtable(L); /* options: none */
    lsim *s = lcompat_newuserdata(L, sizeof *s);
    memset(s, 0, sizeof *s);
    s->seed = seed;
    s->home.home = true;
    s->home.sim = s;
    lnode_born(L, &s->home, "shoal.sim", 2);
    int code = shoal_sim_new(seed, &s->sim);
    if (code < 0) {
        return push_done(L, code);
    }
    lua_settop(L, 2);
    return 1;
}

/* The userdata is at idx. Its nodes end before it. */
static void sim_end(lua_State *L, lsim *s, int idx)
{
    s->end_us = shoal_sim_now_us(s->sim);
    s->end_digest = shoal_sim_digest(s->sim);
    lcompat_pushowned(L, idx);
    int box = lua_gettop(L);
    lua_pushvalue(L, box);
    lua_State *outer = lnode_end_begin(L, &s->home);
    lcoro_close_all(&s->home.tasks);
    while (s->first) {
        lnode *n = s->first;
        lua_rawgetp(L, box, n);
        lnode_end(L, n, lua_gettop(L), false);
        lua_settop(L, box);
    }
    shoal_sim_free(s->sim);
    s->sim = NULL;
    lcoro_pool_free(&s->home);
    lbox_free(&s->home);
    ltimer_close(&s->home);
    lnode_end_done(L, &s->home, outer);
}

static int sim_close(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    bool inside = s->turning || s->home.entered;
    for (lnode *n = s->first; n && !inside; n = n->sim_next) {
        inside = n->entered;
    }
    if (inside && is_usable(s)) {
        return luaL_error(L, "sim:close inside sim:run, a handler, a task or a callback");
    }
    if (is_usable(s)) {
        sim_end(L, s, 1);
        lprotect_raise(L, &s->home);
    }
    return 0;
}

static int sim_gc(lua_State *L)
{
    lsim *s = sim_check(L, 1);
    if (is_usable(s) && !s->turning && !s->home.entered) {
        sim_end(L, s, 1);
    }
    return 0;
}

void lsim_open(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__gc", sim_gc}, {"__close", sim_close}, {"__tostring", sim_tostring}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"partition", sim_partition},
                                       {"heal", sim_heal},
                                       {"crash", sim_crash},
                                       {"close", sim_close},
                                       {NULL, NULL}};
    static const luaL_Reg getters[] = {
        {"now", sim_now}, {"seed", sim_seed}, {"digest", sim_digest}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"sim_new", sim_new},
                                         {"sim_node", sim_node},
                                         {"sim_task", sim_task},
                                         {"sim_drop", sim_drop},
                                         {"sim_turn", sim_turn},
                                         {"sim_net", sim_net},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0); /* the module's table is on top */
    luaL_newmetatable(L, "shoal.sim");
    luaL_setfuncs(L, meta, 0);
    lmeta_index(L, methods, getters);
    lua_pop(L, 1);
}

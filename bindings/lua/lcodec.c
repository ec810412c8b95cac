/* lcodec.c - Lua values to MessagePack and back, by the table of values that all languages share.
 *
 * What does not fit is told with its path: "value.items[3]: a function cannot be sent". */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lshoal.h"

enum { SIZED_MAX = 65536 };

/* What is wrong, and where: the path is put together from its end while the walk returns. */
struct fault {
    int code;
    char path[256];
    char what[192];
};

struct walk {
    lua_State *L;
    lnode *n;
    shoal_pack *p; /* packing only */
    struct fault e;
};

static bool fault_set(struct walk *w, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->e.what, sizeof w->e.what, format, args);
    va_end(args);
    w->e.code = code;
    w->e.path[0] = 0;
    return false;
}

static void path_prepend(struct fault *e, const char *part)
{
    char whole[sizeof e->path];
    snprintf(whole, sizeof whole, "%s%.*s", part, (int)(sizeof whole - strlen(part) - 1), e->path);
    memcpy(e->path, whole, sizeof whole);
}

static bool fault_at_index(struct walk *w, lua_Integer index)
{
    char part[32];
    snprintf(part, sizeof part, "[%lld]", (long long)index);
    path_prepend(&w->e, part);
    return false;
}

static bool name_like(const char *key, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = key[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return n > 0;
}

static bool fault_at_key(struct walk *w, const char *key, size_t n)
{
    char part[96];
    int shown = n < 64 ? (int)n : 64;
    snprintf(part, sizeof part, name_like(key, n) ? ".%.*s" : "[\"%.*s\"]", shown, key);
    path_prepend(&w->e, part);
    return false;
}

/* --- packing --- */

static bool put_value(struct walk *w, int idx, int depth);

enum shape { SHAPE_LIST, SHAPE_MAP, SHAPE_HOLE };

/* Counts keys; *odd: the first that is no list index. */
static enum shape table_keys(lua_State *L, int idx, lua_Integer *count, bool *indexes)
{
    lua_Integer n = 0, most = 0;
    *indexes = true;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        n++;
        if (*indexes && lcompat_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            lua_Integer key = lua_tointeger(L, -1);
            most = key > most ? key : most;
        } else {
            *indexes = false;
        }
    }
    *count = n;
    if (!*indexes || n == 0) {
        return SHAPE_MAP;
    }
    return most == n ? SHAPE_LIST : SHAPE_HOLE;
}

/* What a table is sent as. A table of whole positive keys with gaps is a list with a hole if it begins like a list. */
static enum shape table_shape(lua_State *L, const lvm *vm, int idx, lua_Integer *count)
{
    const void *meta = NULL;
    if (lua_getmetatable(L, idx)) {
        meta = lua_topointer(L, -1);
        lua_pop(L, 1);
    }
    bool indexes;
    enum shape shape = table_keys(L, idx, count, &indexes);
    if (meta == vm->map) {
        return SHAPE_MAP;
    }
    if (meta == vm->list) {
        return *count == 0 ? SHAPE_LIST : indexes ? shape : SHAPE_HOLE;
    }
    if (shape != SHAPE_HOLE) {
        return shape;
    }
    bool first = lua_rawgeti(L, idx, 1) != LUA_TNIL;
    lua_pop(L, 1);
    return first || lua_rawlen(L, idx) > 0 ? SHAPE_HOLE : SHAPE_MAP;
}

static bool put_list(struct walk *w, int idx, lua_Integer count, int depth)
{
    shoal_put_list(w->p, (uint32_t)count);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(w->L, idx, i);
        bool fine = put_value(w, lua_gettop(w->L), depth + 1);
        lua_pop(w->L, 1);
        if (!fine) {
            return fault_at_index(w, i);
        }
    }
    return true;
}

static bool put_pair(struct walk *w, int key, int depth)
{
    lua_State *L = w->L;
    size_t n;
    if (lua_type(L, key) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, key, &n);
        shoal_put_text(w->p, text, n);
        if (shoal_pack_error(w->p) == SHOAL_E_BAD_VALUE) {
            return fault_set(w, SHOAL_E_BAD_VALUE, "a key that is not UTF-8 cannot be sent");
        }
        return put_value(w, key + 1, depth + 1) || fault_at_key(w, text, n);
    }
    if (lcompat_isinteger(L, key)) {
        shoal_put_i64(w->p, lua_tointeger(L, key));
        return put_value(w, key + 1, depth + 1) || fault_at_index(w, lua_tointeger(L, key));
    }
    return fault_set(w, SHOAL_E_BAD_VALUE, "a key is a %s: keys are text or integers",
                     luaL_typename(L, key));
}

static bool put_sorted(struct walk *w, int idx, const lkey *keys, lua_Integer count, int depth)
{
    lua_State *L = w->L;
    int top = lua_gettop(L); /* the keys */
    bool fine = true;
    for (lua_Integer i = 0; fine && i < count; i++) {
        if (keys[i].text) {
            lua_pushlstring(L, keys[i].text, keys[i].len);
        } else {
            lua_pushinteger(L, keys[i].number);
        }
        lua_pushvalue(L, -1);
        lua_rawget(L, idx);
        fine = put_pair(w, top + 1, depth);
        lua_settop(L, top);
    }
    lua_pop(L, 1);
    return fine;
}

static bool put_map(struct walk *w, int idx, lua_Integer count, int depth)
{
    lua_State *L = w->L;
    shoal_put_map(w->p, (uint32_t)count);
    const lkey *keys = w->n->sim && count > 1 ? lsim_keys(L, idx, count) : NULL;
    if (keys) {
        return put_sorted(w, idx, keys, count, depth);
    }
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        if (!put_pair(w, lua_gettop(L) - 1, depth)) {
            lua_pop(L, 2);
            return false;
        }
        lua_pop(L, 1);
    }
    return true;
}

static bool put_hole(struct walk *w, int idx)
{
    lua_Integer i = 1;
    while (lua_rawgeti(w->L, idx, i) != LUA_TNIL) {
        lua_pop(w->L, 1);
        i++;
    }
    lua_pop(w->L, 1);
    fault_set(
        w, SHOAL_E_BAD_VALUE,
        "a list with a hole cannot be sent: use shoal.null for a nil in it, shoal.map(t) for a map "
        "of integers");
    return fault_at_index(w, i);
}

static bool put_table(struct walk *w, int idx, int depth)
{
    if (depth >= LDEPTH_MAX) {
        return fault_set(w, SHOAL_E_BAD_VALUE, "more than %d lists and maps inside each other",
                         LDEPTH_MAX);
    }
    if (!lua_checkstack(w->L, 10)) {
        return fault_set(w, SHOAL_E_LIMIT, "out of memory");
    }
    lua_Integer count;
    switch (table_shape(w->L, w->n->vm, idx, &count)) {
    case SHAPE_LIST: return put_list(w, idx, count, depth);
    case SHAPE_HOLE: return put_hole(w, idx);
    default: return put_map(w, idx, count, depth);
    }
}

static bool put_userdata(struct walk *w, int idx)
{
    lua_State *L = w->L;
    if (lua_touserdata(L, idx) == w->n->vm->null) {
        shoal_put_nil(w->p);
        return true;
    }
    lref *ref = luaL_testudata(L, idx, "shoal.ref");
    if (ref) {
        shoal_pid pid;
        int code = lref_pid(ref, w->n, &pid);
        if (code == 0) {
            shoal_put_ref(w->p, w->n->node, pid);
            code = shoal_pack_error(w->p);
        }
        return code == 0 || fault_set(w, code, "a ref whose peer is not known any more");
    }
    lbytes *bytes = luaL_testudata(L, idx, "shoal.bytes");
    if (bytes) {
        shoal_put_bytes(w->p, bytes->data, bytes->len);
        return true;
    }
    return fault_set(w, SHOAL_E_BAD_VALUE, "a %s cannot be sent", luaL_typename(L, idx));
}

static bool put_value(struct walk *w, int idx, int depth)
{
    lua_State *L = w->L;
    size_t n;
    switch (lua_type(L, idx)) {
    case LUA_TNONE:
    case LUA_TNIL: shoal_put_nil(w->p); break;
    case LUA_TBOOLEAN: shoal_put_bool(w->p, lua_toboolean(L, idx)); break;
    case LUA_TNUMBER:
        if (lcompat_isinteger(L, idx)) {
            shoal_put_i64(w->p, lua_tointeger(L, idx));
        } else {
            shoal_put_f64(w->p, (double)lua_tonumber(L, idx));
        }
        break;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, idx, &n);
        shoal_put_text(w->p, text, n);
        if (shoal_pack_error(w->p) == SHOAL_E_BAD_VALUE) {
            return fault_set(w, SHOAL_E_BAD_VALUE,
                             "text must be UTF-8: use shoal.bytes(s) for other bytes");
        }
        break;
    }
    case LUA_TTABLE: return put_table(w, idx, depth);
    case LUA_TUSERDATA: return put_userdata(w, idx);
    default: return fault_set(w, SHOAL_E_BAD_VALUE, "a %s cannot be sent", luaL_typename(L, idx));
    }
    return !shoal_pack_error(w->p) || fault_set(w, shoal_pack_error(w->p), "out of memory");
}

static bool pack_walk(struct walk *w, int idx, shoal_bytes *out)
{
    lnode *n = w->n;
    shoal_pack_free(&n->pack);
    shoal_pack_init(&n->pack, n->room, sizeof n->room);
    if (!put_value(w, lua_absindex(w->L, idx), 0)) {
        return false;
    }
    *out = shoal_packed(&n->pack);
    if (out->len > n->max_message) {
        return fault_set(w, SHOAL_E_BAD_VALUE, "%llu bytes, but max_message is %lu",
                         (unsigned long long)out->len, (unsigned long)n->max_message);
    }
    return true;
}

bool lcodec_try(lua_State *L, lnode *n, int idx, shoal_bytes *out, const char **why)
{
    struct walk w = {.L = L, .n = n, .p = &n->pack};
    *out = shoal_nil();
    if (lua_isnoneornil(L, idx) || pack_walk(&w, idx, out)) {
        return true;
    }
    *why = lua_pushfstring(L, "value%s: %s", w.e.path, w.e.what);
    return false;
}

bool lcodec_pack(lua_State *L, lnode *n, int idx, shoal_bytes *out)
{
    struct walk w = {.L = L, .n = n, .p = &n->pack};
    *out = shoal_nil();
    if (lua_isnoneornil(L, idx)) {
        return true;
    }
    if (!n->node) {
        lfail_closed(L);
        return false;
    }
    if (pack_walk(&w, idx, out)) {
        return true;
    }
    lfail(L, w.e.code, SHOAL_NOT_SENT, lua_pushfstring(L, "value%s: %s", w.e.path, w.e.what));
    return false;
}

/* --- reading --- */

static bool push_value(struct walk *w, shoal_bytes value);

/* In lists and maps nil is shoal.null. */
static bool push_item(struct walk *w, shoal_bytes value)
{
    if (shoal_kind(value) == SHOAL_KIND_NIL) {
        lua_rawgetp(w->L, LUA_REGISTRYINDEX, w->n->vm->null);
        return true;
    }
    return push_value(w, value);
}

static bool push_list(struct walk *w, shoal_bytes value)
{
    int64_t count = shoal_count(value);
    luaL_checkstack(w->L, 8, "value");
    lua_createtable(w->L, count < SIZED_MAX ? (int)count : SIZED_MAX, 0);
    if (count == 0) {
        luaL_setmetatable(w->L, "shoal.list");
    }
    shoal_bytes item;
    for (lua_Integer i = 1; i <= count; i++) {
        if (shoal_next(&value, NULL, &item) <= 0) {
            return fault_set(w, SHOAL_E_BAD_VALUE, "malformed list");
        }
        if (!push_item(w, item)) {
            return fault_at_index(w, i);
        }
        lua_rawseti(w->L, -2, i);
    }
    return true;
}

/* Before 5.3 a number is a double. */
static bool integer_fits(int64_t i)
{
    const int64_t most = (int64_t)1 << 53;
    return LCOMPAT_INTEGERS || (i >= -most && i <= most);
}

static bool push_key(struct walk *w, shoal_bytes key, bool *whole)
{
    shoal_bytes text;
    int64_t number;
    *whole = false;
    if (shoal_as_text(key, &text) == 0) {
        lua_pushlstring(w->L, text.data, text.len);
        return true;
    }
    if (shoal_as_i64(key, &number) == 0 && integer_fits(number)) {
        *whole = true;
        lua_pushinteger(w->L, number);
        return true;
    }
    return fault_set(w, SHOAL_E_BAD_VALUE,
                     "a key is neither text nor an integer that Lua can hold");
}

static bool fault_at_pushed(struct walk *w)
{
    size_t n;
    if (lcompat_isinteger(w->L, -1)) {
        return fault_at_index(w, lua_tointeger(w->L, -1));
    }
    const char *text = lua_tolstring(w->L, -1, &n);
    return fault_at_key(w, text, n);
}

static bool push_map(struct walk *w, shoal_bytes value)
{
    int64_t count = shoal_count(value), wholes = 0;
    luaL_checkstack(w->L, 8, "value");
    lua_createtable(w->L, 0, count < SIZED_MAX ? (int)count : SIZED_MAX);
    shoal_bytes key, item;
    for (int64_t i = 0; i < count; i++) {
        bool whole;
        if (shoal_next(&value, &key, &item) <= 0) {
            return fault_set(w, SHOAL_E_BAD_VALUE, "malformed map");
        }
        if (!push_key(w, key, &whole)) {
            return false;
        }
        int at = lua_gettop(w->L);
        if (!push_item(w, item)) {
            lua_settop(w->L, at);
            return fault_at_pushed(w);
        }
        wholes += whole;
        lua_rawset(w->L, -3);
    }
    if (count > 0 && wholes == count) {
        luaL_setmetatable(w->L, "shoal.map"); /* else it could be taken for a list */
    }
    return true;
}

static bool push_int(struct walk *w, shoal_bytes value)
{
    int64_t i;
    uint64_t u = 0;
    if (shoal_as_i64(value, &i) == 0) {
        if (!integer_fits(i)) {
            return fault_set(w, SHOAL_E_BAD_VALUE,
                             "the integer %lld is more than this Lua's numbers hold exactly (2^53)",
                             (long long)i);
        }
        lua_pushinteger(w->L, (lua_Integer)i);
        return true;
    }
    shoal_as_u64(value, &u);
    return fault_set(w, SHOAL_E_BAD_VALUE,
                     "the integer %llu is more than a Lua integer can hold (2^63-1)",
                     (unsigned long long)u);
}

static bool push_ref(struct walk *w, shoal_bytes value)
{
    shoal_pid pid;
    int code = w->n->node ? shoal_as_ref(w->n->node, value, &pid) : SHOAL_E_CLOSED;
    if (code < 0) {
        return fault_set(w, code, "the ref cannot be read: %s", shoal_strerror(code));
    }
    lref_push(w->L, w->n, pid);
    return true;
}

static bool push_value(struct walk *w, shoal_bytes value)
{
    lua_State *L = w->L;
    bool yes = false;
    double number = 0;
    shoal_bytes part = {NULL, 0};
    switch (shoal_kind(value)) {
    case SHOAL_KIND_NIL: lua_pushnil(L); return true;
    case SHOAL_KIND_BOOL:
        shoal_as_bool(value, &yes);
        lua_pushboolean(L, yes);
        return true;
    case SHOAL_KIND_INT: return push_int(w, value);
    case SHOAL_KIND_FLOAT:
        shoal_as_f64(value, &number);
        lua_pushnumber(L, (lua_Number)number);
        return true;
    case SHOAL_KIND_TEXT:
        shoal_as_text(value, &part);
        lua_pushlstring(L, part.data, part.len);
        return true;
    case SHOAL_KIND_BYTES:
        shoal_as_bytes(value, &part);
        lbytes_push(L, part.data, part.len);
        return true;
    case SHOAL_KIND_LIST: return push_list(w, value);
    case SHOAL_KIND_MAP: return push_map(w, value);
    case SHOAL_KIND_REF: return push_ref(w, value);
    default: return fault_set(w, SHOAL_E_BAD_VALUE, "malformed value");
    }
}

bool lcodec_push(lua_State *L, lnode *n, shoal_bytes value)
{
    struct walk w = {.L = L, .n = n};
    int top = lua_gettop(L);
    if (!value.len) {
        lua_pushnil(L); /* empty is nil, wherever it points */
        return true;
    }
    if (push_value(&w, value)) {
        return true;
    }
    lua_settop(L, top);
    lua_pushfstring(L, "value%s: %s", w.e.path, w.e.what);
    return false;
}

/* --- kinds --- */

static const char *table_type(lua_State *L)
{
    lua_Integer count;
    switch (table_shape(L, lvm_of(L), 1, &count)) {
    case SHAPE_LIST: return "list";
    case SHAPE_HOLE: return NULL;
    default: return "map";
    }
}

static const char *value_type(lua_State *L)
{
    switch (lua_type(L, 1)) {
    case LUA_TNIL: return "nil";
    case LUA_TBOOLEAN: return "bool";
    case LUA_TNUMBER: return lcompat_isinteger(L, 1) ? "integer" : "float";
    case LUA_TSTRING: return "text";
    case LUA_TTABLE: return table_type(L);
    case LUA_TUSERDATA:
        if (lua_touserdata(L, 1) == lvm_of(L)->null) {
            return "nil";
        }
        return luaL_testudata(L, 1, "shoal.bytes") ? "bytes"
               : luaL_testudata(L, 1, "shoal.ref") ? "ref"
                                                   : NULL;
    default: return NULL;
    }
}

/* shoal.type(v): the kind of a value, nil for what cannot be sent */
int lcodec_type(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    lua_pushstring(L, value_type(L)); /* NULL: nil */
    return 1;
}

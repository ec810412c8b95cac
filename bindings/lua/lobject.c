/* lobject.c - messages between actors of one VM: the value goes as it is, or as a copy of its own, without MessagePack.
 *
 * What arrives must be what packing and unpacking would make of it. So the copy is a short cut only: whatever it does not
 * know at once (or must refuse) is left to the codec, which then packs it, or says what is wrong.
 * An lobj is what the library carries: numbers and truth values lie in it, the rest in a slot of the node's box. */
#include <stdlib.h>
#include <string.h>

#include "lshoal.h"

enum { CHUNK = 32, NAME_LEN_MAX = 40 /* longer texts may be there twice */ };

struct lchunk {
    lchunk *next;
    lobj objs[CHUNK];
};

/* --- names: known by the address of their text, which the box keeps --- */

/* Names of a class that are no handlers. */
bool lobject_hidden(const char *name)
{
    switch (name[0]) {
    case '_': return true;
    case 'o': return strncmp(name, "on_", 3) == 0;
    case 'i': return strcmp(name, "init") == 0;
    case 'u': return strcmp(name, "upgrade") == 0;
    case 'c': return strcmp(name, "cx") == 0;
    default: return false;
    }
}

static lname *name_add(lua_State *L, lnode *n, int arg, int box, lname *at, size_t len)
{
    const char *text = lua_tostring(L, arg);
    if (n->name_count >= LNAMES / 2 || len == 0 || len > NAME_LEN_MAX || strlen(text) != len) {
        return NULL;
    }
    lua_pushvalue(L, arg);
    at->ref = lbox_ref(L, n, box);
    at->handler = !lobject_hidden(text);
    at->text = text;
    n->name_count++;
    return at;
}

/* NULL: too many, too long, or no name; the codec's way knows it. */
static lname *name_find(lua_State *L, lnode *n, int arg, int box)
{
    size_t len;
    if (lua_type(L, arg) != LUA_TSTRING) {
        return NULL;
    }
    const char *text = lua_tolstring(L, arg, &len);
    size_t h = ((uintptr_t)text >> 4 ^ (uintptr_t)text >> 11) % LNAMES;
    while (n->names[h].text) {
        if (n->names[h].text == text) {
            return &n->names[h];
        }
        h = (h + 1) % LNAMES;
    }
    return name_add(L, n, arg, box, &n->names[h], len);
}

static unsigned text_hash(const char *text)
{
    unsigned h = 2166136261u;
    for (; *text; text++) {
        h = (h ^ (unsigned char)*text) * 16777619u;
    }
    return (h ^ h >> 16) % LTEXTS;
}

const lname *lobject_named(const lnode *n, const char *text)
{
    const lname *name = n->texts[text_hash(text)];
    return name && strcmp(name->text, text) == 0 ? name : NULL;
}

void lobject_learn(lua_State *L, lnode *n, const char *text)
{
    lua_pushstring(L, text);
    lnode_push_box(L, n, BOX_ANCHOR);
    int box = lua_gettop(L);
    const lname *name = name_find(L, n, box - 1, box);
    if (name) {
        n->texts[text_hash(text)] = name;
    }
    lua_settop(L, box - 2);
}

/* --- objects --- */

static bool objects_grow(lua_State *L, lnode *n, int box)
{
    lchunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk) {
        return false;
    }
    chunk->next = n->chunks;
    n->chunks = chunk;
    for (int i = 0; i < CHUNK; i++) { /* what raises between leaves the rest of the chunk unused */
        lobj *o = &chunk->objs[i];
        lua_pushboolean(L, 0);
        o->slot = lbox_ref(L, n, box);
        o->node = n;
        o->next = n->objects;
        n->objects = o;
    }
    return true;
}

void lobject_free(lua_State *L, lobj *o, int box)
{
    lnode *n = o->node;
    if (o->kind == OBJ_SLOT) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, box, o->slot);
    }
    o->next = n->objects;
    n->objects = o;
    n->object_count--;
}

void lobject_drop(void *ptr)
{
    lobj *o = ptr;
    lnode *n = o->node;
    lua_State *L = n->vm->L;
    if (!n->entered || !lua_checkstack(L, 2)) {
        o->next = n->dropped;
        n->dropped = o;
        return;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, n);
    lobject_free(L, o, lua_gettop(L));
    lua_pop(L, 1);
}

void lobject_sweep(lua_State *L, lnode *n)
{
    while (n->dropped) {
        lobj *o = n->dropped;
        n->dropped = o->next;
        lua_rawgetp(L, LUA_REGISTRYINDEX, n);
        lobject_free(L, o, lua_gettop(L));
        lua_pop(L, 1);
    }
}

void lobject_close(lnode *n)
{
    while (n->chunks) {
        lchunk *chunk = n->chunks;
        n->chunks = chunk->next;
        free(chunk);
    }
    n->objects = n->dropped = NULL;
    n->object_count = 0;
    memset(n->names, 0, sizeof n->names);
    memset(n->texts, 0, sizeof n->texts);
    n->name_count = 0;
}

void lobject_push(lua_State *L, const lobj *o, int box)
{
    switch (o->kind) {
    case OBJ_NIL: lua_pushnil(L); break;
    case OBJ_FALSE: lua_pushboolean(L, 0); break;
    case OBJ_TRUE: lua_pushboolean(L, 1); break;
#if LCOMPAT_INTEGERS
    case OBJ_INTEGER: lua_pushinteger(L, o->as.integer); break;
#endif
    case OBJ_NUMBER: lua_pushnumber(L, o->as.number); break;
    default: lua_rawgeti(L, box, o->slot); break;
    }
}

void lobject_take(lua_State *L, lobj *o, int box)
{
    lobject_push(L, o, box);
    lobject_free(L, o, box);
}

/* --- copies --- */

enum { FLAT_MAX = 6 }; /* fields: a C function's stack has room for them without a check */

struct copy {
    lua_State *L;
    lnode *n;
    const lvm *vm;
    size_t size; /* it would have when packed */
    int fields;  /* of a table whose keys are texts; 0: it is none */
    bool nested; /* something in it needed a copy of its own */
};

static bool utf8_rest(const unsigned char *s, size_t n)
{
    while (n > 0) {
        size_t more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
        if (more > 0) {
            bool lead = s[0] >= 0xc2 && s[0] <= 0xf4 && n > more;
            if (!lead || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
                return false;
            }
        }
        for (size_t i = 1; i <= more; i++) {
            if ((s[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        s += more + 1;
        n -= more + 1;
    }
    return true;
}

/* All its bytes, in parts that may overlap. */
static inline uint64_t short_bits(const char *text, size_t n)
{
    uint32_t first, last;
    if (n >= 4) {
        memcpy(&first, text, 4);
        memcpy(&last, text + n - 4, 4);
        return first | last;
    }
    return n ? (unsigned char)text[0] | (unsigned char)text[n / 2] | (unsigned char)text[n - 1] : 0;
}

static bool is_text(const char *text, size_t n)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t word, bits = 0;
    size_t i = 0;
    if (n <= 8) {
        return !(short_bits(text, n) & high) || utf8_rest((const unsigned char *)text, n);
    }
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, text + i, 8);
        bits |= word;
        if (bits & high) {
            return utf8_rest((const unsigned char *)text, n);
        }
    }
    memcpy(&word, text + n - 8, 8);
    return !((bits | word) & high) || utf8_rest((const unsigned char *)text, n);
}

static size_t text_size(size_t n)
{
    return n + (n < 32 ? 1u : n < 256 ? 2u : n < 65536 ? 3u : 5u);
}

static size_t bytes_size(size_t n)
{
    return n + (n < 256 ? 2u : n < 65536 ? 3u : 5u);
}

static size_t count_size(size_t n)
{
    return n < 16 ? 1u : n < 65536 ? 3u : 5u;
}

static size_t integer_size(lua_Integer i)
{
    uint64_t u = i < 0 ? ~(uint64_t)i : (uint64_t)i; /* the same size class on both sides */
    if (i >= 0) {
        return u < 128 ? 1u : u < 256 ? 2u : u < 65536 ? 3u : u <= UINT32_MAX ? 5u : 9u;
    }
    return u < 32 ? 1u : u < 128 ? 2u : u < 32768 ? 3u : u <= INT32_MAX ? 5u : 9u;
}

static bool size_text(struct copy *w, int idx)
{
    size_t n;
    const char *text = lua_tolstring(w->L, idx, &n);
    w->size += text_size(n);
    return n <= UINT32_MAX && is_text(text, n);
}

/* What needs no copy. */
static bool size_plain(struct copy *w, int idx, int type)
{
    if (type == LUA_TSTRING) {
        return size_text(w, idx);
    }
    bool whole = type == LUA_TNUMBER && lcompat_isinteger(w->L, idx);
    w->size += type == LUA_TBOOLEAN ? 1u : whole ? integer_size(lua_tointeger(w->L, idx)) : 9u;
    return true;
}

static bool copy_value(struct copy *w, int idx, int depth);

/* The keys as the codec counts them; LEFT: leave it to the codec. */
enum shape { SHAPE_LIST, SHAPE_MAP, SHAPE_LEFT };

struct keys {
    size_t count, wholes;
    lua_Integer most;
    bool indexes;
};

static bool keys_add(lua_State *L, struct keys *k)
{
    k->count++;
    if (lua_type(L, -1) == LUA_TSTRING) {
        k->indexes = false;
        return true;
    }
    if (!lcompat_isinteger(L, -1)) {
        return false;
    }
    lua_Integer key = lua_tointeger(L, -1);
    k->wholes++;
    k->indexes &= key > 0;
    k->most = key > k->most ? key : k->most;
    return true;
}

/* The first key is on top; its pair is counted. */
static enum shape keys_shape(struct copy *w, int idx, const void *meta, struct keys *k)
{
    lua_State *L = w->L;
    bool fine = keys_add(L, k);
    lua_pushvalue(L, -1);
    while (fine && lua_next(L, idx)) {
        lua_pop(L, 1);
        fine = keys_add(L, k);
    }
    if (!fine) {
        lua_pop(L, 1);
        return SHAPE_LEFT;
    }
    if (meta == w->vm->map) {
        return SHAPE_MAP;
    }
    if (!k->indexes) {
        return meta == w->vm->list ? SHAPE_LEFT : SHAPE_MAP;
    }
    return (size_t)k->most == k->count ? SHAPE_LIST : SHAPE_LEFT;
}

static bool copy_list(struct copy *w, int idx, lua_Integer count, int depth)
{
    lua_State *L = w->L;
    lua_createtable(L, (int)count, 0);
    int to = lua_gettop(L);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, idx, i);
        if (!copy_value(w, to + 1, depth + 1)) {
            return false;
        }
        lua_rawseti(L, to, i);
        lua_settop(L, to);
    }
    return true;
}

static bool copy_map(struct copy *w, int idx, const struct keys *k, int depth)
{
    lua_State *L = w->L;
    lua_createtable(L, 0, (int)k->count);
    int to = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, idx); lua_settop(L, to + 1)) {
        if (lua_type(L, to + 1) == LUA_TSTRING) {
            if (!size_text(w, to + 1)) {
                return false;
            }
        } else {
            w->size += integer_size(lua_tointeger(L, to + 1));
        }
        if (!copy_value(w, to + 2, depth + 1)) {
            return false;
        }
        lua_pushvalue(L, to + 1);
        lua_insert(L, -2);
        lua_rawset(L, to);
    }
    if (k->wholes == k->count) {
        luaL_setmetatable(L, "shoal.map");
    }
    w->fields = k->wholes == 0 && k->count <= FLAT_MAX && depth == 0 ? (int)k->count : 0;
    return true;
}

static bool copy_empty(struct copy *w, const void *meta)
{
    lua_newtable(w->L);
    if (meta == w->vm->list) {
        luaL_setmetatable(w->L, "shoal.list");
    }
    w->size++;
    return true;
}

/* One pair with a text as its key, on top: most messages are so. */
static bool copy_pair(struct copy *w, int depth)
{
    lua_State *L = w->L;
    int key = lua_gettop(L) - 1, type = lua_type(L, key + 1);
    if (!size_text(w, key)) {
        return false;
    }
    w->size++;
    w->fields = depth == 0 ? 1 : 0;
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN || type == LUA_TSTRING) {
        if (!size_plain(w, key + 1, type)) {
            return false;
        }
        lua_createtable(L, 0, 1);
        lua_insert(L, key); /* table, key, value */
        lua_rawset(L, key);
        return true;
    }
    if (!copy_value(w, key + 1, depth + 1)) {
        return false;
    }
    lua_createtable(L, 0, 1); /* key, original, copy, table */
    lua_insert(L, key);
    lua_replace(L, key + 2); /* table, key, copy */
    lua_rawset(L, key);
    return true;
}

static bool copy_table(struct copy *w, int idx, int depth)
{
    lua_State *L = w->L;
    struct keys k = {.indexes = true};
    const void *meta = NULL;
    if (depth >= LDEPTH_MAX || !lua_checkstack(L, 12)) {
        return false;
    }
    if (lua_getmetatable(L, idx)) {
        meta = lua_topointer(L, -1);
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    if (!lua_next(L, idx)) {
        return copy_empty(w, meta);
    }
    if (meta != w->vm->list && lua_type(L, -2) == LUA_TSTRING) {
        lua_pushvalue(L, -2);
        if (!lua_next(L, idx)) {
            return copy_pair(w, depth);
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    enum shape shape = keys_shape(w, idx, meta, &k);
    if (shape == SHAPE_LEFT || k.count > INT32_MAX) {
        return false;
    }
    lua_pop(L, 1);
    w->size += count_size(k.count);
    return shape == SHAPE_LIST ? copy_list(w, idx, (lua_Integer)k.count, depth)
                               : copy_map(w, idx, &k, depth);
}

static bool copy_ref(struct copy *w, const lref *ref, int idx)
{
    lnode *n = w->n;
    shoal_pid pid;
    if (lref_pid(ref, n, &pid) < 0) {
        return false;
    }
    shoal_pack_free(&n->pack);
    shoal_pack_init(&n->pack, n->room, sizeof n->room);
    shoal_put_ref(&n->pack, n->node, pid);
    if (shoal_pack_error(&n->pack) < 0) {
        return false;
    }
    w->size += shoal_packed(&n->pack).len;
    if (ref->node == n) {
        lua_pushvalue(w->L, idx);
    } else {
        lref_push(w->L, n, pid);
    }
    return true;
}

static bool copy_userdata(struct copy *w, int idx)
{
    lua_State *L = w->L;
    void *data = lua_touserdata(L, idx);
    if (data == w->vm->null) {
        w->size++;
        lua_pushvalue(L, idx);
        return true;
    }
    const void *meta = NULL;
    if (lua_getmetatable(L, idx)) {
        meta = lua_topointer(L, -1);
        lua_pop(L, 1);
    }
    if (meta == w->vm->ref) {
        return copy_ref(w, data, idx);
    }
    if (meta != w->vm->bytes) {
        return false;
    }
    w->size += bytes_size(((lbytes *)data)->len);
    lua_pushvalue(L, idx); /* nobody can change it */
    return ((lbytes *)data)->len <= UINT32_MAX;
}

/* Pushes the copy; false: the stack is anyhow. */
static bool copy_value(struct copy *w, int idx, int depth)
{
    lua_State *L = w->L;
    int type = lua_type(L, idx);
    switch (type) {
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        if (!size_plain(w, idx, type)) {
            return false;
        }
        break;
    case LUA_TTABLE: w->nested |= depth > 0; return copy_table(w, idx, depth);
    case LUA_TUSERDATA: w->nested = true; return copy_userdata(w, idx);
    default: return false;
    }
    lua_pushvalue(L, idx);
    return true;
}

/* Its size; fields: as those of lname. */
static size_t copy_any(lua_State *L, lnode *n, int idx, int *fields)
{
    struct copy w = {.L = L, .n = n, .vm = n->vm};
    int top = lua_gettop(L);
    if (copy_value(&w, idx, 0) && w.size <= n->max_message) {
        *fields = w.nested ? 0 : w.fields;
        return w.size;
    }
    lua_settop(L, top);
    *fields = 0;
    return 0;
}

/* A key or value of copy_flat at idx; the most bytes it takes, 0: not one. */
static inline size_t flat_size(lua_State *L, int idx, int type)
{
    size_t n;
    const char *text;
    switch (type) {
    case LUA_TSTRING: text = lua_tolstring(L, idx, &n); return is_text(text, n) ? n + 5 : 0;
    case LUA_TNUMBER: return 9;
    case LUA_TBOOLEAN: return 1;
    default: return 0;
    }
}

/* The table at idx as those before it under the same name were: few fields, texts as their keys, values that need no
 * copy. Pushes its copy, top is the stack's; false: it is another. One look at each key, all pairs on the stack. */
static bool copy_flat(lua_State *L, lnode *n, int idx, int top, int *fields)
{
    int to = ++top, end = to + 2 * *fields;
    size_t size = 1;
    if (lua_getmetatable(L, idx)) {
        end = 0;
        lua_pop(L, 1);
    }
    lua_createtable(L, 0, *fields);
    lua_pushnil(L);
    while (end && lua_next(L, idx)) {
        bool text = lua_type(L, top + 1) == LUA_TSTRING && top < end;
        size_t key = text ? flat_size(L, top + 1, LUA_TSTRING) : 0;
        size_t value = key ? flat_size(L, top + 2, lua_type(L, top + 2)) : 0;
        end = value ? end : 0;
        top += 2;
        size += key + value;
        lua_pushvalue(L, top - 1);
    }
    if (top != end || size > n->max_message) {
        lua_settop(L, to - 1);
        *fields = 0;
        return false;
    }
    for (; top > to; top -= 2) {
        lua_rawset(L, to);
    }
    return true;
}

size_t lobject_copy(lua_State *L, lnode *n, int idx)
{
    int fields;
    return copy_any(L, n, idx, &fields);
}

/* --- what a message becomes --- */

/* One is free: see object_room. */
static lobj *object_new(lnode *n, enum lobj_kind kind)
{
    lobj *o = n->objects;
    n->objects = o->next;
    n->object_count++;
    o->kind = kind;
    return o;
}

static inline bool object_room(lua_State *L, lnode *n, int box)
{
    return n->objects || objects_grow(L, n, box);
}

/* What needs no slot; else NULL. */
static lobj *object_plain(lua_State *L, lnode *n, int idx)
{
    lobj *o;
    switch (lua_type(L, idx)) {
    case LUA_TNONE:
    case LUA_TNIL: return object_new(n, OBJ_NIL);
    case LUA_TBOOLEAN: return object_new(n, lua_toboolean(L, idx) ? OBJ_TRUE : OBJ_FALSE);
    case LUA_TNUMBER:
#if LCOMPAT_INTEGERS
        if (lua_isinteger(L, idx)) {
            o = object_new(n, OBJ_INTEGER);
            o->as.integer = lua_tointeger(L, idx);
            return o;
        }
#endif
        o = object_new(n, OBJ_NUMBER);
        o->as.number = lua_tonumber(L, idx);
        return o;
    default: return NULL;
    }
}

/* fields: as those of lname; where they are not 0 the box is on top. */
static lobj *object_of(lua_State *L, lnode *n, int idx, int box, int *fields)
{
    if (n->sim || !object_room(L, n, box)) {
        return NULL; /* what is sent in a simulation decides the run: always packed */
    }
    if (!*fields || !lua_istable(L, idx) || !copy_flat(L, n, idx, box, fields)) {
        lobj *plain = object_plain(L, n, idx);
        if (plain) {
            return plain;
        }
        if (lua_touserdata(L, idx) == n->vm->null) {
            return object_new(n, OBJ_NIL);
        }
        if (!copy_any(L, n, idx, fields)) {
            return NULL;
        }
    }
    if (!object_room(L, n,
                     box)) { /* the copy took memory: what was collected may have sent something */
        return NULL;
    }
    lobj *o = object_new(n, OBJ_SLOT);
    lua_rawseti(L, box, o->slot);
    return o;
}

lobj *lobject_of(lua_State *L, lnode *n, int idx, int box)
{
    int fields = 0;
    return object_of(L, n, idx, box, &fields);
}

lobj *lobject_message(lua_State *L, lnode *n, int name, int value, int box)
{
    lname *found = name_find(L, n, name, box);
    lobj *o = found ? object_of(L, n, value, box, &found->fields) : NULL;
    if (o) {
        o->name = found;
    }
    return o;
}

lobj *lobject_simple(lua_State *L, lnode *n, int idx, int box)
{
    lobj *o = NULL;
    if (n->sim || !n->objects) {
        return NULL;
    }
    o = object_plain(L, n, idx);
    if (o || lua_type(L, idx) != LUA_TSTRING) {
        return o;
    }
    struct copy w = {.L = L, .n = n, .vm = n->vm};
    if (!size_text(&w, idx) || w.size > n->max_message) {
        return NULL;
    }
    o = object_new(n, OBJ_SLOT);
    lua_pushvalue(L, idx);
    lua_rawseti(L, box, o->slot);
    return o;
}

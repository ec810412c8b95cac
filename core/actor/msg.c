/* actor/msg.c - payloads, and the pool an executor takes messages from.
 *
 * Invariants: a message is either out (counted in live) or in p->free; blocks beside are of one of
 * SH_POOL_CLASSES sizes and come back to the pool, or of class BLOCK_OWN and go back to the allocator. */
#include "actor/msg.h"

/* Kept of each class: as many small blocks as a full mailbox and a peer's full queue (1 MiB) hold. */
enum { BLOCK_OWN = SH_POOL_CLASSES, BLOCKS_KEPT_BYTES = 2 << 20 };
/* The last holds 64 KiB with its name: what a file or an image is cut into. */
static const uint32_t block_sizes[SH_POOL_CLASSES] = {256, 1024, 4096, 8192, 16384, 32768, 66048};

/* Messages begin with a cache line: a small one that moves between threads takes two of them, not three. */
enum { CHUNK_ALIGN = 64 };

struct chunk {
    struct chunk *next;
    uint8_t room[sizeof(sh_msg[SH_POOL_GROW]) + CHUNK_ALIGN];
};

static sh_msg *chunk_messages(struct chunk *c)
{
    uintptr_t at = (uintptr_t)c->room;
    return (void *)((at + CHUNK_ALIGN - 1) & ~(uintptr_t)(CHUNK_ALIGN - 1));
}

void sh_msg_pool_init(sh_msg_pool *p, const sh_mem *mem, sh_quota *quota, uint8_t home)
{
    *p = (sh_msg_pool){.mem = mem, .quota = quota, .home = home};
}

static void pool_free_block(sh_msg_pool *p, uint8_t *at, uint32_t size)
{
    sh_mem_free(p->mem, at, size);
    sh_quota_give(p->quota, size);
}

void sh_msg_pool_fini(sh_msg_pool *p)
{
    for (int c = 0; c < SH_POOL_CLASSES; c++) {
        while (p->blocks[c]) {
            uint8_t *at = p->blocks[c];
            memcpy(&p->blocks[c], at, sizeof(uint8_t *));
            pool_free_block(p, at, block_sizes[c]);
        }
    }
    while (p->chunks) {
        struct chunk *c = p->chunks;
        p->chunks = c->next;
        sh_mem_free(p->mem, c, sizeof *c);
        sh_quota_give(p->quota, sizeof *c);
    }
    p->free = NULL;
}

int sh_msg_pool_grow(sh_msg_pool *p)
{
    if (sh_quota_take(p->quota, sizeof(struct chunk))) {
        return SH_E_LIMIT;
    }
    struct chunk *c = sh_mem_alloc(p->mem, sizeof *c);
    if (!c) {
        sh_quota_give(p->quota, sizeof *c);
        return SH_E_LIMIT;
    }
    c->next = p->chunks;
    p->chunks = c;
    sh_msg *messages = chunk_messages(c);
    for (int i = SH_POOL_GROW - 1; i >= 0; i--) {
        messages[i].next = p->free;
        p->free = &messages[i];
    }
    return 0;
}

static uint8_t *pool_block(sh_msg_pool *p, uint32_t n, uint32_t *size, uint32_t *block_class)
{
    uint32_t c = 0;
    while (c < SH_POOL_CLASSES && block_sizes[c] < n) {
        c++;
    }
    *block_class = c;
    *size = c < SH_POOL_CLASSES ? block_sizes[c] : n;
    if (c < SH_POOL_CLASSES && p->blocks[c]) {
        uint8_t *at = p->blocks[c];
        memcpy(&p->blocks[c], at, sizeof(uint8_t *));
        p->blocks_kept[c]--;
        return at;
    }
    if (sh_quota_take(p->quota, *size)) {
        return NULL;
    }
    uint8_t *at = sh_mem_alloc(p->mem, *size);
    if (!at) {
        sh_quota_give(p->quota, *size);
    }
    return at;
}

static void pool_give_block(sh_msg_pool *p, uint8_t *at, uint32_t size, uint32_t block_class)
{
    if (block_class >= SH_POOL_CLASSES ||
        (p->blocks_kept[block_class] + 1) * block_sizes[block_class] > BLOCKS_KEPT_BYTES) {
        pool_free_block(p, at, size);
        return;
    }
    memcpy(at, &p->blocks[block_class], sizeof(uint8_t *));
    p->blocks[block_class] = at;
    p->blocks_kept[block_class]++;
}

static void copy_piece(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n > SH_COPY_SHORT_MAX) {
        memcpy(to, from, n);
    } else {
        sh_copy_short(to, from, n);
    }
}

static uint8_t *put_piece(uint8_t *at, sh_span s)
{
    if (s.n && s.p) {
        copy_piece(at, s.p, s.n);
    }
    return at + s.n;
}

/* Lengths that fit the fields; the total, or 0 with *ok false. */
static size_t parts_size(const struct sh_msg_parts *parts, bool *ok)
{
    size_t text = parts->text.n < SH_TEXT_MAX ? parts->text.n : SH_TEXT_MAX;
    *ok = parts->name.n <= SH_NAME_MAX && parts->type.n <= SH_NAME_MAX &&
          parts->value.n < (size_t)1 << 29;
    return parts->name.n + text + parts->type.n + parts->value.n;
}

static void msg_fill(sh_msg *m, enum sh_msg_kind kind, const struct sh_msg_parts *parts)
{
    m->kind = (uint8_t)kind;
    m->name_len = (uint8_t)parts->name.n;
    m->text_len = (uint16_t)(parts->text.n < SH_TEXT_MAX ? parts->text.n : SH_TEXT_MAX);
    m->type_len = (uint8_t)parts->type.n;
    m->value_len = (uint32_t)parts->value.n;
    uint8_t *at = (m->flags & SH_MSG_BESIDE) ? m->beside.at : m->bytes;
    at = put_piece(at, parts->name);
    at = put_piece(at, sh_span_take(parts->text, SH_TEXT_MAX));
    at = put_piece(at, parts->type);
    put_piece(at, parts->value);
    if (parts->object) {
        m->object = *parts->object;
        m->flags |= SH_MSG_OWNED;
    }
}

sh_msg *sh_msg_new(sh_msg_pool *p, enum sh_msg_kind kind, const struct sh_msg_parts *parts)
{
    bool ok = false;
    size_t size = parts_size(parts, &ok);
    if (!ok || (!p->free && sh_msg_pool_grow(p))) {
        return NULL;
    }
    sh_msg *m = p->free;
    m->flags = p->home;
    if (size > (parts->object ? (size_t)SH_MSG_INLINE_OBJECT : (size_t)SH_MSG_INLINE)) {
        uint32_t block_size = 0;
        uint32_t block_class = 0;
        uint8_t *at = pool_block(p, (uint32_t)size, &block_size, &block_class);
        if (!at) {
            return NULL;
        }
        m->beside.at = at;
        m->beside.size = block_size;
        m->beside.block_class = block_class;
        m->flags |= SH_MSG_BESIDE;
    }
    p->free = m->next;
    p->live++;
    msg_fill(m, kind, parts);
    return m;
}

sh_msg *sh_msg_new_mem(const sh_mem *mem, enum sh_msg_kind kind, const struct sh_msg_parts *parts)
{
    bool ok = false;
    size_t size = parts_size(parts, &ok);
    sh_msg *m = ok ? sh_mem_alloc(mem, sizeof *m) : NULL;
    if (!m) {
        return NULL;
    }
    m->flags = SH_MSG_HOME_MEM;
    if (size > SH_MSG_INLINE) {
        m->beside.at = sh_mem_alloc(mem, size);
        if (!m->beside.at) {
            sh_mem_free(mem, m, sizeof *m);
            return NULL;
        }
        m->beside.size = (uint32_t)size;
        m->beside.block_class = BLOCK_OWN;
        m->flags |= SH_MSG_BESIDE;
    }
    msg_fill(m, kind, parts);
    return m;
}

void sh_msg_set_text(sh_msg_pool *p, sh_msg *m, sh_span text)
{
    SH_ASSERT(!(m->flags & SH_MSG_BESIDE) && (m->flags & SH_MSG_HOME) == p->home);
    uint32_t size = 0;
    uint32_t block_class = 0;
    uint8_t *at = NULL;
    if (text.n > SH_MSG_INLINE) {
        text = sh_span_take(text, SH_TEXT_MAX);
        at = pool_block(p, (uint32_t)text.n, &size, &block_class);
        text = at ? text : sh_span_take(text, SH_MSG_INLINE); /* told, if shorter */
    }
    if (at) {
        m->beside.at = at;
        m->beside.size = size;
        m->beside.block_class = block_class;
        m->flags |= SH_MSG_BESIDE;
    }
    m->name_len = 0;
    m->type_len = 0;
    m->value_len = 0;
    m->text_len = (uint16_t)text.n;
    put_piece(at ? at : m->bytes, text);
}

void sh_msg_free(sh_msg_pool *p, sh_msg *m)
{
    SH_ASSERT((m->flags & SH_MSG_HOME) == p->home);
    if (m->flags & SH_MSG_BESIDE) {
        pool_give_block(p, m->beside.at, m->beside.size, m->beside.block_class);
    }
    sh_msg_give(p, m);
}

void sh_msg_free_mem(const sh_mem *mem, sh_msg *m)
{
    if (m->flags & SH_MSG_BESIDE) {
        sh_mem_free(mem, m->beside.at, m->beside.size);
    }
    sh_mem_free(mem, m, sizeof *m);
}

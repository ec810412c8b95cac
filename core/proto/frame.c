/* proto/frame.c - the codec: one writer and one reader per frame type, in the order of docs/wire.md. */
#include "proto/frame.h"

#include "base/err.h"
#include "base/mp.h"
#include "base/text.h"
#include "base/varint.h"

enum {
    CODES = 16,
    REF_MIN = 8 + 34, /* u64 actor and the shortest peer id */
    REF_MAX = 8 + SH_PEER_ID_MAX
};

/* --- writing --- */

static void frame_put_who(sh_writer *w, const struct sh_frame_who *who)
{
    switch (who->kind) {
    case SH_WHO_NOBODY: sh_put_u8(w, 0); return;
    case SH_WHO_ACTOR:
        sh_put_u8(w, 1);
        sh_put_u64le(w, who->actor);
        return;
    case SH_WHO_THIRD:
        sh_put_u8(w, 2);
        sh_put_uvarint(w, 8 + who->peer.n);
        sh_put_u64le(w, who->actor);
        sh_put_bytes(w, who->peer);
        return;
    case SH_WHO_ENTRY: sh_put_uvarint(w, (uint64_t)who->entry + 3); return;
    }
}

static void frame_put_name(sh_writer *w, const struct sh_frame *f)
{
    if (f->name_known) {
        sh_put_uvarint(w, (uint64_t)f->name_entry + 1);
        return;
    }
    sh_put_u8(w, 0);
    sh_put_prefixed(w, f->name);
}

static void frame_put_hello(sh_writer *w, const struct sh_frame *f)
{
    sh_put_uvarint(w, f->version);
    sh_put_u64le(w, f->incarnation);
    sh_put_uvarint(w, f->number);
    sh_put_uvarint(w, f->answers);
    sh_put_uvarint(w, f->message_max);
}

static void frame_put_intern(sh_writer *w, const struct sh_frame *f)
{
    sh_put_uvarint(w, f->table);
    sh_put_uvarint(w, f->entry);
    if (f->table == SH_TABLE_NAMES) {
        sh_put_prefixed(w, f->name);
    } else {
        sh_put_u64le(w, f->target.actor);
    }
}

static void frame_put_message(sh_writer *w, const struct sh_frame *f)
{
    if (f->type == SH_FRAME_ASK) {
        sh_put_uvarint(w, f->call);
        sh_put_uvarint(w, f->left_ms);
    }
    frame_put_who(w, &f->target);
    frame_put_who(w, &f->other);
    frame_put_name(w, f);
}

static void frame_put_reply(sh_writer *w, const struct sh_frame *f)
{
    sh_put_uvarint(w, f->call);
    sh_put_uvarint(w, f->flags);
    sh_put_uvarint(w, (uint64_t)-f->code);
    if (f->code != 0) {
        sh_put_uvarint(w, f->delivery);
        sh_put_prefixed(w, f->text);
        sh_put_prefixed(w, f->type_text);
    }
}

static void frame_put_credit(sh_writer *w, const struct sh_frame *f)
{
    frame_put_who(w, &f->target);
    sh_put_uvarint(w, f->messages);
    sh_put_uvarint(w, f->bytes);
    sh_put_uvarint(w, f->wider);
    sh_put_uvarint(w, f->asks);
}

static void frame_put_lost(sh_writer *w, const struct sh_frame *f)
{
    frame_put_who(w, &f->target);
    frame_put_name(w, f);
    sh_put_uvarint(w, f->count);
    sh_put_uvarint(w, (uint64_t)-f->code);
    sh_put_prefixed(w, f->text);
}

static void frame_put_watch(sh_writer *w, const struct sh_frame *f)
{
    if (f->type == SH_FRAME_WATCH) {
        sh_put_uvarint(w, f->call);
    }
    frame_put_who(w, &f->target);
    frame_put_who(w, &f->other);
    sh_put_uvarint(w, f->flags);
}

static void frame_put_death(sh_writer *w, const struct sh_frame *f)
{
    frame_put_who(w, &f->target);
    frame_put_who(w, &f->other);
    sh_put_uvarint(w, f->kind);
    sh_put_prefixed(w, f->text);
    frame_put_who(w, &f->cause);
}

/* true if the type is known. */
static bool frame_put_fields(sh_writer *w, const struct sh_frame *f)
{
    switch ((enum sh_frame_type)f->type) {
    case SH_FRAME_HELLO: frame_put_hello(w, f); return true;
    case SH_FRAME_INTERN: frame_put_intern(w, f); return true;
    case SH_FRAME_TELL:
    case SH_FRAME_ASK: frame_put_message(w, f); return true;
    case SH_FRAME_REPLY: frame_put_reply(w, f); return true;
    case SH_FRAME_CREDIT: frame_put_credit(w, f); return true;
    case SH_FRAME_LOST: frame_put_lost(w, f); return true;
    case SH_FRAME_DRAIN:
        sh_put_uvarint(w, f->call);
        frame_put_who(w, &f->target);
        return true;
    case SH_FRAME_CANCEL: sh_put_uvarint(w, f->call); return true;
    case SH_FRAME_WATCH:
    case SH_FRAME_UNWATCH: frame_put_watch(w, f); return true;
    case SH_FRAME_DEATH: frame_put_death(w, f); return true;
    case SH_FRAME_GOODBYE:
        sh_put_uvarint(w, f->left_ms);
        sh_put_prefixed(w, f->text);
        return true;
    }
    return false;
}

static size_t number_len(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7) {
        n++;
    }
    return n;
}

/* A TELL or ASK whose name and actors are in the tables: its length is known before it is written. At most
 * KNOWN_MAX bytes. */
enum { KNOWN_MAX = SH_FRAME_PREFIX_MAX + 1 + 5 * SH_UVARINT_MAX };

static bool frame_is_known(const struct sh_frame *f)
{
    return (f->type == SH_FRAME_TELL || f->type == SH_FRAME_ASK) && f->name_known &&
           f->target.kind == SH_WHO_ENTRY &&
           (f->other.kind == SH_WHO_NOBODY || f->other.kind == SH_WHO_ENTRY);
}

static int frame_put_known(const struct sh_frame *f, uint8_t *out)
{
    uint64_t target = (uint64_t)f->target.entry + 3;
    uint64_t other = f->other.kind == SH_WHO_ENTRY ? (uint64_t)f->other.entry + 3 : 0;
    uint64_t name = (uint64_t)f->name_entry + 1;
    if (f->type == SH_FRAME_TELL && (target | other | name) < 0x80 && f->value.n < 0x7c) {
        const uint8_t head[] = {(uint8_t)(4 + f->value.n), SH_FRAME_TELL, (uint8_t)target,
                                (uint8_t)other, (uint8_t)name};
        memcpy(out, head, sizeof head);
        return sizeof head;
    }
    uint64_t numbers[5];
    size_t count = 0;
    if (f->type == SH_FRAME_ASK) {
        numbers[count++] = f->call;
        numbers[count++] = f->left_ms;
    }
    numbers[count++] = target;
    numbers[count++] = other;
    numbers[count++] = name;
    uint64_t length = 1 + f->value.n;
    for (size_t i = 0; i < count; i++) {
        length += number_len(numbers[i]);
    }
    if (length >= (UINT64_C(1) << (7 * SH_FRAME_PREFIX_MAX))) {
        return SH_E_LIMIT;
    }
    int at = sh_uvarint_put(out, length);
    out[at++] = f->type;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] < 0x80) {
            out[at++] = (uint8_t)numbers[i];
        } else {
            int n = sh_uvarint_put(out + at, numbers[i]);
            if (n < 0) {
                return n;
            }
            at += n;
        }
    }
    return at;
}

int sh_frame_put_head(const struct sh_frame *f, void *buf, size_t cap)
{
    if (cap >= KNOWN_MAX && frame_is_known(f)) {
        return frame_put_known(f, buf);
    }
    if (f->code > 0 || f->code < -CODES || f->text.n > SH_TEXT_MAX ||
        f->type_text.n > SH_NAME_MAX || f->name.n > SH_NAME_MAX) {
        return SH_E_BAD_VALUE;
    }
    uint8_t *out = buf;
    if (cap < SH_FRAME_PREFIX_MAX) {
        return SH_E_LIMIT;
    }
    /* The length is in its shortest form and not known yet: write behind the longest, then move down. */
    sh_writer w = sh_writer_of(out + SH_FRAME_PREFIX_MAX, cap - SH_FRAME_PREFIX_MAX);
    sh_put_u8(&w, f->type);
    if (!frame_put_fields(&w, f)) {
        return SH_E_BAD_VALUE;
    }
    int fields = sh_put_len(&w);
    if (fields < 0) {
        return fields;
    }
    uint64_t length = (uint64_t)fields + f->value.n;
    if (length >= (UINT64_C(1) << (7 * SH_FRAME_PREFIX_MAX))) {
        return SH_E_LIMIT;
    }
    int prefix = sh_uvarint_put(out, length);
    if (prefix < SH_FRAME_PREFIX_MAX) {
        memmove(out + prefix, out + SH_FRAME_PREFIX_MAX, (size_t)fields);
    }
    return prefix + fields;
}

int sh_frame_put(const struct sh_frame *f, void *buf, size_t cap)
{
    int head = sh_frame_put_head(f, buf, cap);
    if (head < 0) {
        return head;
    }
    if (cap - (size_t)head < f->value.n) {
        return SH_E_LIMIT;
    }
    if (f->value.n) {
        memcpy((uint8_t *)buf + head, f->value.p, f->value.n);
    }
    return head + (int)f->value.n;
}

/* --- reading: every reader returns true, or false for malformed --- */

static inline bool frame_get_number(sh_reader *r, uint64_t max, uint64_t *out)
{
    if (sh_read_left(r) > 0 && r->p[0] < 0x80) { /* one byte: nearly all of them */
        *out = *r->p++;
        return *out <= max;
    }
    return sh_read_uvarint(r, out) == 0 && *out <= max;
}

static bool frame_get_u8(sh_reader *r, uint8_t max, uint8_t *out)
{
    uint64_t v;
    if (!frame_get_number(r, max, &v)) {
        return false;
    }
    *out = (uint8_t)v;
    return true;
}

static bool frame_get_u32(sh_reader *r, uint32_t *out)
{
    uint64_t v;
    if (!frame_get_number(r, SH_UVARINT_VALUE_MAX, &v)) {
        return false;
    }
    *out = (uint32_t)(v & UINT32_MAX); /* flags: bits we do not know are of no interest */
    return true;
}

static bool frame_get_text(sh_reader *r, size_t max, sh_span *out)
{
    return sh_read_prefixed(r, out) == 0 && out->n <= max && sh_utf8_valid(*out);
}

static bool frame_get_name_text(sh_reader *r, sh_span *out)
{
    return sh_read_prefixed(r, out) == 0 && sh_name_valid(*out);
}

static bool frame_get_name(sh_reader *r, struct sh_frame *f)
{
    uint64_t v;
    if (!frame_get_number(r, SH_INTERN_NAMES_MAX, &v)) {
        return false;
    }
    if (v == 0) {
        return frame_get_name_text(r, &f->name);
    }
    f->name_known = true;
    f->name_entry = (uint32_t)(v - 1);
    return true;
}

static bool frame_get_third(sh_reader *r, struct sh_frame_who *who)
{
    sh_span ref;
    if (sh_read_prefixed(r, &ref) != 0 || ref.n < REF_MIN || ref.n > REF_MAX) {
        return false;
    }
    who->kind = SH_WHO_THIRD;
    who->actor = sh_load_u64le(ref.p);
    who->peer = sh_span_skip(ref, 8);
    return true;
}

/* 0 is nobody and has its own form. */
static bool frame_get_actor(sh_reader *r, uint64_t *actor)
{
    return sh_read_u64le(r, actor) == 0 && *actor != 0;
}

static bool frame_get_who(sh_reader *r, bool third, struct sh_frame_who *who)
{
    uint64_t v;
    if (!frame_get_number(r, SH_INTERN_ACTORS_MAX + 2, &v)) {
        return false;
    }
    if (v == 2) {
        return third && frame_get_third(r, who);
    }
    if (v == 1) {
        who->kind = SH_WHO_ACTOR;
        return frame_get_actor(r, &who->actor);
    }
    who->kind = v ? SH_WHO_ENTRY : SH_WHO_NOBODY;
    who->entry = v ? (uint32_t)(v - 3) : 0;
    return true;
}

static bool frame_get_code(sh_reader *r, uint8_t least, int *code)
{
    uint8_t v;
    if (!frame_get_u8(r, CODES, &v) || v < least) {
        return false;
    }
    *code = -(int)v;
    return true;
}

static bool frame_get_value(sh_reader *r, sh_span *value)
{
    *value = sh_read_rest(r);
    return value->n == 0 || sh_mp_check(*value, SH_MP_DEPTH_MAX, NULL) == 0;
}

static bool frame_get_hello(sh_reader *r, struct sh_frame *f)
{
    const uint64_t any = SH_UVARINT_VALUE_MAX;
    uint64_t version;
    if (!frame_get_number(r, any, &version) || version == 0) {
        return false;
    }
    f->version = version > UINT8_MAX ? UINT8_MAX : (uint8_t)version;
    return sh_read_u64le(r, &f->incarnation) == 0 && frame_get_number(r, any, &f->number) &&
           f->number != 0 && frame_get_number(r, any, &f->answers) &&
           frame_get_number(r, any, &f->message_max);
}

static bool frame_get_intern(sh_reader *r, struct sh_frame *f)
{
    uint64_t entry;
    if (!frame_get_u8(r, SH_TABLE_MINE, &f->table)) {
        return false;
    }
    uint64_t most = f->table == SH_TABLE_NAMES ? SH_INTERN_NAMES_MAX : SH_INTERN_ACTORS_MAX;
    if (!frame_get_number(r, most - 1, &entry)) {
        return false;
    }
    f->entry = (uint32_t)entry;
    if (f->table == SH_TABLE_NAMES) {
        return frame_get_name_text(r, &f->name);
    }
    f->target.kind = SH_WHO_ACTOR;
    return frame_get_actor(r, &f->target.actor);
}

static bool frame_get_message(sh_reader *r, struct sh_frame *f)
{
    const uint64_t any = SH_UVARINT_VALUE_MAX;
    if (f->type == SH_FRAME_ASK && (!frame_get_number(r, any, &f->call) ||
                                    !frame_get_number(r, any, &f->left_ms) || !f->left_ms)) {
        return false;
    }
    return frame_get_who(r, false, &f->target) && frame_get_who(r, true, &f->other) &&
           frame_get_name(r, f) && frame_get_value(r, &f->value);
}

static bool frame_get_reply(sh_reader *r, struct sh_frame *f)
{
    if (!frame_get_number(r, SH_UVARINT_VALUE_MAX, &f->call) || !frame_get_u32(r, &f->flags) ||
        !frame_get_code(r, 0, &f->code)) {
        return false;
    }
    if (f->code != 0 && (!frame_get_u8(r, SH_HANDLED, &f->delivery) || f->delivery < SH_NOT_SENT ||
                         !frame_get_text(r, SH_TEXT_MAX, &f->text) ||
                         !frame_get_text(r, SH_NAME_MAX, &f->type_text))) {
        return false;
    }
    return frame_get_value(r, &f->value);
}

static bool frame_get_credit(sh_reader *r, struct sh_frame *f)
{
    return frame_get_who(r, false, &f->target) && frame_get_number(r, UINT32_MAX, &f->messages) &&
           frame_get_number(r, SH_UVARINT_VALUE_MAX, &f->bytes) &&
           frame_get_number(r, SH_TARGET_WINDOW_MAX, &f->wider) &&
           frame_get_number(r, f->messages, &f->asks);
}

static bool frame_get_lost(sh_reader *r, struct sh_frame *f)
{
    return frame_get_who(r, false, &f->target) && frame_get_name(r, f) &&
           frame_get_number(r, UINT32_MAX, &f->count) && frame_get_code(r, 1, &f->code) &&
           frame_get_text(r, SH_TEXT_MAX, &f->text);
}

static bool frame_get_call(sh_reader *r, struct sh_frame *f)
{
    return frame_get_number(r, SH_UVARINT_VALUE_MAX, &f->call) &&
           (f->type == SH_FRAME_CANCEL || frame_get_who(r, false, &f->target));
}

static bool frame_get_watch(sh_reader *r, struct sh_frame *f)
{
    if (f->type == SH_FRAME_WATCH && !frame_get_number(r, SH_UVARINT_VALUE_MAX, &f->call)) {
        return false;
    }
    return frame_get_who(r, false, &f->target) && frame_get_who(r, false, &f->other) &&
           frame_get_u32(r, &f->flags);
}

static bool frame_get_death(sh_reader *r, struct sh_frame *f)
{
    return frame_get_who(r, false, &f->target) && frame_get_who(r, false, &f->other) &&
           frame_get_u8(r, SH_GONE, &f->kind) && frame_get_text(r, SH_TEXT_MAX, &f->text) &&
           frame_get_who(r, true, &f->cause);
}

static bool frame_get_goodbye(sh_reader *r, struct sh_frame *f)
{
    return frame_get_number(r, SH_UVARINT_VALUE_MAX, &f->left_ms) &&
           frame_get_text(r, SH_TEXT_MAX, &f->text);
}

/* 1: fine, 0: malformed, -1: unknown type. Bytes behind the last field are a later version's: skipped. */
static int frame_get_fields(sh_reader *r, struct sh_frame *f)
{
    switch ((enum sh_frame_type)f->type) {
    case SH_FRAME_HELLO: return frame_get_hello(r, f);
    case SH_FRAME_INTERN: return frame_get_intern(r, f);
    case SH_FRAME_TELL:
    case SH_FRAME_ASK: return frame_get_message(r, f);
    case SH_FRAME_REPLY: return frame_get_reply(r, f);
    case SH_FRAME_CREDIT: return frame_get_credit(r, f);
    case SH_FRAME_LOST: return frame_get_lost(r, f);
    case SH_FRAME_DRAIN:
    case SH_FRAME_CANCEL: return frame_get_call(r, f);
    case SH_FRAME_WATCH:
    case SH_FRAME_UNWATCH: return frame_get_watch(r, f);
    case SH_FRAME_DEATH: return frame_get_death(r, f);
    case SH_FRAME_GOODBYE: return frame_get_goodbye(r, f);
    }
    return -1;
}

/* What a TELL or ASK has, and nothing else: clearing the whole struct would cost more than reading it. Field by field:
 * a span that is copied from one just made stalls the processor, its two halves are not stored yet. */
static void frame_clear_message(struct sh_frame *f)
{
    f->delivery = f->kind = f->table = f->version = 0;
    f->flags = 0;
    f->code = 0;
    f->call = f->left_ms = 0;
    f->target.actor = f->other.actor = 0;
    f->target.peer.p = f->other.peer.p = NULL;
    f->target.peer.n = f->other.peer.n = 0;
    f->name_known = false;
    f->name.p = f->text.p = f->type_text.p = NULL;
    f->name.n = f->text.n = f->type_text.n = 0;
}

int sh_frame_decode(sh_span body, struct sh_frame *out)
{
    sh_reader r = sh_reader_of(body);
    uint8_t type = 0;
    if (sh_read_u8(&r, &type) != 0) {
        return SH_E_PROTO; /* length 0: not even a type */
    }
    if (type == SH_FRAME_TELL || type == SH_FRAME_ASK) {
        frame_clear_message(out);
    } else {
        memset(out, 0, sizeof *out);
    }
    out->type = type;
    int fields = frame_get_fields(&r, out);
    return fields < 0 ? 1 : fields ? 0 : SH_E_PROTO;
}

/* proto/frame.h - the frames of the native actor wire, /shoal/actor/1.0.0.
 *
 * Shape    pure codec: struct sh_frame <-> bytes. What cuts a stream into frames is frame_reader.h.
 * Input    one whole frame.   Output  the same decoded in place: spans point into the bytes given.
 * Limits   names, texts, table entries and the value's depth are checked here; windows, calls and the
 *          meaning of table entries are the session's.
 * Memory   encoding fills a caller's buffer.
 * Threads  confined.   Spec  docs/wire.md */
#ifndef SH_PROTO_FRAME_H
#define SH_PROTO_FRAME_H

#include "base/sh_limits.h"
#include "base/span.h"

enum {
    SH_FRAME_VERSION = 1,
    SH_FRAME_PREFIX_MAX = 4,  /* bytes of a length: up to 2^28 */
    SH_FRAME_HEAD_MAX = 2048, /* everything but the value: two texts, one name, numbers */
};

enum sh_frame_type {
    SH_FRAME_HELLO = 1,
    SH_FRAME_INTERN = 2,
    SH_FRAME_TELL = 3,
    SH_FRAME_ASK = 4,
    SH_FRAME_REPLY = 5,
    SH_FRAME_CREDIT = 6,
    SH_FRAME_LOST = 7,
    SH_FRAME_DRAIN = 8,
    SH_FRAME_CANCEL = 9,
    SH_FRAME_WATCH = 10,
    SH_FRAME_UNWATCH = 11,
    SH_FRAME_DEATH = 12,
    SH_FRAME_GOODBYE = 13
};

enum sh_frame_who_kind {
    SH_WHO_NOBODY = 0, /* as a target: the node */
    SH_WHO_ACTOR = 1,  /* actor, of the side the field says */
    SH_WHO_THIRD = 2,  /* actor of a third peer */
    SH_WHO_ENTRY = 3   /* entry of the table the field says */
};

struct sh_frame_who {
    enum sh_frame_who_kind kind;
    uint32_t entry; /* ENTRY */
    uint64_t actor; /* ACTOR, THIRD */
    sh_span peer;   /* THIRD: multihash */
};

enum { SH_TABLE_NAMES = 0, SH_TABLE_YOURS = 1, SH_TABLE_MINE = 2 };

enum { SH_FRAME_REPLY_RETURNS = (1u << 0) }; /* REPLY flags: gives the ask's window back */
enum { SH_FRAME_WATCH_LINK = (1u << 0), SH_FRAME_WATCH_RENEWED = (1u << 1) };

/* One frame; a type uses the fields that docs/wire.md lists for it. */
struct sh_frame {
    uint8_t type; /* enum sh_frame_type */
    uint8_t delivery;
    uint8_t kind;    /* DEATH: enum sh_reason_kind */
    uint8_t table;   /* INTERN */
    uint8_t version; /* HELLO */
    uint32_t flags;
    int code; /* 0, or SH_E_TIMEOUT .. SH_E_USAGE */
    uint32_t entry;
    uint64_t call;
    uint64_t left_ms;
    uint64_t incarnation, number, answers, message_max; /* HELLO */
    uint64_t messages, bytes, wider, asks;              /* CREDIT */
    uint64_t count;                                     /* LOST */
    struct sh_frame_who target; /* TELL ASK CREDIT LOST DRAIN WATCH UNWATCH; DEATH: the dead */
    struct sh_frame_who other;  /* TELL ASK: sender; WATCH UNWATCH DEATH: watcher */
    struct sh_frame_who cause;  /* DEATH */
    bool name_known;            /* name is entry name_entry of table 0 */
    uint32_t name_entry;
    sh_span name;      /* else this text; INTERN of table 0: the text */
    sh_span text;      /* REPLY LOST DEATH GOODBYE */
    sh_span type_text; /* REPLY: class of the failure at the far side */
    sh_span value;     /* TELL ASK REPLY: MessagePack, empty = nil */
};

/* Writes all but f->value; the length counts the value. Returns the bytes written, SH_E_LIMIT (cap), or
 * SH_E_BAD_VALUE for a field outside its range. A cap of SH_FRAME_HEAD_MAX is always enough. */
int sh_frame_put_head(const struct sh_frame *f, void *buf, size_t cap);

/* The same with the value: for tests and small frames. */
int sh_frame_put(const struct sh_frame *f, void *buf, size_t cap);

/* Reads one frame, type byte first. 0; 1: a type we do not know, to be skipped; SH_E_PROTO: malformed.
 * Spans of out point into body. Of a TELL or ASK only the fields that docs/wire.md lists for it are set. */
int sh_frame_decode(sh_span body, struct sh_frame *out);

#endif

/* proto/yamux.c - streams and sending. Parsing is in yamux_recv.c. */
#include "proto/yamux_internal.h"

#include "base/sh_assert.h"

enum {
    YAMUX_PIECE_MIN =
        256,             /* no new Data frame for less room than this, unless less is to be sent */
    YAMUX_GROW_RTTS = 4, /* a window that was half used within so many round trips is too small */
};

void sh_yamux_init(sh_yamux *y, const struct sh_yamux_config *cfg)
{
    memset(y, 0, sizeof *y);
    y->mem = cfg->mem;
    y->quota = cfg->quota;
    y->out = cfg->out;
    y->client = cfg->client;
    y->next_id = cfg->client ? 1 : 2;
    y->streams_in_max = cfg->streams_in_max;
    sh_list_init(&y->waiting);
    sh_map_u64_init(&y->streams, cfg->mem, cfg->seed,
                    (size_t)cfg->streams_in_max + SH_YAMUX_STREAMS_MAX);
}

void sh_yamux_fini(sh_yamux *y)
{
    size_t cursor = 0;
    uint64_t value;
    while (sh_map_u64_next(&y->streams, &cursor, NULL, &value)) {
        sh_mem_free(y->mem, sh_map_ptr(value), sizeof(sh_yamux_stream));
        sh_quota_give(y->quota, sizeof(sh_yamux_stream));
    }
    sh_map_u64_fini(&y->streams);
}

void sh_yamux_fail(sh_yamux *y, int err, const char *why)
{
    if (y->err == 0) {
        y->err = err;
        y->why = why;
    }
}

bool sh_yamux_over(const sh_yamux *y)
{
    return y->err < 0 || y->away;
}

void sh_yamux_sent(sh_yamux *y)
{
    y->replies = 0;
}

/* --- frames out --- */

static void yamux_header(uint8_t *at, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    at[0] = 0;
    at[1] = (uint8_t)type;
    sh_store_u16be(at + 2, (uint16_t)flags);
    sh_store_u32be(at + 4, id);
    sh_store_u32be(at + 8, length);
}

void sh_yamux_control(sh_yamux *y, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    if (y->err < 0) {
        return;
    }
    size_t room;
    uint8_t *at = sh_outq_reserve(y->out, SH_YAMUX_HEADER_BYTES, true, &room);
    if (!at) {
        bool starved = y->out->err == 0 && y->out->starved;
        sh_yamux_fail(y, starved ? SH_E_NOMEM : SH_E_LIMIT,
                      starved ? "out of memory for a control frame" : "the peer does not read");
        return;
    }
    yamux_header(at, type, flags, id, length);
    sh_outq_commit(y->out, SH_YAMUX_HEADER_BYTES);
    y->frame_id = 0;
}

void sh_yamux_reply(sh_yamux *y, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    if (y->replies == SH_YAMUX_CONTROL_MAX) {
        sh_yamux_fail(y, SH_E_LIMIT, "the peer asks for answers and does not read them");
        return;
    }
    y->replies++;
    sh_yamux_control(y, type, flags, id, length);
}

static bool yamux_frame_is_open(const sh_yamux *y, uint32_t id)
{
    return y->frame_id == id && y->out->open && y->frame_serial == y->out->serial;
}

/* SYN or ACK for a stream's first frame; empty afterwards. */
static unsigned yamux_first_flags(sh_yamux_stream *st)
{
    unsigned flags = st->first_flags;
    st->first_flags = 0;
    return flags;
}

/* Appends at most n bytes as one Data frame, or to the open one; returns how many fitted. */
static size_t yamux_append(sh_yamux *y, sh_yamux_stream *st, sh_span data)
{
    size_t n = data.n;
    size_t room;
    if (yamux_frame_is_open(y, st->id) && y->frame_n < SH_YAMUX_FRAME_SEND_MAX &&
        sh_outq_open_room(y->out) > 0) {
        uint8_t *at = sh_outq_reserve(y->out, 1, false, &room);
        if (!at) {
            return 0;
        }
        room = room < SH_YAMUX_FRAME_SEND_MAX - y->frame_n ? room
                                                           : SH_YAMUX_FRAME_SEND_MAX - y->frame_n;
        n = n < room ? n : room;
        memcpy(at, data.p, n);
        y->frame_n += (uint32_t)n;
        sh_store_u32be(y->frame + 8, y->frame_n);
        sh_outq_commit(y->out, n);
        return n;
    }
    size_t min = SH_YAMUX_HEADER_BYTES + (n < YAMUX_PIECE_MIN ? n : YAMUX_PIECE_MIN);
    uint8_t *at = sh_outq_reserve(y->out, min, false, &room);
    if (!at) {
        return 0;
    }
    room -= SH_YAMUX_HEADER_BYTES;
    room = room < SH_YAMUX_FRAME_SEND_MAX ? room : SH_YAMUX_FRAME_SEND_MAX;
    n = n < room ? n : room;
    yamux_header(at, YAMUX_DATA, yamux_first_flags(st), st->id, (uint32_t)n);
    memcpy(at + SH_YAMUX_HEADER_BYTES, data.p, n);
    sh_outq_commit(y->out, SH_YAMUX_HEADER_BYTES + n);
    y->frame = at;
    y->frame_id = st->id;
    y->frame_n = (uint32_t)n;
    y->frame_serial = y->out->serial;
    return n;
}

/* --- the table --- */

sh_yamux_stream *sh_yamux_find(const sh_yamux *y, uint64_t stream)
{
    uint64_t value;
    return sh_map_u64_get(&y->streams, stream, &value) ? sh_map_ptr(value) : NULL;
}

int sh_yamux_add(sh_yamux *y, uint32_t id, bool inbound, sh_yamux_stream **out)
{
    int rc = sh_quota_take(y->quota, sizeof(sh_yamux_stream));
    if (rc < 0) {
        return rc;
    }
    sh_yamux_stream *st = sh_mem_zalloc(y->mem, sizeof *st);
    rc = st ? sh_map_u64_put(&y->streams, id, sh_map_of_ptr(st)) : SH_E_NOMEM;
    if (rc < 0) {
        sh_mem_free(y->mem, st, sizeof *st);
        sh_quota_give(y->quota, sizeof(sh_yamux_stream));
        return rc;
    }
    sh_list_init(&st->waiting);
    st->id = id;
    st->inbound = inbound;
    st->first_flags = inbound ? YAMUX_ACK : YAMUX_SYN;
    st->unacked = !inbound;
    st->tx_window = SH_YAMUX_WINDOW_START;
    st->rx_window = SH_YAMUX_WINDOW_START;
    st->rx_limit = SH_YAMUX_WINDOW_START;
    y->streams_in += inbound ? 1 : 0;
    y->unacked += inbound ? 0 : 1;
    *out = st;
    return 0;
}

void sh_yamux_acked(sh_yamux *y, sh_yamux_stream *st)
{
    if (st->unacked) {
        st->unacked = false;
        y->unacked--;
    }
}

void sh_yamux_forget(sh_yamux *y, sh_yamux_stream *st)
{
    sh_yamux_acked(y, st);
    sh_list_remove(&st->waiting);
    y->streams_in -= st->inbound ? 1 : 0;
    y->grown_bytes -= st->rx_limit - SH_YAMUX_WINDOW_START;
    if (y->frame_id == st->id) {
        y->frame_id = 0;
    }
    sh_map_u64_del(&y->streams, st->id, NULL);
    sh_mem_free(y->mem, st, sizeof *st);
    sh_quota_give(y->quota, sizeof(sh_yamux_stream));
}

/* --- operations --- */

int sh_yamux_open(sh_yamux *y, uint64_t *stream)
{
    if (sh_yamux_over(y)) {
        return SH_E_CLOSED;
    }
    if (y->unacked >= SH_YAMUX_UNACKED_MAX || y->streams.count >= SH_YAMUX_STREAMS_MAX ||
        y->next_id > UINT32_MAX - 2) {
        return SH_E_LIMIT;
    }
    sh_yamux_stream *st;
    int rc = sh_yamux_add(y, y->next_id, false, &st);
    if (rc < 0) {
        return rc;
    }
    *stream = y->next_id;
    y->next_id += 2;
    return 0;
}

static void yamux_wait(sh_yamux *y, sh_yamux_stream *st)
{
    sh_list_remove(&st->waiting);
    sh_list_push_back(&y->waiting, &st->waiting);
}

int64_t sh_yamux_write(sh_yamux *y, uint64_t stream, sh_span data)
{
    sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (!st || st->fin_out || sh_yamux_over(y)) {
        return SH_E_CLOSED;
    }
    if (!sh_list_empty(&st->waiting) || data.n == 0) {
        return 0; /* its turn comes with WRITABLE */
    }
    /* Where others wait for room, nobody takes more than one frame at a time. */
    size_t fair = sh_list_empty(&y->waiting) ? SIZE_MAX : SH_YAMUX_FRAME_SEND_MAX;
    size_t done = 0;
    while (done < data.n) {
        size_t n = data.n - done;
        n = n < fair - done ? n : fair - done;
        n = n < st->tx_window ? n : st->tx_window;
        n = n > 0 ? yamux_append(y, st, sh_span_take(sh_span_skip(data, done), n)) : 0;
        if (n == 0) {
            break;
        }
        st->tx_window -= (uint32_t)n;
        done += n;
    }
    if (done == data.n) {
        return (int64_t)done;
    }
    if (st->tx_window == 0) {
        st->starving = true;
    } else if (y->out->starved && !y->out->first) {
        return done > 0 ? (int64_t)done
                        : SH_E_NOMEM; /* nothing is queued, so no sent() would wake us */
    } else {
        yamux_wait(y, st);
    }
    return (int64_t)done;
}

size_t sh_yamux_writable(const sh_yamux *y, uint64_t stream)
{
    const sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (!st || st->fin_out || sh_yamux_over(y) || !sh_list_empty(&st->waiting)) {
        return 0;
    }
    size_t room = sh_outq_data_room(y->out);
    size_t frames = room / SH_YAMUX_FRAME_SEND_MAX + 2 * (SH_CONN_OUT_BLOCKS_MAX + 1);
    size_t lost = frames * SH_YAMUX_HEADER_BYTES + (SH_CONN_OUT_BLOCKS_MAX + 1) * YAMUX_PIECE_MIN;
    room = room > lost ? room - lost : 0;
    if (!sh_list_empty(&y->waiting) && room > SH_YAMUX_FRAME_SEND_MAX) {
        room = SH_YAMUX_FRAME_SEND_MAX;
    }
    return room < st->tx_window ? room : st->tx_window;
}

int sh_yamux_shut(sh_yamux *y, uint64_t stream)
{
    sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (!st || st->fin_out || sh_yamux_over(y)) {
        return SH_E_CLOSED;
    }
    /* Never on a frame with a body: go takes the FIN before it has stored the body, and a reader in between sees the
     * end of the stream without those bytes. */
    sh_yamux_control(y, YAMUX_DATA, yamux_first_flags(st) | YAMUX_FIN, st->id, 0);
    st->fin_out = true;
    sh_list_remove(&st->waiting);
    if (st->fin_in) {
        sh_yamux_forget(y, st);
    }
    return y->err;
}

void sh_yamux_reset(sh_yamux *y, uint64_t stream, uint32_t code)
{
    sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (!st) {
        return;
    }
    if (st->first_flags != YAMUX_SYN) { /* else the peer never heard of it */
        sh_yamux_control(y, YAMUX_UPDATE, yamux_first_flags(st) | YAMUX_RST, st->id, code);
    }
    sh_yamux_forget(y, st);
}

/* Twice the window if half of it went by within a few round trips, as far as the connection
 * allows. */
static void yamux_grow(sh_yamux *y, sh_yamux_stream *st)
{
    uint64_t since = y->now_us - st->granted_us;
    uint32_t more = st->rx_limit;
    st->granted_us = y->now_us;
    if (y->rtt_us == 0 || since > YAMUX_GROW_RTTS * y->rtt_us ||
        more > SH_YAMUX_WINDOW_MAX - st->rx_limit || more > SH_YAMUX_GROWN_MAX - y->grown_bytes) {
        return;
    }
    st->rx_limit += more;
    st->rx_consumed += more;
    y->grown_bytes += more;
}

void sh_yamux_credit(sh_yamux *y, uint64_t stream, size_t n)
{
    sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (!st) {
        return;
    }
    SH_ASSERT(n <= st->rx_held);
    st->rx_held -= (uint32_t)n;
    st->rx_consumed += (uint32_t)n;
    if (st->rx_consumed < st->rx_limit / 2 || st->fin_in || sh_yamux_over(y)) {
        return;
    }
    yamux_grow(y, st);
    st->rx_window += st->rx_consumed;
    sh_yamux_control(y, YAMUX_UPDATE, yamux_first_flags(st), st->id, st->rx_consumed);
    st->rx_consumed = 0;
}

void sh_yamux_set_user(sh_yamux *y, uint64_t stream, void *user)
{
    sh_yamux_stream *st = sh_yamux_find(y, stream);
    if (st) {
        st->user = user;
    }
}

int sh_yamux_ping(sh_yamux *y, uint64_t now_us)
{
    if (sh_yamux_over(y)) {
        return SH_E_CLOSED;
    }
    if (y->pinging) {
        return SH_E_LIMIT;
    }
    y->pinging = true;
    y->ping_us = now_us;
    y->ping_value++;
    sh_yamux_control(y, YAMUX_PING, YAMUX_SYN, 0, y->ping_value);
    return y->err;
}

void sh_yamux_away(sh_yamux *y, uint32_t code)
{
    size_t room;
    uint8_t *at = sh_outq_reserve(y->out, SH_YAMUX_HEADER_BYTES, true, &room);
    if (at) { /* best effort: it also goes out after a fault */
        yamux_header(at, YAMUX_AWAY, 0, 0, code);
        sh_outq_commit(y->out, SH_YAMUX_HEADER_BYTES);
        y->frame_id = 0;
    }
}

bool sh_yamux_event(sh_yamux *y, struct sh_conn_ev *ev)
{
    sh_list *link = sh_list_front(&y->waiting);
    if (!link || sh_yamux_over(y) ||
        sh_outq_data_room(y->out) < SH_YAMUX_HEADER_BYTES + 2 * YAMUX_PIECE_MIN) {
        return false;
    }
    sh_yamux_stream *st = SH_CONTAINER(link, sh_yamux_stream, waiting);
    sh_list_remove(link);
    *ev = (struct sh_conn_ev){.kind = SH_CONN_WRITABLE, .stream = st->id, .user = st->user};
    return true;
}

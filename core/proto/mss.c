/* proto/mss.c - multistream-select. A message is compared while it is read, byte by byte, against
 * all it could be; so nothing is ever stored, however the input is split. */
#include "proto/mss.h"

#include <string.h>

#include "base/sh_assert.h"
#include "base/sh_limits.h"

static const char MSS_HEADER[] = "\x13/multistream/1.0.0\n";
static const char MSS_NA[] = "\x03na\n";

/* The two messages that are not in the list take the last two bits of the set. */
#define MATCH_HEADER (UINT64_C(1) << 62)
#define MATCH_NA     (UINT64_C(1) << 63)

/* Pieces that wait to be sent, lowest bit first. */
enum {
    OUT_HEADER = 1u << 0,
    OUT_PREFIX = 1u << 1,
    OUT_TEXT = 1u << 2,
    OUT_END = 1u << 3,
    OUT_NA = 1u << 4
};

static void mss_say_protocol(sh_mss *m, unsigned index)
{
    size_t n = strlen(m->protocols[index]) + 1;
    m->prefix_n = n < 128 ? 1 : 2;
    m->prefix[0] = n < 128 ? (uint8_t)n : (uint8_t)((n & 0x7f) | 0x80);
    m->prefix[1] = (uint8_t)(n >> 7);
    m->outbox |= OUT_PREFIX | OUT_TEXT | OUT_END;
}

static void mss_init(sh_mss *m, const char *const *protocols, unsigned count, bool dialer)
{
    SH_ASSERT(count >= 1 && count <= SH_MSS_PROTOCOLS_MAX);
    for (unsigned i = 0; i < count; i++) {
        SH_ASSERT(strlen(protocols[i]) < SH_MSS_LINE_MAX);
    }
    memset(m, 0, sizeof *m);
    m->protocols = protocols;
    m->count = (uint8_t)count;
    m->dialer = dialer;
}

void sh_mss_dialer(sh_mss *m, const char *const *protocols, unsigned count)
{
    mss_init(m, protocols, count, true);
    m->outbox = OUT_HEADER;
    mss_say_protocol(m, 0);
}

void sh_mss_listener(sh_mss *m, const char *const *protocols, unsigned count)
{
    mss_init(m, protocols, count, false);
}

/* What the peer sends makes no sense. Behind a refusal it is the payload of an optimistic dialler.
 * */
static void mss_garbage(sh_mss *m)
{
    m->state = m->refused > 0 ? SH_MSS_REFUSED : SH_MSS_FAULT;
}

/* Reads the one or two bytes of a length; false: more are needed, or it is wrong. */
static bool mss_length(sh_mss *m, uint8_t byte)
{
    if (!m->length_more) {
        m->need = byte & 0x7f;
        m->length_more = (byte & 0x80) != 0;
        if (!m->length_more && m->need == 0) {
            mss_garbage(m); /* not even the newline */
        }
        return m->need > 0 && !m->length_more;
    }
    m->length_more = false;
    unsigned need = m->need | (unsigned)byte << 7;
    m->need = 0;
    if (byte == 0 || byte >= 0x80 || need > SH_MSS_LINE_MAX) { /* not minimal, or too long */
        mss_garbage(m);
        return false;
    }
    m->need = (uint16_t)need;
    return true;
}

/* Protocols of exactly the announced length: the others cannot match. */
static void mss_candidates(sh_mss *m)
{
    m->pos = 0;
    m->match = 0;
    if (!m->header_seen) {
        m->match = m->need == sizeof MSS_HEADER - 2 ? MATCH_HEADER : 0;
        return;
    }
    for (unsigned i = 0; i < m->count; i++) {
        if (strlen(m->protocols[i]) + 1 == m->need) {
            m->match |= UINT64_C(1) << i;
        }
    }
    if (m->need == sizeof MSS_NA - 2) {
        m->match |= MATCH_NA;
    }
}

static void mss_byte(sh_mss *m, char byte)
{
    uint64_t left = m->match;
    for (unsigned i = 0; left != 0; i++, left >>= 1) {
        if ((left & 1) == 0) {
            continue;
        }
        const char *text = i == 62 ? MSS_HEADER + 1 : i == 63 ? MSS_NA + 1 : m->protocols[i];
        char want = m->pos + 1 == m->need ? '\n' : text[m->pos];
        if (want != byte) {
            m->match &= ~(UINT64_C(1) << i);
        }
    }
    m->pos++;
}

static void mss_answer_read(sh_mss *m)
{
    if ((m->match & UINT64_C(1) << m->chosen) != 0) {
        m->state = SH_MSS_ACCEPTED;
    } else if ((m->match & MATCH_NA) == 0) {
        m->state = SH_MSS_FAULT;
    } else if (m->chosen + 1 == m->count) {
        m->state = SH_MSS_REFUSED;
    } else {
        m->chosen++;
        mss_say_protocol(m, m->chosen);
    }
}

static void mss_proposal_read(sh_mss *m)
{
    uint64_t match = m->match & ~MATCH_NA;
    for (unsigned i = 0; i < m->count; i++) {
        if ((match & UINT64_C(1) << i) != 0) {
            m->chosen = (uint8_t)i;
            m->state = SH_MSS_ACCEPTED;
            mss_say_protocol(m, i);
            return;
        }
    }
    m->refused++;
    m->outbox |= OUT_NA;
    if (m->refused == SH_MSS_TRIES_MAX) {
        m->state = SH_MSS_REFUSED;
    }
}

static void mss_message_read(sh_mss *m, char last)
{
    m->need = 0;
    if (last != '\n') {
        mss_garbage(m);
    } else if (!m->header_seen) {
        if ((m->match & MATCH_HEADER) == 0) {
            m->state = SH_MSS_FAULT;
            return;
        }
        m->header_seen = true;
        m->outbox |= m->dialer ? 0 : OUT_HEADER;
    } else if (m->dialer) {
        mss_answer_read(m);
    } else {
        mss_proposal_read(m);
    }
}

/* The proposal or reply that waits would be overwritten by the next one. Our header would not. */
static bool mss_must_drain(const sh_mss *m)
{
    return (m->outbox & ~(unsigned)OUT_HEADER) != 0;
}

size_t sh_mss_recv(sh_mss *m, sh_span in)
{
    size_t i = 0;
    while (i < in.n && m->state == SH_MSS_RUNNING && !mss_must_drain(m)) {
        uint8_t byte = in.p[i++];
        if (m->need == 0 || m->length_more) {
            if (mss_length(m, byte)) {
                mss_candidates(m);
            }
            continue;
        }
        mss_byte(m, (char)byte);
        if (m->pos == m->need) {
            mss_message_read(m, (char)byte);
        }
    }
    return i;
}

void sh_mss_eof(sh_mss *m)
{
    if (m->state == SH_MSS_RUNNING) {
        m->state = m->dialer || m->refused > 0 ? SH_MSS_REFUSED : SH_MSS_FAULT;
    }
}

enum sh_mss_state sh_mss_state(const sh_mss *m)
{
    return (enum sh_mss_state)m->state;
}

unsigned sh_mss_chosen(const sh_mss *m)
{
    SH_ASSERT(m->state == SH_MSS_ACCEPTED);
    return m->chosen;
}

static sh_span mss_piece(const sh_mss *m, unsigned *bit)
{
    *bit = m->outbox & (~(unsigned)m->outbox + 1u);
    switch (*bit) {
    case OUT_HEADER: return (sh_span){(const uint8_t *)MSS_HEADER, sizeof MSS_HEADER - 1};
    case OUT_PREFIX: return (sh_span){m->prefix, m->prefix_n};
    case OUT_TEXT: {
        const char *text = m->protocols[m->chosen];
        return (sh_span){(const uint8_t *)text, strlen(text)};
    }
    case OUT_END: return (sh_span){(const uint8_t *)"\n", 1};
    case OUT_NA: return (sh_span){(const uint8_t *)MSS_NA, sizeof MSS_NA - 1};
    }
    return (sh_span){NULL, 0};
}

sh_span sh_mss_out(const sh_mss *m)
{
    unsigned bit;
    sh_span piece = mss_piece(m, &bit);
    if (piece.n == 0) {
        return piece;
    }
    return (sh_span){piece.p + m->piece_off, piece.n - m->piece_off};
}

void sh_mss_sent(sh_mss *m, size_t n)
{
    while (n > 0) {
        unsigned bit;
        size_t left = mss_piece(m, &bit).n - m->piece_off;
        SH_ASSERT(bit != 0);
        size_t take = n < left ? n : left;
        m->piece_off = (uint16_t)(m->piece_off + take);
        n -= take;
        if (take == left) {
            m->outbox = (uint8_t)(m->outbox & ~bit);
            m->piece_off = 0;
        }
    }
}

/* proto/mss.h - multistream-select 1.0: agree on the protocol of one pipe or one stream.
 *
 * Shape    a pure machine of 40 bytes by value; no memory of its own, nothing to free.
 * Input    bytes of the pipe, any split. It eats negotiation bytes only: what stands behind the
 *          accepted proposal is left to the next layer.
 * Output   out()/sent(): short pieces of text, a message in up to four of them. While some are
 *          waiting, recv eats nothing, so a peer cannot make answers pile up.
 * Threads  confined.   Memory  none; the list of protocols is borrowed and must outlive the
 *          machine.
 * Spec     github.com/multiformats/multistream-select. `ls` is answered `na`, as go-multistream
 *          does.
 *
 * A dialler may send its own payload as soon as out() is empty, before any answer (optimistic). If
 * the answer is then `na`, the peer has taken that payload for proposals: such a stream can only
 * be reset. */
#ifndef SH_PROTO_MSS_H
#define SH_PROTO_MSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { SH_MSS_PROTOCOLS_MAX = 62 }; /* one bit each in the set of candidates that still match */

enum sh_mss_state {
    SH_MSS_RUNNING,  /* not agreed yet */
    SH_MSS_ACCEPTED, /* agreed on sh_mss_chosen (a listener's answer may still wait in out) */
    SH_MSS_REFUSED,  /* nobody's fault: every proposal was refused, or garbage followed our `na` */
    SH_MSS_FAULT,    /* the peer does not speak multistream-select */
};

typedef struct sh_mss {
    const char *const *protocols;
    uint64_t match; /* protocols the message being read may still turn out to be */
    uint16_t need;  /* length of the message being read, 0: its length is still being read */
    uint16_t pos;   /* bytes of it seen */
    uint16_t piece_off;
    uint8_t count;
    uint8_t chosen;  /* proposal in flight (dialler), accepted (both) */
    uint8_t refused; /* proposals we answered with `na` */
    uint8_t state;
    uint8_t outbox; /* what still has to be sent, see mss.c */
    uint8_t prefix_n;
    uint8_t prefix[2];
    bool dialer;
    bool header_seen;
    bool length_more; /* first byte of a two-byte length was read */
} sh_mss;

/* protocols: count names like "/yamux/1.0.0", 1..SH_MSS_PROTOCOLS_MAX, each at most 1,023 bytes. A
 * dialler proposes them in this order: header and first proposal wait in out() at once. */
void sh_mss_dialer(sh_mss *m, const char *const *protocols, unsigned count);
void sh_mss_listener(sh_mss *m, const char *const *protocols, unsigned count);

/* Returns how many bytes were eaten, 0..in.n. Call again after out() was drained, until it eats
 * nothing. */
size_t sh_mss_recv(sh_mss *m, sh_span in);
/* The pipe ended: a running negotiation is refused (a dialler's, and a listener's after `na`) or
 * at fault. */
void sh_mss_eof(sh_mss *m);
enum sh_mss_state sh_mss_state(const sh_mss *m);
unsigned sh_mss_chosen(const sh_mss *m); /* index into protocols; only when ACCEPTED */

sh_span sh_mss_out(const sh_mss *m); /* next piece to write; n = 0: none */
void sh_mss_sent(sh_mss *m, size_t n);

#endif

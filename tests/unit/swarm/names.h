/* tests/unit/swarm/names.h - what a node publishes of a name: the registration, and the key it lies under; invented nodes. */
#ifndef SH_TESTS_NAMES_H
#define SH_TESTS_NAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/peer_id.h"

/* A node that is nowhere. */
static inline sh_peer_id invented(unsigned i)
{
    sh_peer_id id;
    uint8_t b[34] = {0x12, 0x20, (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
    assert_int_equal(sh_peer_id_from_bytes(&id, sh_span_of(b, sizeof b)), 0);
    return id;
}

/* Of an actor of type a::T; each byte of its number is the same. */
static inline sh_span registration(const sh_peer_id *id, uint8_t number, uint8_t *buf)
{
    buf[0] = id->n;
    memset(buf + 1, number, 8);
    memcpy(buf + 9, id->b, id->n);
    memcpy(buf + 9 + id->n, "a::T", 4);
    return sh_span_of(buf, 13u + id->n);
}

static inline sh_span value_key(const sh_peer_id *id, const char *name, char *buf)
{
    char text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id_text(id, text);
    sprintf(buf, "%s:meta:%s", name, text);
    return sh_span_str(buf);
}

#endif

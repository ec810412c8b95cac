/* base/varint.h - the unsigned varint of multiformats.
 *
 * Shape    pure functions. LEB128 of at most 9 bytes (63 bits), minimal form only.
 * Spec     github.com/multiformats/unsigned-varint. Protobuf varints inside messages are looser: 10
 *          bytes, any form; those are protobuf-c's business. */
#ifndef SH_BASE_VARINT_H
#define SH_BASE_VARINT_H

#include "base/span.h"

enum { SH_UVARINT_MAX = 9 };
#define SH_UVARINT_VALUE_MAX ((UINT64_C(1) << 63) - 1)

/* Bytes needed, 1..9; SH_E_BAD_VALUE for 2^63 and more. */
int sh_uvarint_size(uint64_t v);

/* Writes at most 9 bytes to out; returns how many, or SH_E_BAD_VALUE. */
int sh_uvarint_put(uint8_t *out, uint64_t v);

/* Reads from the start of s; returns the bytes used, SH_E_MORE (s ends inside), or SH_E_PROTO
 * (more than 9 bytes, or not minimal). */
int sh_uvarint_get(sh_span s, uint64_t *v);

#endif

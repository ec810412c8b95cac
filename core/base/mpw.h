/* base/mpw.h - writes MessagePack into a growing buffer: rows for info, never values of users.
 *
 * Shape    errors stick: write all, ask once at the end. Shortest forms, so the bytes are determined.
 * Memory   from mem, at most limit_bytes; sh_mpw_fini frees.   Threads  confined. */
#ifndef SH_BASE_MPW_H
#define SH_BASE_MPW_H

#include "base/mem.h"
#include "base/span.h"

typedef struct sh_mpw {
    const sh_mem *mem;
    uint8_t *at;
    size_t n;
    size_t cap;
    size_t limit_bytes;
    int err; /* 0, SH_E_LIMIT, SH_E_NOMEM */
} sh_mpw;

void sh_mpw_init(sh_mpw *w, const sh_mem *mem, size_t limit_bytes);
void sh_mpw_fini(sh_mpw *w);

void sh_mpw_nil(sh_mpw *w);
void sh_mpw_bool(sh_mpw *w, bool v);
void sh_mpw_u64(sh_mpw *w, uint64_t v);
void sh_mpw_text(sh_mpw *w, sh_span utf8);
void sh_mpw_str(sh_mpw *w, const char *text);
void sh_mpw_map(sh_mpw *w, uint32_t entries);
void sh_mpw_list(sh_mpw *w, uint32_t items);
void sh_mpw_ext(sh_mpw *w, int8_t type, sh_span data); /* data up to 255 bytes */

/* A list whose length is known at its end: begin returns where to patch. */
size_t sh_mpw_list_begin(sh_mpw *w);
void sh_mpw_list_end(sh_mpw *w, size_t mark, uint32_t items);

#endif

/* tests/fuzz/fuzz_peer_id.c - bytes as a peer id, in its binary form and as text: every form leads back to the same id. */
#include <stdlib.h>
#include <string.h>

#include "crypto/peer_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void forms_agree(const sh_peer_id *id)
{
    char text[SH_PEER_ID_TEXT_MAX];
    sh_peer_id again;
    int n = sh_peer_id_text(id, text);
    must(n > 0 && n < SH_PEER_ID_TEXT_MAX && strlen(text) == (size_t)n);
    must(id->n >= 34 && id->n <= SH_PEER_ID_MAX);
    must(sh_peer_id_parse(&again, sh_span_str(text)) == 0 && memcmp(&again, id, sizeof again) == 0);
    must(sh_peer_id_from_bytes(&again, sh_peer_id_span(id)) == 0 &&
         memcmp(&again, id, sizeof again) == 0);
    sh_span key = sh_peer_id_key(id);
    must(key.n == 0 || (key.p >= id->b && key.p + key.n <= id->b + id->n));
    if (key.n > 0 && sh_peer_id_from_key(&again, key) == 0) {
        must(sh_peer_id_eq(&again, id));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sh_peer_id id;
    memset(&id, 0xff, sizeof id);
    sh_span all = sh_span_of(data, size);
    if (sh_peer_id_from_bytes(&id, all) == 0) {
        must(sh_span_eq(sh_peer_id_span(&id), all));
        forms_agree(&id);
    }
    memset(&id, 0xff, sizeof id);
    if (sh_peer_id_parse(&id, all) == 0) {
        forms_agree(&id);
    }
    return 0;
}

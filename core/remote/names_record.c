/* remote/names_record.c - keys and values of names in the DHT, and which names can have them. */
#include "remote/names_record.h"

#include "base/text.h"
#include "remote/remote.h"

const char *sh_remote_name_fault(sh_span name)
{
    static const char meta[] = ":meta:";
    if (!sh_name_valid(name)) {
        return "is not 1..255 bytes of UTF-8 without NUL";
    }
    if (sh_span_starts(name, sh_span_str("shoal."))) {
        return "begins with \"shoal.\", which is kept for the library itself";
    }
    for (size_t i = 0; i + sizeof meta - 1 <= name.n; i++) {
        if (memcmp(name.p + i, meta, sizeof meta - 1) == 0) {
            return "contains \":meta:\", which the registry keeps for itself";
        }
    }
    return NULL;
}

sh_span sh_name_record_key(sh_span name, const sh_peer_id *id, uint8_t buf[SH_NAME_RECORD_KEY_MAX])
{
    char text[SH_PEER_ID_TEXT_MAX];
    int n = sh_peer_id_text(id, text);
    sh_writer w = sh_writer_of(buf, SH_NAME_RECORD_KEY_MAX);
    sh_put_bytes(&w, name);
    sh_put_bytes(&w, sh_span_str(":meta:"));
    sh_put_bytes(&w, sh_span_of(text, (size_t)n));
    return sh_put_span(&w);
}

sh_span sh_name_record_put(const sh_peer_id *self, uint64_t actor, sh_span type_id,
                           uint8_t buf[SH_NAME_RECORD_MAX])
{
    sh_writer w = sh_writer_of(buf, SH_NAME_RECORD_MAX);
    sh_put_u8(&w, self->n);
    sh_put_u64le(&w, actor);
    sh_put_bytes(&w, sh_peer_id_span(self));
    sh_put_bytes(&w, sh_span_take(type_id, SH_NAME_MAX));
    return sh_put_span(&w);
}

uint64_t sh_name_record_actor(sh_span value, const sh_peer_id *holder)
{
    if (value.n < 9 || value.n - 9 < value.p[0]) {
        return 0;
    }
    sh_span id = sh_span_of(value.p + 9, value.p[0]);
    return sh_span_eq(id, sh_peer_id_span(holder)) ? sh_load_u64le(value.p + 1) : 0;
}

/* remote/names_record.h - the record of a name: its key, and the value that says which actor of a holder has it.
 *
 * Shape    pure codec. Key: `<name>:meta:<peer id of the holder>`; value: length of the peer id, actor u64 LE, peer
 *          id, type id. The name itself is the key of the provider entry.
 * Spec     /kameo/registry/1.0.0 */
#ifndef SH_REMOTE_NAMES_RECORD_H
#define SH_REMOTE_NAMES_RECORD_H

#include "base/sh_limits.h"
#include "crypto/peer_id.h"

enum {
    SH_NAME_RECORD_KEY_MAX = SH_NAME_MAX + 6 + SH_PEER_ID_TEXT_MAX,
    SH_NAME_RECORD_MAX = 9 + SH_PEER_ID_MAX + SH_NAME_MAX
};

/* What is written lies in buf. */
sh_span sh_name_record_key(sh_span name, const sh_peer_id *id, uint8_t buf[SH_NAME_RECORD_KEY_MAX]);
sh_span sh_name_record_put(const sh_peer_id *self, uint64_t actor, sh_span type_id,
                           uint8_t buf[SH_NAME_RECORD_MAX]);
/* The actor in a holder's record; 0: malformed, or not that holder's. */
uint64_t sh_name_record_actor(sh_span value, const sh_peer_id *holder);

#endif

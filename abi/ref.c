/* abi/ref.c - pids as text and as refs inside values.
 *
 * The portable form is extension type 1: the actor's number, 8 bytes little-endian, then its peer id. */
#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "base/mp.h"
#include "base/text.h"

struct ref_job {
    sh_pid pid;
    sh_span ref;
    uint8_t room[SH_MP_REF_MAX];
    size_t len;
    int code;
};

static void ref_pack_inside(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct ref_job *job = ud;
    job->code = sh_node_ref_pack(n, job->pid, job->room, &job->len);
}

static void ref_unpack_inside(void *ud, sh_node *n, uint64_t now_us)
{
    (void)now_us;
    struct ref_job *job = ud;
    job->code = sh_node_ref_unpack(n, job->ref, &job->pid);
}

static int ref_pack(shoal_node *node, shoal_pid pid, struct ref_job *job)
{
    memset(job, 0, sizeof *job);
    job->pid = abi_pid_in(pid);
    if (!pid.actor) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "the pid names nobody");
    }
    int code = abi_check_node(node, "ref");
    if (code < 0) {
        return code;
    }
    code = abi_inside(node, ref_pack_inside, job);
    return (int)abi_code(node, code < 0 ? code : job->code);
}

static int ref_unpack(shoal_node *node, sh_span ref, shoal_pid *out)
{
    struct ref_job job;
    memset(&job, 0, sizeof job);
    job.ref = ref;
    int code = abi_check_node(node, "ref");
    if (code < 0) {
        return code;
    }
    code = abi_inside(node, ref_unpack_inside, &job);
    code = code < 0 ? code : job.code;
    if (code == 0) {
        *out = abi_pid_out(job.pid);
    }
    return (int)abi_code(node, code);
}

int shoal_pid_text(shoal_node *node, shoal_pid pid, char *buf, size_t cap)
{
    struct ref_job job;
    sh_peer_id peer;
    char text[SH_PEER_ID_TEXT_MAX];
    if (!node || (!buf && cap)) {
        return abi_fail(node, SHOAL_E_USAGE, "shoal_pid_text: node and buf must not be NULL");
    }
    int code = ref_pack(node, pid, &job);
    if (code < 0) {
        return code;
    }
    code = sh_peer_id_from_bytes(&peer, sh_span_of(job.room + 8, job.len - 8));
    if (code == 0) {
        code = sh_peer_id_text(&peer, text);
    }
    if (code < 0) {
        return (int)abi_code(node, code);
    }
    int n = snprintf(buf, cap, "%016" PRIx64 "@%s", sh_load_u64le(job.room), text);
    return n >= 0 && (size_t)n < cap
               ? n
               : abi_fail(node, SHOAL_E_LIMIT, "shoal_pid_text: %zu bytes are too few", cap);
}

static int hex_u64(const char *text, uint64_t *out)
{
    uint8_t bytes[8];
    if (sh_hex_decode(sh_span_of(text, 16), bytes, sizeof bytes) != 8) {
        return SH_E_BAD_VALUE;
    }
    *out = sh_load_u64be(bytes);
    return 0;
}

int shoal_pid_parse(shoal_node *node, const char *text, shoal_pid *pid)
{
    uint8_t ref[SH_MP_REF_MAX];
    uint64_t actor;
    sh_peer_id peer;
    if (!node || !text || !pid) {
        return abi_fail(node, SHOAL_E_USAGE,
                        "shoal_pid_parse: node, text and pid must not be NULL");
    }
    if (strlen(text) < 17 || text[16] != '@' || hex_u64(text, &actor) < 0 ||
        sh_peer_id_parse(&peer, sh_span_str(text + 17)) < 0) {
        return abi_fail(node, SHOAL_E_BAD_VALUE,
                        "\"%.80s\" is not a ref: expected <16 hex>@<peer id>", text);
    }
    sh_store_u64le(ref, actor);
    memcpy(ref + 8, peer.b, peer.n);
    return ref_unpack(node, sh_span_of(ref, 8u + peer.n), pid);
}

/* --- in values --- */

static int pack_sink(void *ud, const char *bytes, size_t n)
{
    shoal_put_value(ud, (shoal_bytes){bytes, n});
    return shoal_pack_error(ud);
}

void shoal_put_ref(shoal_pack *p, shoal_node *node, shoal_pid pid)
{
    struct ref_job job;
    if (p->error) {
        return;
    }
    int code = node ? ref_pack(node, pid, &job) : SHOAL_E_USAGE;
    if (code < 0) {
        p->error = code;
        return;
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, p, pack_sink);
    msgpack_pack_ext(&packer, job.len, SH_MP_EXT_REF);
    msgpack_pack_ext_body(&packer, job.room, job.len);
}

int shoal_as_ref(shoal_node *node, shoal_bytes value, shoal_pid *out)
{
    sh_mp_refs refs = sh_mp_refs_of(abi_bytes_in(value));
    sh_span ref;
    if (!node) {
        return abi_fail(node, SHOAL_E_USAGE, "shoal_as_ref: node must not be NULL");
    }
    if (shoal_kind(value) != SHOAL_KIND_REF || !sh_mp_refs_next(&refs, &ref)) {
        return abi_fail(node, SHOAL_E_BAD_VALUE, "the value is not a ref");
    }
    return ref_unpack(node, ref, out);
}

shoal_pid shoal_field_ref(shoal_node *node, shoal_bytes map, const char *key, shoal_pid otherwise)
{
    shoal_pid out;
    return shoal_as_ref(node, shoal_field(map, key), &out) == 0 ? out : otherwise;
}

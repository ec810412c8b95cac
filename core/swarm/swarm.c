/* swarm/swarm.c - the owner: its life, what the driver tells it and is to do. No rules live here; what the user is told
 * is in events.c. */
#include "swarm/swarm.h"

#include "crypto/secret.h"
#include "swarm/alive.h"
#include "swarm/conns.h"
#include "swarm/dial.h"
#include "swarm/dial_addr.h"
#include "swarm/identify.h"
#include "swarm/kad.h"
#include "swarm/peers.h"
#include "swarm/publish.h"
#include "swarm/query.h"
#include "swarm/services.h"
#include "swarm/streams.h"

/* --- life --- */

static int swarm_init(struct sh_swarm *s, const struct sh_swarm_config *cfg, uint64_t now_us)
{
    s->cfg = *cfg;
    s->now_us = now_us;
    s->doubt_us = now_us;
    sh_wheel_init(&s->wheel, now_us);
    sh_list *lists[] = {&s->notes,  &s->all_conns,         &s->ready,      &s->dirty,
                        &s->acting, &s->dial_addrs_acting, &s->dial_addrs, &s->queries,
                        &s->pubs,   &s->requests};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        sh_list_init(lists[i]);
    }
    sh_services_init(s);
    s->serves = cfg->dht == SH_DHT_SERVER;
    sh_alarm_init(&s->boot, SH_ALARM_BOOT);
    sh_alarm_init(&s->sweep, SH_ALARM_SWEEP);
    sh_slab_init(&s->conns, cfg->mem, sizeof(struct sh_swarm_conn), 1u << 16, 1);
    sh_map_bytes_init(&s->pub_of_key, cfg->mem, sh_rng_u64(cfg->rng), SH_PUBLICATIONS_MAX);
    sh_map_bytes_init(&s->pub_of_value, cfg->mem, sh_rng_u64(cfg->rng), SH_PUBLICATIONS_MAX);
    sh_records_init(&s->records, cfg->mem, cfg->quota, cfg->rng);
    sh_identity_public_proto(cfg->identity, s->public_key);
    int err = sh_peer_id_from_key(&s->self_id, sh_span_of(s->public_key, sizeof s->public_key));
    if (err == 0) {
        err = sh_peer_id_kad_key(&s->self_id, s->self_key);
    }
    sh_ktable_init(&s->table, cfg->mem, s->self_key);
    if (err == 0) {
        err = sh_gater_init(s, cfg);
    }
    if (err == 0) {
        err = sh_noise_static_init(&s->noise, cfg->identity, cfg->rng);
    }
    int peers = sh_peers_init(s);
    return err != 0 ? err : peers;
}

int sh_swarm_new(const struct sh_swarm_config *cfg, uint64_t now_us, sh_swarm **out)
{
    if (cfg->protocol_count > SH_MSS_PROTOCOLS_MAX - 4) {
        return SH_E_USAGE;
    }
    struct sh_swarm *s = sh_mem_zalloc(cfg->mem, sizeof *s);
    if (!s) {
        return SH_E_NOMEM;
    }
    int err = swarm_init(s, cfg, now_us);
    if (err != 0) {
        sh_swarm_free(s);
        return err;
    }
    *out = s;
    return 0;
}

void sh_swarm_free(sh_swarm *s)
{
    if (!s) {
        return;
    }
    SH_LIST_FOREACH_SAFE(it, &s->queries)
    {
        sh_query_free(s, SH_CONTAINER(it, struct sh_query, all));
    }
    SH_LIST_FOREACH_SAFE(it, &s->pubs)
    {
        sh_pub_free(s, SH_CONTAINER(it, struct sh_pub, all));
    }
    SH_LIST_FOREACH_SAFE(it, &s->dial_addrs)
    {
        sh_dial_addr_free(s, SH_CONTAINER(it, struct sh_dial_addr, all));
    }
    SH_LIST_FOREACH_SAFE(it, &s->all_conns)
    {
        struct sh_swarm_conn *c = SH_CONTAINER(it, struct sh_swarm_conn, all);
        c->state = SH_CONNS_CLOSING; /* its streams go without a word */
        SH_LIST_FOREACH_SAFE(at, &c->streams)
        {
            sh_stream_free(s, SH_CONTAINER(at, sh_stream, of_conn));
        }
    }
    sh_kad_fini(s);
    SH_LIST_FOREACH_SAFE(it, &s->all_conns)
    {
        sh_conns_free(s, SH_CONTAINER(it, struct sh_swarm_conn, all));
    }
    sh_peers_fini(s);
    sh_slab_fini(&s->conns);
    sh_ktable_fini(&s->table);
    sh_records_fini(&s->records);
    sh_map_bytes_fini(&s->pub_of_key);
    sh_map_bytes_fini(&s->pub_of_value);
    sh_buf_free(s, &s->carried);
    sh_wipe(&s->noise, sizeof s->noise);
    sh_gater_fini(s);
    sh_mem_free(s->cfg.mem, s, sizeof *s);
}

/* --- driver: in --- */

static void swarm_addresses_changed(struct sh_swarm *s)
{
    if (s->cfg.dht == SH_DHT_AUTO) {
        s->serves = s->listen_count + s->announce_count > 0;
    }
    sh_identify_push_all(s);
}

static void addr_set_add(sh_addr *set, unsigned *count, const sh_addr *addr)
{
    sh_addr plain = *addr;
    sh_addr_strip_peer(&plain);
    if (*count < SH_LISTEN_MAX && plain.n > 0 && !sh_addr_is_unspecified(&plain)) {
        set[(*count)++] = plain;
    }
}

void sh_swarm_listening(sh_swarm *s, const sh_addr *addr, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    sh_swarm_unlistened(s, addr, now_us);
    addr_set_add(s->listen, &s->listen_count, addr);
    swarm_addresses_changed(s);
}

void sh_swarm_unlistened(sh_swarm *s, const sh_addr *addr, uint64_t now_us)
{
    sh_addr plain = *addr;
    sh_alive_clock(s, now_us);
    sh_addr_strip_peer(&plain);
    for (unsigned i = 0; i < s->listen_count; i++) {
        if (sh_addr_eq(&s->listen[i], &plain)) {
            memmove(&s->listen[i], &s->listen[i + 1],
                    (s->listen_count - i - 1) * sizeof s->listen[0]);
            s->listen_count--;
            swarm_addresses_changed(s);
            return;
        }
    }
}

void sh_swarm_announce(sh_swarm *s, const sh_addr *addr)
{
    addr_set_add(s->announce, &s->announce_count, addr);
    swarm_addresses_changed(s);
}

sh_conn_id sh_swarm_accepted(sh_swarm *s, const sh_addr *remote, uint64_t now_us)
{
    struct sh_swarm_conn *c;
    sh_alive_clock(s, now_us);
    return sh_conns_accept(s, remote, &c) == 0 ? c->id : 0;
}

void sh_swarm_connected(sh_swarm *s, sh_conn_id id, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    if (!c || c->state != SH_CONNS_DIALLING) {
        return;
    }
    s->dials--;
    c->had_pipe = true;
    c->state = SH_CONNS_SECURING;
    sh_dial_accepted(s, c);
    int err = sh_conns_secure(s, c);
    if (err != 0) {
        sh_conns_die(s, c, 0, err, "no memory for the connection");
    }
}

void sh_swarm_dial_failed(sh_swarm *s, sh_conn_id id, int err, const char *text, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    if (!c) {
        return;
    }
    c->pipe_gone = true;
    if (c->state == SH_CONNS_CLOSING) {
        sh_conns_free(s, c);
    } else {
        sh_conns_die(s, c, 0, err != 0 ? err : SH_E_UNREACHABLE, text);
    }
}

static bool conn_reads(const struct sh_swarm_conn *c)
{
    return c && c->machine && !c->machine_over &&
           (c->state == SH_CONNS_SECURING || c->state == SH_CONNS_UP);
}

uint8_t *sh_swarm_room(sh_swarm *s, sh_conn_id id, size_t *n)
{
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    *n = 0;
    if (!conn_reads(c)) {
        return NULL;
    }
    uint8_t *p = c->machine->ops->room(c->machine, n);
    c->starved = *n == 0;
    c->thirst_us = 0;
    if (c->starved) {
        sh_conns_ready(s, c); /* READ follows once its events are taken */
    }
    if (!p) { /* no memory, or the quota: to ask at once would be asked for ever */
        c->thirst_us = s->now_us + SH_NO_BLOCK_MS * UINT64_C(1000);
        sh_conns_touch(s, c);
    }
    return p;
}

void sh_swarm_filled(sh_swarm *s, sh_conn_id id, size_t n, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    if (!conn_reads(c)) {
        return;
    }
    c->machine->ops->filled(c->machine, n, now_us);
    if (n == 0) {
        return; /* nothing came: only the room goes back */
    }
    c->heard_us = now_us;
    sh_conns_ready(s, c);
    sh_conns_touch(s, c);
}

sh_span sh_swarm_out(sh_swarm *s, sh_conn_id id)
{
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    return c && c->machine && !c->pipe_gone ? c->machine->ops->out(c->machine) : sh_span_none();
}

void sh_swarm_sent(sh_swarm *s, sh_conn_id id, size_t n, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    if (!c || !c->machine || c->pipe_gone) {
        return;
    }
    c->machine->ops->sent(c->machine, n);
    sh_conns_ready(s, c); /* writers that were cut short may go on */
    sh_conns_touch(s, c);
}

void sh_swarm_closed(sh_swarm *s, sh_conn_id id, int err, const char *text, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    struct sh_swarm_conn *c = sh_conns_at(s, id);
    if (!c || c->pipe_gone) {
        return;
    }
    c->pipe_gone = true;
    sh_conns_unact(c, ~0u);
    if (c->state == SH_CONNS_CLOSING) {
        sh_conns_free(s, c);
    } else if (conn_reads(c)) {
        c->err = err;
        c->why = text;
        c->machine->ops->eof(c->machine, now_us);
        sh_conns_ready(s, c); /* what it still has to say comes first, then CLOSED */
    } else {
        sh_conns_die(s, c, 0, err != 0 ? err : SH_E_UNREACHABLE, text);
    }
}

static void swarm_alarm(struct sh_swarm *s, sh_timer *t)
{
    struct sh_alarm *a = SH_CONTAINER(t, struct sh_alarm, t);
    switch (a->kind) {
    case SH_ALARM_CONN: sh_conns_alarm(s, SH_CONTAINER(a, struct sh_swarm_conn, alarm)); break;
    case SH_ALARM_PEER: sh_dial_peer_alarm(s, SH_CONTAINER(a, struct sh_peer, alarm)); break;
    case SH_ALARM_STREAM:
        sh_streams_alarm(s, SH_CONTAINER(a, struct sh_stream_work, alarm)->stream);
        break;
    case SH_ALARM_DIAL_ADDR:
        sh_dial_addr_alarm(s, SH_CONTAINER(a, struct sh_dial_addr, alarm));
        break;
    case SH_ALARM_REQUEST:
        sh_kad_request_alarm(s, SH_CONTAINER(a, struct sh_request, alarm));
        break;
    case SH_ALARM_QUERY: sh_query_alarm(s, SH_CONTAINER(a, struct sh_query, alarm)); break;
    case SH_ALARM_PUB: sh_pub_alarm(s, SH_CONTAINER(a, struct sh_pub, alarm)); break;
    case SH_ALARM_BOOT: sh_query_bootstrap(s); break;
    case SH_ALARM_SWEEP:
        sh_records_tick(&s->records, s->now_us);
        sh_alarm_set(s, &s->sweep, sh_records_deadline(&s->records));
        break;
    }
}

void sh_swarm_tick(sh_swarm *s, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    sh_wheel_advance(&s->wheel, now_us);
    for (sh_timer *t; (t = sh_wheel_pop(&s->wheel)) != NULL;) {
        swarm_alarm(s, t);
    }
}

void sh_swarm_flush(sh_swarm *s, uint64_t now_us)
{
    sh_alive_clock(s, now_us);
    for (sh_list *it; (it = sh_list_pop(&s->dirty)) != NULL;) {
        sh_conns_flush(s, SH_CONTAINER(it, struct sh_swarm_conn, dirty));
    }
}

uint64_t sh_swarm_deadline(const sh_swarm *s)
{
    return sh_wheel_next_us(&s->wheel);
}

/* --- driver: out --- */

static bool conn_action(struct sh_swarm *s, struct sh_swarm_conn *c, struct sh_swarm_action *out)
{
    static const struct {
        unsigned act;
        enum sh_swarm_action_kind kind;
    } order[] = {{SH_ACT_DIAL, SH_SWARM_DIAL},
                 {SH_ACT_CANCEL, SH_SWARM_CANCEL},
                 {SH_ACT_READ, SH_SWARM_READ},
                 {SH_ACT_WRITE, SH_SWARM_WRITE},
                 {SH_ACT_CLOSE, SH_SWARM_CLOSE}};
    out->conn = c->id;
    for (unsigned i = 0; i < sizeof order / sizeof order[0]; i++) {
        if ((c->acts & order[i].act) == 0) {
            continue;
        }
        out->kind = order[i].kind;
        sh_conns_unact(c, order[i].act);
        if (out->kind == SH_SWARM_DIAL) {
            sh_addr addr = sh_conns_addr(c);
            sh_addr_endpoint(&addr, &out->endpoint);
        } else if (out->kind == SH_SWARM_CANCEL) {
            sh_conns_free(s, c);
        }
        return true;
    }
    sh_list_remove(&c->acting);
    return false;
}

bool sh_swarm_action(sh_swarm *s, struct sh_swarm_action *out)
{
    sh_list *it = sh_list_pop(&s->dial_addrs_acting);
    if (it) {
        struct sh_dial_addr *d = SH_CONTAINER(it, struct sh_dial_addr, acting);
        out->kind = SH_SWARM_RESOLVE;
        out->conn = 0;
        out->request = d->request;
        out->endpoint = d->endpoint;
        return true;
    }
    while ((it = sh_list_front(&s->acting)) != NULL) {
        if (conn_action(s, SH_CONTAINER(it, struct sh_swarm_conn, acting), out)) {
            return true;
        }
    }
    return false;
}

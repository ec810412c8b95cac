/* remote/names.h - names of actors in the DHT: registering, renewing, looking up.
 *
 * Shape    tables inside the remote; remote.h has the calls. names.c registers, names_lookup.c looks up; keys and
 *          records are those of Kameo, see names_record.h.
 * Rule     local names first, without the network. A holder found must itself answer for its record, which it drops
 *          as soon as the actor has ended; so nobody known dead is handed out.
 * Spec     /kameo/registry/1.0.0 */
#ifndef SH_REMOTE_NAMES_H
#define SH_REMOTE_NAMES_H

#include "base/list.h"
#include "base/map.h"
#include "remote/remote.h"

struct sh_names {
    sh_list registered; /* in order of registering */
    sh_list lookups;    /* in order of asking */
    sh_map_bytes by_name;
    sh_map_u64 watched;   /* actor -> how many names it has: the guard watches it once */
    sh_map_u64 published; /* publication number -> its name */
    sh_map_u64 queries;   /* query number -> its lookup or get */
    size_t lookup_count;
    uint64_t next_number; /* of queries and publications */
};

void sh_names_init(sh_remote *r);
void sh_names_fini(sh_remote *r);
/* QUERY, VALUE and PUBLISHED events. */
void sh_names_swarm_event(sh_remote *r, const struct sh_swarm_event *ev, uint64_t now_us);
/* A registered actor has ended for good. */
void sh_names_actor_ended(sh_remote *r, uint64_t actor);
void sh_names_withdraw_all(sh_remote *r);
struct sh_remote_timer;
void sh_names_timer(sh_remote *r, struct sh_remote_timer *t, uint64_t now_us);
/* Has a live actor of this node the name? Then it is *pid. */
bool sh_names_here(const sh_remote *r, sh_span name, sh_pid *pid);

/* --- names_lookup.c --- */
void sh_names_lookup_told(sh_remote *r, sh_span name, sh_pid pid); /* it has been registered here */
bool sh_names_lookup_cancel(sh_remote *r, uint64_t call);          /* false: no lookup is that */
/* found: what the table of queries has of it. */
void sh_names_lookup_event(sh_remote *r, uint64_t found, const struct sh_swarm_event *ev,
                           uint64_t now_us);
void sh_names_lookup_timer(sh_remote *r, struct sh_remote_timer *t, uint64_t now_us);
void sh_names_lookups_fini(sh_remote *r);

#endif

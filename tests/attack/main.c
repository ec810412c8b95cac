/* main.c - the attacker: attack_peer ROW ADDRESS ECHO MUTE SLOT SEED. Does one row of docs/threat-model.md against a victim and prints
 * {"row", "title", "error": null or a sentence, "note"}. attack_peer with no arguments lists the rows. */
#include "peer.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct target victim;
sh_rng rng;
static sh_rng_seeded seeded;
static char said[1024], noted[1024];

const char *failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    return said;
}

void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(noted, sizeof noted, format, args);
    va_end(args);
}

static const struct row *const families[] = {connection_rows, handshake_rows, negotiation_rows,
                                             muxer_rows,      identify_rows,  registry_rows,
                                             message_rows};

static const struct row *row_find(int number)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        for (const struct row *r = families[i]; r->fn; r++) {
            if (r->number == number) {
                return r;
            }
        }
    }
    return NULL;
}

static void rows_list(void)
{
    for (int number = 1; number < 100; number++) {
        const struct row *r = row_find(number);
        if (r) {
            printf("%d\t%s\n", number, r->title);
        }
    }
}

/* /ip4/A/tcp/P/p2p/ID */
static bool address_read(const char *text)
{
    static char host[32], id[96];
    unsigned port;
    if (sscanf(text, "/ip4/%31[0-9.]/tcp/%u/p2p/%95s", host, &port, id) != 3) {
        return false;
    }
    victim.host = host;
    victim.port = (uint16_t)port;
    return sh_peer_id_parse(&victim.peer, sh_span_str(id)) == 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 7) {
        rows_list();
        return 0;
    }
    const struct row *row = row_find(atoi(argv[1]));
    if (!row || !address_read(argv[2])) {
        fprintf(stderr, "attack_peer: no such row, or not an address\n");
        return 2;
    }
    victim.echo = strtoull(argv[3], NULL, 16);
    victim.mute = strtoull(argv[4], NULL, 16);
    victim.slot = strtoull(argv[5], NULL, 16);
    victim.seed = strtoull(argv[6], NULL, 10);
    victim.row = (unsigned)row->number;
    rng = sh_rng_seeded_init(&seeded, victim.seed * 100 + victim.row);
    const char *error = row->fn();
    printf("{\"row\": %d, \"error\": %s%s%s, \"note\": \"%s\"}\n", row->number, error ? "\"" : "",
           error ? error : "null", error ? "\"" : "", noted);
    return 0;
}

/* host.h - a node under test in a process of its own, driven by lines on standard input.
 *
 * Shape: host.c reads commands and prints what ends; probe.c has the actors; flood.c sends much. */
#ifndef SHOAL_TEST_PROCESS_HOST_H
#define SHOAL_TEST_PROCESS_HOST_H

#include "../support/host.h"
#include <stdio.h>

/* Prints one line whole, with the time first; format makes the rest of a JSON object. */
void host_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Starts what the probes of this process share. */
int probe_start(shoal_node *node);
int probe_spawn(shoal_node *node, uint32_t mailbox, shoal_pid *pid);

/* Tells `count` numbered messages of pad bytes to pid, as many as are taken at a time; says so at the end.
 * With stop_when_full it ends at the first refusal. */
int flood_tells(shoal_node *node, const char *id, shoal_pid pid, int64_t lane, int64_t count,
                size_t pad, int stop_when_full);

/* Keeps `width` asks to pid out until `count` have been made; says at the end how each of them ended. */
int flood_asks(shoal_node *node, const char *id, shoal_pid pid, int64_t count, int64_t width,
               uint32_t timeout_ms);

/* Ends the making of tells and asks: the flood is over when the asks out have ended. */
void flood_enough(void);

/* Goes on with the floods; 1 while one is unfinished. */
int flood_turn(shoal_node *node);

#endif

/* tests/sim/cheap.h - cryptography by the seed: real in every tenth world, cheap with the same framing in the others. */
#ifndef SHOAL_TEST_SIM_CHEAP_H
#define SHOAL_TEST_SIM_CHEAP_H

#include <stdbool.h>

/* For all nodes of this process from now on; no node may live while it changes. */
void cheap_crypto(bool on);

#endif

/* tests/sim/liar.h - nodes that lie in the DHT, all in league with each other. */
#ifndef SHOAL_TEST_SIM_LIAR_H
#define SHOAL_TEST_SIM_LIAR_H

#include "crowd.h"

/* From now on the nodes with the agent "liar" are the liars of this crowd; NULL: nobody lies. Each does one of four
 * things, by its id: names liars only; names invented peers next to the key, at addresses of liars or of nobody;
 * answers with nothing; does not answer. All confirm what they are given to keep, and keep nothing. */
void liar_crowd(const struct crowd *c);
uint64_t liar_answers(void); /* so many lies were told */

#endif

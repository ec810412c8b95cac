/* notation.h - values as one word of text, the same in every language of these tests.
 *
 *   n T F   nil, true, false        i-5     integer            f3ff0000000000000  float, its bits; fnan
 *   t6869   text, UTF-8 in hex      b00ff   bytes in hex       r<text of a ref>
 *   [a,b]   list                    {k:v}   map, its pairs sorted as text */
#ifndef SHOAL_TEST_VALUES_NOTATION_H
#define SHOAL_TEST_VALUES_NOTATION_H

#include <shoal.h>

/* Writes the value that word says, by the writing functions of shoal.h; what is wrong sticks in p. */
void notation_put(shoal_pack *p, shoal_node *node, const char *word);

/* The word for a value, read by the reading functions of shoal.h. To be freed. */
char *notation_of(shoal_node *node, shoal_bytes value);

#endif

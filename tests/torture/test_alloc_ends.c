/* tests/torture/test_alloc_ends.c - every allocation of two nodes that watch each other and stop fails once, and from then on. */
#include "world.h"

int main(int argc, char **argv)
{
    return torture_main(argc, argv, torture_talk, torture_talk_count);
}

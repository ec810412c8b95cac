/* tests/torture/test_alloc_local.c - every allocation of one node fails once, and from then on. */
#include "world.h"

int main(int argc, char **argv)
{
    return torture_main(argc, argv, torture_local, torture_local_count);
}

/* tests/torture/test_alloc_remote.c - every allocation of two nodes that talk fails once, and from then on. */
#include "world.h"

int main(int argc, char **argv)
{
    return torture_main(argc, argv, torture_remote, torture_remote_count);
}

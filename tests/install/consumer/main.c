/* A program outside the tree: it has shoal.h and the library from a prefix, nothing else. */
#include <shoal.h>
#include <stdio.h>

int main(void)
{
    printf("shoal %s\n", shoal_version_string());
    return 0;
}

/* base/sh_assert.h - assertions about our own mistakes, on in every build.
 *
 * Never reached by a peer's bytes, the OS's answers or the host's arguments: those are error codes. */
#ifndef SH_BASE_SH_ASSERT_H
#define SH_BASE_SH_ASSERT_H

/* Prints "file:line: expression" to stderr and aborts. */
_Noreturn void sh_assert_failed(const char *file, int line, const char *expression);

#define SH_ASSERT(x)             ((x) ? (void)0 : sh_assert_failed(__FILE__, __LINE__, #x))
#define SH_STATIC_ASSERT(x, why) _Static_assert(x, why)

#endif

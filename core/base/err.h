/* base/err.h - the error codes of the whole library, from one list.
 *
 * Shape    pure data: an X-macro, the enums made from it, and two lookups.
 * Output   codes are negative ints; 0 or a count is success.
 * Threads  any.
 * Contract -1 .. -16 are public (SHOAL_E_*), in the order of the API page, never renumbered.
 *          -32 and below never leave core: node and abi translate them. */
#ifndef SH_BASE_ERR_H
#define SH_BASE_ERR_H

/* X(constant suffix, value, code name, one-line description) */
#define SH_ERRORS(X)                                                                               \
    X(TIMEOUT, -1, "timeout", "the deadline passed")                                               \
    X(NOT_FOUND, -2, "not_found", "no live actor of that name, or no such type")                   \
    X(NOT_RUNNING, -3, "not_running", "the actor has stopped")                                     \
    X(MAILBOX_FULL, -4, "mailbox_full", "no room in the mailbox now")                              \
    X(NO_HANDLER, -5, "no_handler", "the actor takes no such message")                             \
    X(BAD_VALUE, -6, "bad_value", "the value cannot be sent or does not fit the handler")          \
    X(HANDLER, -7, "handler", "the handler failed")                                                \
    X(UNREACHABLE, -8, "unreachable", "no route to the peer, or the connection was lost")          \
    X(REFUSED, -9, "refused", "not exported to you, or not allowed")                               \
    X(NAME_TAKEN, -10, "name_taken", "another actor of this node holds the name")                  \
    X(BAD_ADDRESS, -11, "bad_address", "the address is malformed, in use, or not ours to bind")    \
    X(CLOSED, -12, "closed", "the node is stopping or stopped")                                    \
    X(CANCELLED, -13, "cancelled", "the call was cancelled")                                       \
    X(LIMIT, -14, "limit", "a limit was reached, or memory ran out")                               \
    X(UNSUPPORTED, -15, "unsupported", "the peer does not speak it, or it is not built in")        \
    X(USAGE, -16, "usage", "the call is not allowed here")

/* Codes that stay inside core. */
#define SH_ERRORS_CORE(X)                                                                          \
    X(PROTO, -32, "proto", "malformed bytes, or the protocol was violated")                        \
    X(CRYPTO, -33, "crypto", "a key, signature or seal does not verify")                           \
    X(MORE, -34, "more", "more bytes are needed")                                                  \
    X(NOMEM, -35, "nomem", "out of memory")

#define SH_ERROR_ENUM(name, value, code, text) SH_E_##name = (value),
enum sh_err { SH_OK = 0, SH_ERRORS(SH_ERROR_ENUM) SH_ERRORS_CORE(SH_ERROR_ENUM) };
#undef SH_ERROR_ENUM

/* What is known about a message whose call failed; the numbers are on the native wire. */
enum sh_delivery {
    SH_NOT_SENT = 1, /* certainly not run: safe to retry */
    SH_UNKNOWN = 2,  /* may have run */
    SH_HANDLED = 3   /* the handler ran and this is its outcome */
};

/* Why an actor ended; the numbers are on the native wire. */
enum sh_reason_kind {
    SH_NORMAL = 0,
    SH_KILLED = 1,
    SH_ERROR = 2,
    SH_LINK_DIED = 3,
    SH_PEER_LOST = 4,
    SH_RESTART = 5,
    SH_GONE = 6 /* ended before we looked */
};

/* The lower-case code name ("timeout"), "ok" for 0 or more, "unknown" for a code not in the list. */
const char *sh_err_name(int code);

/* One line of English about the code; never NULL. */
const char *sh_err_text(int code);

/* "normal", "killed", ...; "unknown" for a number not in the list. */
const char *sh_reason_name(int kind);

#endif

/* shoal_object.h - for those who write bindings: values by reference between actors of one VM.
 *
 * Programs need shoal.h only; its conventions hold here too. */
#ifndef SHOAL_OBJECT_H
#define SHOAL_OBJECT_H

#include "shoal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ values by reference */

/* A value that is not packed, for bindings: it goes as it is between actors whose handlers the same shoal_poll
 * runs (one VM). The binding has made it immutable, or a copy of its own. ptr: not NULL, never looked at; drop:
 * gives ptr back when nobody took it, called where those handlers run (in shoal_poll, shoal_node_free or the
 * call that gave it); NULL: nothing to give back. */
typedef struct shoal_object {
    void *ptr;
    void (*drop)(void *ptr);
} shoal_object;

/* Each function here is its ordinary one with an object instead of a packed value,
 * and all else is the same: limits, order, deadlines, ends. SHOAL_E_UNSUPPORTED is told at once, without a
 * sentence for shoal_last_error, when the other side is not run by the caller's shoal_poll, or the caller is
 * neither in it nor could be at once: pack the value and call the ordinary function. After any negative code the
 * object is still the caller's; else it is taken once, or dropped once. */

/* As shoal_cx_tell. cx: of a handler; pid, name: as there; object: it.
 * [handler] Errors: SHOAL_E_UNSUPPORTED, else as shoal_tell. Since 0.1.0 */
SHOAL_API int shoal_cx_tell_object(shoal_cx *cx, shoal_pid pid, const char *name,
                                   shoal_object object);

/* As shoal_cx_ask. cx: of a handler; pid, name, timeout_ms, then, ud: as there; object: it.
 * [handler] Returns a call id > 0. Errors: SHOAL_E_UNSUPPORTED, else as shoal_ask. Since 0.1.0 */
SHOAL_API int64_t shoal_cx_ask_object(shoal_cx *cx, shoal_pid pid, const char *name,
                                      shoal_object object, uint32_t timeout_ms, shoal_then_fn then,
                                      void *ud);

/* As shoal_tell. node, pid, name: as there; object: it.
 * [any] Errors: SHOAL_E_UNSUPPORTED, else as shoal_tell. Since 0.1.0 */
SHOAL_API int shoal_tell_object(shoal_node *node, shoal_pid pid, const char *name,
                                shoal_object object);

/* As shoal_ask. node, pid, name, timeout_ms, done, ud: as there; object: it.
 * [any] Errors: SHOAL_E_UNSUPPORTED, else as shoal_ask. Since 0.1.0 */
SHOAL_API int64_t shoal_ask_object(shoal_node *node, shoal_pid pid, const char *name,
                                   shoal_object object, uint32_t timeout_ms, shoal_fn done,
                                   void *ud);

/* As shoal_reply, also with a held cx. cx: of the handler; object: it; of a tell it is dropped in here.
 * [handler] Errors: SHOAL_E_UNSUPPORTED (who asked is elsewhere), else as shoal_reply. Since 0.1.0 */
SHOAL_API int shoal_reply_object(shoal_cx *cx, shoal_object object);

/* Takes the object of the message handled (on_undelivered: of the one left): drop will not be called. cx: of
 * the handler. Handlers of such a message are given nil; shoal_forward with name NULL sends its object on, if
 * it was not taken, to an actor whom it may reach, else it is SHOAL_E_UNSUPPORTED.
 * [handler] Returns its ptr; NULL: the value is packed, or taken. Errors: none. Since 0.1.0 */
SHOAL_API void *shoal_cx_object(shoal_cx *cx);

/* Takes the object of a reply, inside then or done. result: as given to it; a kept copy has none.
 * [any] Returns its ptr; NULL: the value is packed, or taken. Errors: none. Since 0.1.0 */
SHOAL_API void *shoal_result_object(const shoal_result *result);

#ifdef __cplusplus
}
#endif
#endif

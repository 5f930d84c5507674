/* SPDX-License-Identifier: MIT */
/* panic.h - panics inside the library. */
#ifndef WEFT_SCOPE_PANIC_H
#define WEFT_SCOPE_PANIC_H

#include <stdint.h>
#include <weft/panic.h>

#include "base/compiler.h"

struct wf_routine;

/* What weft_try_message() gives from now on, for the calling routine or thread. */
void wf_panic_keep_message(const char *message);

/* Leaves all frames on the stack of the coroutine that calls it; its try record's `left` then says how. */
_Noreturn void wf_leave_coroutine(void);
/* How many panics or weft_exits are on their way through the frames of the calling routine or thread: 0 normally, 1 in a
 * cleanup that one of them runs, more in cleanups run by what such a cleanup raised. A block that ends is being left by
 * one when there are more than at its beginning. */
unsigned wf_panic_departures(void);

/* weft_panic for a wait that was ended by `error` (-ECANCELED, -ETIMEDOUT) and has no way to return it. weft_try reports it
 * like any panic; at the end of the routine the error is there to be passed on. In a routine that nobody watches,
 * -ECANCELED while weft_stop is in progress ends it quietly. Outside the runtime. */
_Noreturn void wf_panic_error(int error, const char *format, ...) WF_PRINTF(2, 3);

/* Raises again what weft_try has last reported in the calling routine, with its error if it was raised by wf_panic_error.
 * Outside the runtime. */
_Noreturn void wf_panic_again(void);

/* A copy of the message of the routine's panic, which stays for ever, with what a later report has to say beyond it; NULL
 * when out of memory. Inside the runtime. */
char *wf_panic_note(struct wf_routine *self, const char *message);
/* ... and the later report, when it turns out that nobody will see it. Outside the runtime. */
_Noreturn void wf_panic_unseen(const char *note);

/* weft_config.on_panic. */
extern void (*wf_on_panic)(const char *message, uint64_t routine_id, void *arg);
extern void *wf_on_panic_arg;

#endif

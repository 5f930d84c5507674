/* SPDX-License-Identifier: MIT */
/* panic.h - panics inside the library. */
#ifndef WEFT_SCOPE_PANIC_H
#define WEFT_SCOPE_PANIC_H

#include <stdint.h>
#include <weft/panic.h>

/* What weft_try_message() gives from now on, for the calling routine or thread. */
void wf_panic_keep_message(const char *message);

/* How many panics and weft_exits are leaving frames of the calling routine or thread. */
unsigned wf_panic_departures(void);
/* Leaves all frames on the stack of the coroutine that calls it; its try record's `left` then says how. */
_Noreturn void wf_leave_coroutine(void);

/* weft_config.on_panic. */
extern void (*wf_on_panic)(const char *message, uint64_t routine_id, void *arg);
extern void *wf_on_panic_arg;

#endif

/* SPDX-License-Identifier: MIT */
/* switch.h - the coroutine's switch: the bare assembly, or wrapped in the sanitizers' fibre hooks (switch.c).
 *
 * `call`: the other side is not to return from its switch but to call this function there, which does not return: how a
 * panic is carried to the resumer, and the order to end into the coroutine. Under a sanitizer the switch of the other
 * side has work to do first, so it finds the function in c->call.
 */
#ifndef WEFT_CORO_SWITCH_H
#define WEFT_CORO_SWITCH_H

#include "arch/coro.h"
#include "coro/coro.h"

#if WF_ASAN || WF_TSAN
int wf_coro_switch_in(struct weft_coro *c, struct wf_routine *r, void *sp, void *value, void (*call)(void));
void *wf_coro_switch_out(struct weft_coro *c);
_Noreturn void wf_coro_switch_out_for_ever(struct weft_coro *c, int value, void (*call)(void));
void wf_coro_switch_made(struct weft_coro *c);    /* it got a stack */
void wf_coro_switch_entered(struct weft_coro *c); /* the first thing on it */
void wf_coro_switch_gone(struct weft_coro *c);    /* it will not run again */
#else
/* The routine r enters c, whose context is sp. */
WF_INLINE int wf_coro_switch_in(struct weft_coro *c, struct wf_routine *r, void *sp, void *value, void (*call)(void))
{
    (void)r;
    return call == NULL ? wf_coro_enter(&c->resumer_sp, sp, value) : wf_coro_enter_call(&c->resumer_sp, sp, call);
}

WF_INLINE void *wf_coro_switch_out(struct weft_coro *c)
{
    return wf_coro_leave(&c->sp, c->resumer_sp, 0);
}

_Noreturn static inline void wf_coro_switch_out_for_ever(struct weft_coro *c, int value, void (*call)(void))
{
    void *nobody;
    if (call == NULL)
        wf_coro_leave(&nobody, c->resumer_sp, value);
    else
        wf_coro_leave_call(&nobody, c->resumer_sp, call);
    __builtin_unreachable();
}

static inline void wf_coro_switch_made(struct weft_coro *c)
{
    (void)c;
}
static inline void wf_coro_switch_entered(struct weft_coro *c)
{
    (void)c;
}
static inline void wf_coro_switch_gone(struct weft_coro *c)
{
    (void)c;
}
#endif

#endif

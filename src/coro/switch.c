/* SPDX-License-Identifier: MIT */
/* switch.c - the fibre hooks around the coroutine's switch; empty in ordinary builds. See sched/sanitizer.h.
 *
 * While a routine is in a coroutine, its own record of the stack that it is on (r->sanitizer and bounds) is that of the
 * coroutine's, for the scheduler's hooks; the switch that went in puts the former one back.
 */
#include "coro/switch.h"

#if WF_ASAN || WF_TSAN

#include "stack/arena.h"

/* Not even entry and exit may be recorded: they would go to two different fibres' histories. */
#if defined(__clang__)
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED __attribute__((noinline, no_sanitize("address"), no_sanitize("thread")))
#endif

#if WF_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom_old, size_t *size_old);

static UNINSTRUMENTED size_t stack_length(const struct weft_coro *c)
{
    return (size_t)((const char *)c - wf_coro_stack_low(c));
}
#else
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void *__tsan_get_current_fiber(void);
#endif

UNINSTRUMENTED void wf_coro_switch_made(struct weft_coro *c)
{
    c->call = NULL;
#if WF_TSAN
    c->fibre = __tsan_create_fiber(0);
#else
    wf_lsan_root(wf_coro_stack_low(c), stack_length(c) + sizeof(*c)); /* nobody else knows what it points to */
#endif
}

UNINSTRUMENTED void wf_coro_switch_gone(struct weft_coro *c)
{
#if WF_TSAN
    __tsan_destroy_fiber(c->fibre);
#else
    wf_lsan_unroot(wf_coro_stack_low(c), stack_length(c) + sizeof(*c));
#endif
}

UNINSTRUMENTED void wf_coro_switch_entered(struct weft_coro *c)
{
#if WF_ASAN
    __sanitizer_finish_switch_fiber(NULL, &c->resumer_low, &c->resumer_size);
#else
    (void)c;
#endif
}

UNINSTRUMENTED static void make_call(struct weft_coro *c)
{
    void (*call)(void) = c->call;
    if (call == NULL)
        return;
    c->call = NULL;
    call();
}

UNINSTRUMENTED int wf_coro_switch_in(struct weft_coro *c, struct wf_routine *r, void *sp, void *value,
                                     void (*call)(void))
{
    void *sanitizer = r->sanitizer, *low = r->sanitizer_low;
    size_t size = r->sanitizer_size;
    c->call = call;
#if WF_TSAN
    r->sanitizer = c->fibre;
    c->resumer_fibre = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(c->fibre, 0);
    int result = wf_coro_enter(&c->resumer_sp, sp, value);
#else
    void *fake;
    r->sanitizer_low = (void *)(uintptr_t)wf_coro_stack_low(c);
    r->sanitizer_size = stack_length(c);
    __sanitizer_start_switch_fiber(&fake, r->sanitizer_low, r->sanitizer_size);
    int result = wf_coro_enter(&c->resumer_sp, sp, value);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    r->sanitizer = sanitizer;
    r->sanitizer_low = low;
    r->sanitizer_size = size;
    make_call(c);
    return result;
}

UNINSTRUMENTED void *wf_coro_switch_out(struct weft_coro *c)
{
#if WF_TSAN
    __tsan_switch_to_fiber(c->resumer_fibre, 0);
    void *value = wf_coro_leave(&c->sp, c->resumer_sp, 0);
#else
    void *fake;
    __sanitizer_start_switch_fiber(&fake, c->resumer_low, c->resumer_size);
    void *value = wf_coro_leave(&c->sp, c->resumer_sp, 0);
    __sanitizer_finish_switch_fiber(fake, &c->resumer_low, &c->resumer_size);
#endif
    make_call(c);
    return value;
}

UNINSTRUMENTED _Noreturn void wf_coro_switch_out_for_ever(struct weft_coro *c, int value, void (*call)(void))
{
    void *nobody;
    c->call = call;
#if WF_TSAN
    __tsan_switch_to_fiber(c->resumer_fibre, 0);
#else
    __sanitizer_start_switch_fiber(NULL, c->resumer_low, c->resumer_size);
#endif
    wf_coro_leave(&nobody, c->resumer_sp, value);
    __builtin_unreachable();
}

#endif

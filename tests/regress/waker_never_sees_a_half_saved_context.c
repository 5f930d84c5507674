/* SPDX-License-Identifier: MIT */
/* waker_never_sees_a_half_saved_context.c - who finds a waiting routine may continue it at once.
 *
 * "I am in the queue" and "my registers are saved" are two moments, a few nanoseconds apart. So the routine that begins
 * to wait is stepped through, instruction by instruction: at none may it stand in a queue whose lock is free while its
 * thread still runs on its stack. Then the same by force: wakers on other threads wake routines the moment they appear
 * in the queue, and these check what they keep in registers and frames over the wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <ucontext.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "base/compiler.h"
#include "chan/chan.h"
#include "sched/park.h"
#include "stack/arena.h"

enum { N_PAIRS = 3, RUN_MS = 1000, N_STEPPED = 20, TRAP_FLAG = 0x100, MOST_STEPS = 1000000 };

/* ---- step by step ---- */

static struct {
    struct wf_routine *self;
    uintptr_t stack_low, stack_high;
    bool (*can_be_found)(void);
    weft_chan(int) chan;
    struct wf_timers *timers;
    atomic_uint steps;     /* on the routine's stack */
    atomic_uint too_early; /* of these, those at which it could be found */
    atomic_uint left;      /* how often the stack was left */
} stepped;

static bool waits_for_a_value(void)
{
    struct weft__chan *c = WEFT__CHAN_OF(stepped.chan);
    return wf_load_acquire(&c->lock.word) == 0 && wf_load_acquire(&c->receivers.first) != NULL;
}

static bool waits_for_its_time(void)
{
    return wf_load_acquire(&stepped.timers->lock.word) == 0 && wf_load_acquire(&stepped.self->wait.timer.set) != NULL;
}

static void look_at_step(int signo, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t sp = (uintptr_t)registers[REG_RSP];
    (void)signo, (void)info;
    bool left = sp < stepped.stack_low || sp >= stepped.stack_high;
    if (left)
        atomic_fetch_add(&stepped.left, 1);
    else if (stepped.can_be_found())
        atomic_fetch_add(&stepped.too_early, 1);
    if (left || atomic_fetch_add(&stepped.steps, 1) > MOST_STEPS)
        registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static void receive(void)
{
    require(weft_chan_recv(stepped.chan, NULL) == 0);
}

static void sleep_shortly(void)
{
    require(weft_sleep(5 * WEFT_MS) == 0);
}

static void wait_step_by_step(void (*wait)(void), bool (*can_be_found)(void))
{
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    pthread_sigmask(SIG_UNBLOCK, &trap, NULL);
    struct wf_thread *thread = wf_enter();
    struct wf_routine *self = thread->current;
    struct wf_timers *timers = &thread->worker->timers;
    wf_leave(thread);
    stepped.self = self;
    stepped.timers = timers;
    stepped.can_be_found = can_be_found;
    stepped.stack_low = (uintptr_t)wf_arena_low(self->stack_slot);
    stepped.stack_high = stepped.stack_low - WF_GUARD_SIZE + wf_arena.slot_size;
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
    wait();
}

static bool receiver_is_there(void)
{
    return waits_for_a_value();
}

static void step_through_waits(void)
{
    struct sigaction action = {.sa_sigaction = look_at_step, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    require(sigaction(SIGTRAP, &action, NULL) == 0);
    stepped.chan = weft_chan_make(int, 0);
    for (unsigned i = 0; i < N_STEPPED; i++) {
        weft_future(void) f = weft_async(wait_step_by_step, receive, waits_for_a_value);
        eventually(receiver_is_there());
        require(weft_chan_send(stepped.chan, 1) == 0);
        weft_await(f);
        weft_await(weft_async(wait_step_by_step, sleep_shortly, waits_for_its_time));
    }
    printf("%u steps, %u of them too early; left the stack %u times\n", atomic_load(&stepped.steps),
           atomic_load(&stepped.too_early), atomic_load(&stepped.left));
    require(atomic_load(&stepped.left) == 2 * N_STEPPED);
    require(atomic_load(&stepped.too_early) == 0);
}

/* ---- by force ---- */

static atomic_bool over;
static atomic_ulong woken;
static atomic_uint ended;

/* Values that the compiler keeps in registers over the call, as many as there are. */
static __attribute__((noinline)) unsigned long receive_with_full_registers(weft_chan(unsigned long) c,
                                                                           unsigned long seed)
{
    unsigned long a = seed * 3, b = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13, v = 0;
    volatile unsigned long frame[8];
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(d), "+r"(e), "+r"(f));
    for (unsigned i = 0; i < 8; i++)
        frame[i] = seed + i;
    require(weft_chan_recv(c, &v) == 0);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(d), "+r"(e), "+r"(f));
    require(a == seed * 3 && b == seed * 5 && d == seed * 7 && e == seed * 11 && f == seed * 13);
    for (unsigned i = 0; i < 8; i++)
        require(frame[i] == seed + i);
    return v;
}

static void receive_again_and_again(weft_chan(unsigned long) c)
{
    for (unsigned long i = 1, v = 1; v != 0; i++) {
        v = receive_with_full_registers(c, i);
        require(v == i || v == 0);
    }
    atomic_fetch_add(&ended, 1);
}

/* A rendezvous that does not wait succeeds only when the receiver stands in the queue. */
static void *send_the_moment_it_waits(void *arg)
{
    weft_chan(unsigned long) c = *(weft_chan(unsigned long) *)arg;
    for (unsigned long i = 1; !atomic_load(&over);) {
        int error = weft_chan_try_send(c, i);
        require(error == 0 || error == -EAGAIN);
        if (error == 0) {
            atomic_fetch_add(&woken, 1);
            i++;
        }
    }
    while (weft_chan_try_send(c, 0ul) != 0)
        ;
    return NULL;
}

static void wake_by_force(void)
{
    pthread_t threads[N_PAIRS];
    weft_chan(unsigned long) chans[N_PAIRS];
    for (unsigned i = 0; i < N_PAIRS; i++) {
        chans[i] = weft_chan_make(unsigned long, 0);
        require(weft_go(receive_again_and_again, chans[i]) == 0);
        require(pthread_create(&threads[i], NULL, send_the_moment_it_waits, &chans[i]) == 0);
    }
    pause_thread_ms(RUN_MS);
    atomic_store(&over, true);
    for (unsigned i = 0; i < N_PAIRS; i++)
        require(pthread_join(threads[i], NULL) == 0);
    eventually(atomic_load(&ended) == N_PAIRS);
    printf("%lu wakes by force\n", atomic_load(&woken));
}

int main(void)
{
    alarm(50);
    if (!WF_ASAN && !WF_TSAN)
        step_through_waits();
    wake_by_force();
    return 0;
}

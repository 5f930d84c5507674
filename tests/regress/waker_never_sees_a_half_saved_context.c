/* SPDX-License-Identifier: MIT */
/* waker_never_sees_a_half_saved_context.c - who finds a waiting routine may continue it at once.
 *
 * "I am in the queue" and "my registers are saved" are two moments. Wakers on other threads wait in a tight loop for the
 * routine to appear in the queue and wake it the moment it does, while its thread is held up at random instructions; the
 * routine keeps values in all callee-saved registers and in its frame over the wait and checks them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include <weft/weft.h>

#include "../support/expect.h"
#include "../support/interrupt.h"

enum { N_PAIRS = 2, RUN_MS = 1500 };

static atomic_bool over;
static atomic_ulong woken, begun, ended;

/* Values that the compiler keeps in registers over the call, as many as there are. */
static __attribute__((noinline)) unsigned long receive_with_full_registers(weft_chan(unsigned long) c, unsigned long seed)
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
    atomic_fetch_add(&begun, 1);
    for (unsigned long i = 1;; i++) {
        unsigned long v = receive_with_full_registers(c, i);
        if (v == 0)
            break;
        require(v == i);
    }
    atomic_fetch_add(&ended, 1);
}

/* A rendezvous that does not wait succeeds only when the receiver stands in the queue. */
static void send_the_moment_it_waits(weft_chan(unsigned long) c)
{
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
}

static void *send_from_thread(void *c)
{
    send_the_moment_it_waits(*(weft_chan(unsigned long) *)c);
    return NULL;
}

int main(void)
{
    pthread_t threads[N_PAIRS];
    weft_chan(unsigned long) chans[N_PAIRS];
    alarm(50);
    for (unsigned i = 0; i < N_PAIRS; i++) {
        chans[i] = weft_chan_make(unsigned long, 0);
        require(weft_go(receive_again_and_again, chans[i]) == 0);
        require(pthread_create(&threads[i], NULL, send_from_thread, &chans[i]) == 0);
    }
    begin_interruptions(20000);
    pause_thread_ms(RUN_MS);
    end_interruptions();
    atomic_store(&over, true);
    for (unsigned i = 0; i < N_PAIRS; i++)
        require(pthread_join(threads[i], NULL) == 0);
    eventually(atomic_load(&ended) == N_PAIRS);
    printf("%lu wakes, %lu interruptions\n", atomic_load(&woken), atomic_load(&interrupter.count));
    return 0;
}

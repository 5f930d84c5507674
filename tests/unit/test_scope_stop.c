/* SPDX-License-Identifier: MIT */
/* test_scope_stop.c - scopes under which the runtime stops. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weft/weft.h>

#include "../support/everywhere.h"
#include "../support/scopes.h"
#include "../support/start.h"

static int wait_stubbornly(void)
{
    int result = 0;
    weft_shield
        result = weft_sleep(WEFT_HOUR); /* not kept by a shield from weft_stop */
    require(result == -ECANCELED);
    count_end();
    return 0;
}

static void be_stopped(void)
{
    int err = UNTOUCHED;
    weft_deadline(WEFT_HOUR) {
        weft_scope(s, &err) {
            start_child(s, wait_stubbornly);
            start_child(s, end_when_cancelled);
            weft_scope(t)
                start_child(t, end_when_cancelled);
        }
    }
    atomic_store(&reached, true);
}

Test(scope, weft_stop_ends_scopes_in_progress, .timeout = 60)
{
    start(be_stopped);
    pause_thread_ms(20);
    cr_assert_eq(weft_stop(), 0);
    cr_assert_eq(atomic_load(&ended), 3);
    cr_assert(atomic_load(&reached));
    leave_at_the_end(); /* and starts anew */
}

static void *stop_in_thread(void *unused)
{
    require(weft_stop() == 0);
    return unused;
}

Test(scope, a_scope_of_a_plain_thread_outlives_the_runtime, .timeout = 60)
{
    pthread_t thread;
    int err = UNTOUCHED;
    weft_scope_ref old = ended_scope();
    weft_scope(s, &err) {
        start_child(s, end_when_cancelled);
        pause_thread_ms(5);
        cr_assert_eq(pthread_create(&thread, NULL, stop_in_thread, NULL), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(atomic_load(&ended), 1);
        weft_cancel(old);
        cr_assert_not(weft_cancelled());
        start_child(s, end_late, 0); /* starts it anew */
    }
    cr_assert_eq(err, 0);
    cr_assert_eq(atomic_load(&ended), 2);
}

Test(scope, old_names_are_harmless_after_the_runtime, .timeout = 60)
{
    weft_scope_ref names[100];
    for (int i = 0; i < 100; i++)
        names[i] = in_routine(ended_scope);
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(weft_stop(), 0);
        for (int i = 0; i < 100; i++)
            weft_cancel(names[i]);
        everywhere(leave_at_the_end);
    }
}

/* SPDX-License-Identifier: MIT */
/* test_scope_name.c - the name of a scope that has ended never hits another one. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weft/weft.h>

#include "../support/everywhere.h"
#include "../support/scopes.h"
#include "../support/start.h"
#include "base/compiler.h"
#include "scope/scope.h"

static int use_late(weft_scope_ref ref)
{
    return weft_scope_go(ref, end_late, 0);
}

static void use_late_everywhere(void)
{
    weft_scope_ref old = ended_scope();
    int err = UNTOUCHED;
    weft_cancel(old);
    weft_scope(s, &err) {
        require(s != old);
        weft_cancel(old);
        require(!weft_cancelled());
        start_child(s, cancel_it, old);
        require(weft_timer_start(0, cancel_later, old) != NULL);
        require(weft_sleep(WEFT_MS) == 0);
        require(weft_try(use_late, old) == WEFT_EPANIC);
        require(!weft_cancelled());
    }
    require(err == 0);
    weft_cancel(NULL);
}

Test(scope, a_name_used_late_is_harmless, .timeout = 60)
{
    everywhere(use_late_everywhere);
    cr_assert_eq(atomic_load(&ended), 0);
}

static void start_in_no_scope(void)
{
    weft_scope_go(NULL, count_end);
}

Test(scope, starting_a_child_of_no_scope_panics, .timeout = 60)
{
    cr_assert_eq(weft_try(start_in_no_scope), WEFT_EPANIC);
    cr_assert_eq(weft_try_await(weft_async(start_in_no_scope), NULL), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&ended), 0);
}

enum { REUSES = 1000000, OLD_NAMES = 64 };

/* Cells are taken again and again; an old name, also one kept for long, never hits. */
static void reuse(void)
{
    weft_scope_ref old[OLD_NAMES] = {NULL}, first = ended_scope();
    for (unsigned i = 0; i < REUSES; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            weft_cancel(old[i % OLD_NAMES]);
            weft_cancel(old[(i - 1) % OLD_NAMES]);
            weft_cancel(first);
            old[i % OLD_NAMES] = s;
        }
        require(err == 0);
    }
}

Test(scope, old_names_never_hit_another_scope, .timeout = 60)
{
    reuse();
    in_routine(reuse);
}

/* Others cancel by names that may be of a scope in progress, just ended, or long gone. */
static _Atomic(weft_scope_ref) shared_name;
static atomic_bool released;

static void cancel_shared(void)
{
    weft_scope_ref s;
    while (!atomic_load(&released)) {
        if ((s = atomic_load(&shared_name)) != NULL)
            weft_cancel(s);
        weft_yield();
    }
    count_end();
}

static void enter_and_leave(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            atomic_store(&shared_name, s);
            if (i % 16 == 0)
                start_child(s, fail_with, 0);
        }
        require(err == 0 || err == -ECANCELED);
        weft_scope(s, &err)
            ;
        require(err == 0); /* nobody knows it */
    }
}

static void *cancel_shared_in_thread(void *unused)
{
    cancel_shared();
    return unused;
}

static int sleep_undisturbed(void)
{
    require(weft_sleep(5 * WEFT_US) == 0);
    return 0;
}

/* The inner scope is being visited when it is left; its cell is the next one's, which is shielded. */
static void leave_while_visited(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        weft_scope(s) {
            weft_scope(t) {
                atomic_store(&shared_name, s);
                for (unsigned k = 0; k < i % 3; k++)
                    start_child(t, fail_with, 0);
                for (unsigned k = 0; k < i % 50; k++)
                    __builtin_ia32_pause();
            }
            weft_shield {
                weft_scope(t)
                    for (int k = 0; k < 3; k++)
                        start_child(t, sleep_undisturbed);
                require(weft_sleep(WEFT_US) == 0);
            }
        }
        require(weft_sleep(WEFT_US) == 0);
    }
}

Test(scope, cancellations_that_come_too_late_hit_nobody, .timeout = 60)
{
    pthread_t thread;
    start(cancel_shared);
    start(cancel_shared);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_shared_in_thread, NULL), 0);
    unsigned rounds = WF_PERTURB ? 500 : 4000; /* where all are held up, all take long */
    in_routine(enter_and_leave, rounds);
    enter_and_leave(rounds / 8);
    in_routine(leave_while_visited, rounds);
    leave_while_visited(rounds / 8);
    atomic_store(&released, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    eventually(atomic_load(&ended) == 3);
}

/* The cell's generations are nearly used up: it is not used again, and old names do not become right. */
static void wear_out(void)
{
    enum { LAST = (1 << 23) - 1 };
    weft_scope_ref early = NULL, name[3] = {NULL};
    struct wf_scope *cell[3] = {NULL};
    for (int i = 0; i < 3; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            cell[i] = wf_container_of(wf_thread_self()->current->frame, struct wf_scope, frame);
            if (i == 0) {
                early = s;
                cell[0]->generation = LAST - 2; /* its name is not asked for any more */
            }
            name[i] = s;
            for (int k = 0; k < i; k++)
                weft_cancel(name[k]);
            weft_cancel(i > 0 ? early : NULL);
            require(!weft_cancelled());
        }
        require(err == 0);
    }
    require(cell[1] == cell[0]);                   /* generation LAST - 1 */
    require(cell[1]->generation == LAST);
    require(cell[2] != cell[0]);                   /* never again */
    for (int i = 0; i < 1000; i++)
        weft_scope(s)
            require((void *)wf_container_of(wf_thread_self()->current->frame, struct wf_scope, frame) != (void *)cell[0]);
}

static void set_generation(void)
{
    wear_out();
}

Test(scope, a_cell_whose_generations_are_used_up_is_not_used_again, .timeout = 60)
{
    set_generation();
    in_routine(set_generation);
}

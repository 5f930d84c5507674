/* SPDX-License-Identifier: MIT */
/* test_cancel.c - every public wait is ended by a cancellation or by a deadline while nothing else happens. */
#include "test_sync.h"

#include "../support/waits.h"

static int wait_long(struct scene *s)
{
    s->limit = WEFT_HOUR;
    return s->kind->wait(s);
}

static int wait_in_scope(struct call *call)
{
    struct scene *s = call->object;
    int err = 0, result = 0;
    weft_scope(scope, &err) {
        atomic_store(&s->scope, scope);
        result = wait_long(s);
        REQUIRE(s, weft_cancelled());
        REQUIRE(s, wait_long(s) == -ECANCELED); /* at once */
        weft_shield
            REQUIRE(s, weft_sleep(WEFT_US) == 0);
    }
    REQUIRE(s, err == -ECANCELED);
    REQUIRE(s, weft_sleep(WEFT_US) == 0);
    return result;
}

static int wait_in_deadline(struct call *call)
{
    struct scene *s = call->object;
    int result = 0;
    int64_t began = weft_now();
    weft_deadline(2 * WEFT_MS) {
        result = wait_long(s);
        REQUIRE(s, weft_now() >= began + 2 * WEFT_MS);
        REQUIRE(s, weft_cancelled());
        REQUIRE(s, wait_long(s) == -ETIMEDOUT);
        weft_shield
            REQUIRE(s, weft_sleep(WEFT_US) == 0);
    }
    REQUIRE(s, weft_sleep(WEFT_US) == 0);
    return result;
}

static void finish_future(struct scene *s)
{
    if (s->future != NULL)
        weft_chan_send(s->b, 7);
}

static void end_each(bool in_thread, bool by_deadline)
{
    for (unsigned i = 0; i < N_KINDS; i++) {
        struct scene *s = new_scene(&kinds[i]);
        struct call call = {.make = by_deadline ? wait_in_deadline : wait_in_scope, .object = s};
        kinds[i].prepare(s);
        if (by_deadline) {
            if (in_thread)
                start_in_thread(&call);
            else
                start_in_routine(&call);
        } else {
            start_and_see_waiting(&call, in_thread);
            weft_cancel(atomic_load(&s->scope));
        }
        cr_assert_eq(result_of(&call), by_deadline ? -ETIMEDOUT : -ECANCELED, "%s: %d", kinds[i].name,
                     atomic_load(&call.result));
        finish_future(s);
    }
}

Test(cancel, ends_every_wait_of_a_routine, .timeout = 60)
{
    end_each(false, false);
}

Test(cancel, ends_every_wait_of_a_plain_thread, .timeout = 60)
{
    end_each(true, false);
}

Test(cancel, a_deadline_ends_every_wait_of_a_routine, .timeout = 60)
{
    end_each(false, true);
}

Test(cancel, a_deadline_ends_every_wait_of_a_plain_thread, .timeout = 60)
{
    end_each(true, true);
}

/* ---- children that wait in every way ---- */

static int wait_as_child(struct scene *s, int expected)
{
    REQUIRE(s, wait_long(s) == expected);
    return 0;
}

static void end_children(bool by_deadline)
{
    int err = 1;
    static struct scene *scenes[N_KINDS];
    for (unsigned i = 0; i < N_KINDS; i++) {
        scenes[i] = new_scene(&kinds[i]);
        kinds[i].prepare(scenes[i]);
    }
    weft_deadline(by_deadline ? 5 * WEFT_MS : WEFT_HOUR)
        weft_scope(outer) {
            weft_scope(s, &err) {
                for (unsigned i = 0; i < N_KINDS; i++) {
                    int error = weft_scope_go(s, wait_as_child, scenes[i], by_deadline ? -ETIMEDOUT : -ECANCELED);
                    cr_assert_eq(error, 0);
                }
                if (!by_deadline) {
                    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
                    weft_cancel(outer);
                }
            }
        }
    cr_assert_eq(err, by_deadline ? 0 : -ECANCELED);
    for (unsigned i = 0; i < N_KINDS; i++)
        finish_future(scenes[i]);
}

Test(cancel, ends_every_wait_of_children, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        end_children(false);
}

Test(cancel, a_deadline_ends_every_wait_of_children, .timeout = 60)
{
    for (int i = 0; i < 20; i++)
        end_children(true);
}

/* ---- one that must have its mutex before it returns ---- */

/* A condition waiter that is cancelled while others hold the mutex returns when it has it. */
Test(cancel, of_a_cond_wait_waits_for_the_mutex, .timeout = 60)
{
    struct scene *s = new_scene(&kinds[0]);
    for (unsigned i = 0; i < N_KINDS; i++)
        if (kinds[i].wait == cond_wait)
            s->kind = &kinds[i];
    struct call call = {.make = wait_in_scope, .object = s};
    start_and_see_waiting(&call, false);
    EVENTUALLY(flag_is_set(s, &s->first_waits));
    weft_mutex_lock(&s->mutex);
    weft_cancel(atomic_load(&s->scope));
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    cr_assert_not(returned(&call));
    weft_mutex_unlock(&s->mutex);
    cr_assert_eq(result_of(&call), -ECANCELED);
}

/* SPDX-License-Identifier: MIT */
/* test_cancel_others.c - what a cancelled wait means for others that wait: behind it, with it, or as its children. */
#include "test_sync.h"

#include "../support/waits.h"

static int acquire_in_scope(struct call *call)
{
    struct scene *s = call->object;
    int result = 0;
    weft_scope(scope) {
        atomic_store(&s->scope, scope);
        result = weft_sem_acquire(&s->sem, call->n);
    }
    return result;
}

static int acquire(struct call *call)
{
    return weft_sem_acquire(&((struct scene *)call->object)->sem, call->n);
}

Test(cancel, of_a_large_request_lets_small_ones_behind_it_go, .timeout = 60)
{
    struct scene *s = new_scene(&kinds[0]);
    struct call large = {.make = acquire_in_scope, .object = s, .n = 5};
    struct call small = {.make = acquire, .object = s, .n = 2}, other = {.make = acquire, .object = s, .n = 2};
    weft_sem_init(&s->sem, 3);
    start_and_see_waiting(&large, false);
    start_and_see_waiting(&small, false);
    start_and_see_waiting(&other, true);
    weft_cancel(atomic_load(&s->scope));
    cr_assert_eq(result_of(&large), -ECANCELED);
    cr_assert_eq(result_of(&small), 0);
    cr_assert_not(returned(&other));
    weft_sem_release(&s->sem, 1);
    cr_assert_eq(result_of(&other), 0);
    cr_assert_eq(weft_sem_try_acquire(&s->sem, 1), -EAGAIN);
}

static int barrier_in_scope(struct call *call)
{
    struct scene *s = call->object;
    int result = 0;
    weft_scope(scope) {
        atomic_store(&s->scope, scope);
        result = weft_barrier_wait(&s->barrier);
    }
    return result;
}

static int barrier_plain(struct call *call)
{
    return weft_barrier_wait(&((struct scene *)call->object)->barrier);
}

Test(cancel, of_one_at_a_barrier_makes_the_round_wait_for_another, .timeout = 60)
{
    struct scene *s = new_scene(&kinds[0]);
    struct call leaver = {.make = barrier_in_scope, .object = s}, stayer[3];
    weft_barrier_init(&s->barrier, 3);
    start_and_see_waiting(&leaver, false);
    for (int i = 0; i < 2; i++) {
        stayer[i] = (struct call){.make = barrier_plain, .object = s};
        if (i == 1) {
            weft_cancel(atomic_load(&s->scope));
            cr_assert_eq(result_of(&leaver), -ECANCELED);
        }
        start_and_see_waiting(&stayer[i], i == 1);
    }
    stayer[2] = (struct call){.make = barrier_plain, .object = s};
    start_in_routine(&stayer[2]);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(result_of(&stayer[i]), 0);
}

/* The join itself is not ended, but those that it waits for are. */
static int join_slowly(struct scene *s)
{
    REQUIRE(s, weft_sleep(WEFT_HOUR) == -ECANCELED);
    weft_shield
        REQUIRE(s, weft_sleep(3 * WEFT_MS) == 0);
    s->value++;
    return 0;
}

static int join_in_scope(struct call *call)
{
    struct scene *s = call->object;
    weft_scope(scope) {
        atomic_store(&s->scope, scope);
        weft_scope(inner)
            REQUIRE(s, weft_scope_go(inner, join_slowly, s) == 0);
        REQUIRE(s, s->value == 1);
        REQUIRE(s, weft_sleep(WEFT_HOUR) == -ECANCELED);
    }
    return 0;
}

Test(cancel, does_not_end_the_join_of_a_scope_but_its_children, .timeout = 60)
{
    for (int i = 0; i < 20; i++) {
        struct scene *s = new_scene(&kinds[0]);
        struct call call = {.make = join_in_scope, .object = s};
        start_and_see_waiting(&call, i % 2 != 0);
        weft_cancel(atomic_load(&s->scope));
        cr_assert_eq(result_of(&call), 0);
    }
}

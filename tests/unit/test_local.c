/* SPDX-License-Identifier: MIT */
/* test_local.c - routine-local values. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weft/weft.h>

static atomic_int destroyed;

static void count(void *value)
{
    atomic_fetch_add(&destroyed, *(int *)value);
    free(value);
}

static weft_local counted = {.destructor = count}, plain, other;

static void keep(int n)
{
    int *p = malloc(sizeof(*p));
    *p = n;
    cr_assert_eq(weft_local_set(&counted, p), 0);
}

static int own_values(int n)
{
    cr_assert_null(weft_local_get(&plain));
    weft_local_set(&plain, &n);
    weft_local_set(&other, &destroyed);
    for (int i = 0; i < 100; i++) {
        weft_yield();
        if (weft_local_get(&plain) != &n || weft_local_get(&other) != &destroyed)
            return 1;
    }
    return 0;
}

Test(local, each_routine_and_thread_has_its_own_value, .timeout = 60)
{
    int mine = 0;
    cr_assert_null(weft_local_get(&plain));
    weft_local_set(&plain, &mine);
    weft_future(int) f[20];
    for (int i = 0; i < 20; i++)
        f[i] = weft_async(own_values, i);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(weft_await(f[i]), 0);
    cr_assert_eq(weft_local_get(&plain), &mine);
}

static void keep_and_return(int n) { keep(n); }
static void keep_and_exit(int n)
{
    keep(n);
    weft_exit();
}
static void keep_and_panic(int n)
{
    keep(n);
    weft_panic("at the end");
}

Test(local, destructors_run_however_the_routine_ends, .timeout = 60)
{
    weft_await(weft_async(keep_and_return, 1));
    cr_assert_eq(atomic_load(&destroyed), 1);
    weft_await(weft_async(keep_and_exit, 10));
    cr_assert_eq(atomic_load(&destroyed), 11);
    cr_assert_eq(weft_try_await(weft_async(keep_and_panic, 100), NULL), WEFT_EPANIC);
    cr_assert_eq(atomic_load(&destroyed), 111);
}

static void *keep_in_thread(void *arg)
{
    keep(5);
    return arg;
}

Test(local, destructors_run_at_the_end_of_a_plain_thread, .timeout = 60)
{
    pthread_t thread;
    pthread_create(&thread, NULL, keep_in_thread, NULL);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&destroyed), 5);
}

static int rounds;
static void set_again(void *value);
static weft_local stubborn = {.destructor = set_again};
static void set_again(void *value)
{
    rounds++;
    weft_sleep(WEFT_US); /* may wait like any function */
    weft_local_set(&stubborn, value);
}
static void be_stubborn(void) { weft_local_set(&stubborn, &rounds); }

Test(local, values_set_by_destructors_are_destroyed_for_four_rounds, .timeout = 60)
{
    weft_await(weft_async(be_stubborn));
    cr_assert_eq(rounds, 4);
}

static weft_local many[100];
static int set_many(void)
{
    for (int i = 0; i < 100; i++)
        weft_local_set(&many[i], &many[i]);
    for (int i = 0; i < 100; i++)
        if (weft_local_get(&many[i]) != &many[i])
            return i + 1;
    return 0;
}

Test(local, a_hundred_keys, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(set_many)), 0);
}

/* ---- children of scopes ---- */

static weft_local handed_on = {.inherit = true, .destructor = count}, second = {.inherit = true};

static int find_inherited(void *expected, int depth)
{
    if (weft_local_get(&handed_on) != expected || weft_local_get(&second) != &second)
        return 1;
    if (weft_local_get(&plain) != NULL || weft_local_get(&counted) != NULL)
        return 2;
    int err = 0;
    weft_scope(s, &err)
        if (depth > 0)
            weft_scope_go(s, find_inherited, expected, depth - 1);
    return err;
}

static int set_anew(void *expected)
{
    int *mine = malloc(sizeof(*mine));
    *mine = 10;
    if (weft_local_get(&handed_on) != expected)
        return 1;
    weft_local_set(&handed_on, mine);
    weft_local_set(&second, NULL);
    int err = 0;
    weft_scope(s, &err) {
        weft_yield();
        if (weft_local_get(&handed_on) != mine || weft_local_get(&second) != NULL)
            err = 2;
    }
    return err;
}

static int find_nothing(void)
{
    return weft_local_get(&handed_on) != NULL || weft_local_get(&second) != NULL;
}

static int hand_on(void)
{
    int *value = malloc(sizeof(*value)), err = 0;
    *value = 1;
    weft_local_set(&handed_on, value);
    weft_local_set(&second, &second);
    weft_local_set(&plain, &err);
    weft_scope(s, &err) {
        for (int i = 0; i < 20; i++) {
            weft_scope_go(s, find_inherited, (void *)value, 3);
            weft_scope_go(s, set_anew, (void *)value);
        }
        if (weft_await(weft_async(find_nothing)) != 0) /* not a child */
            return 5;
    }
    if (err == 0 && (weft_local_get(&handed_on) != value || weft_local_get(&second) != &second))
        return 6; /* the children's are not ours */
    return err;
}

Test(local, children_inherit_what_is_marked, .timeout = 60)
{
    cr_assert_eq(weft_await(weft_async(hand_on)), 0);
    cr_assert_eq(atomic_load(&destroyed), 20 * 10 + 1); /* each by whoever set it */
    atomic_store(&destroyed, 0);
    cr_assert_eq(hand_on(), 0);
    cr_assert_eq(atomic_load(&destroyed), 20 * 10);
    cr_assert_eq(hand_on(), 0); /* what is not a child's does not come to one */
}

/* A value that is set after the child was started is not the child's. */
static int see_first(void *first, atomic_bool *set)
{
    while (!atomic_load(set))
        weft_yield();
    return weft_local_get(&handed_on) != first;
}

Test(local, what_the_parent_sets_later_the_child_does_not_see, .timeout = 60)
{
    static int first, later;
    atomic_bool set = false;
    int err = 0;
    weft_local_set(&handed_on, &first);
    weft_scope(s, &err) {
        weft_scope_go(s, see_first, (void *)&first, &set);
        weft_local_set(&handed_on, &later);
        atomic_store(&set, true);
    }
    cr_assert_eq(err, 0);
    weft_local_set(&handed_on, NULL);
}

/* A destructor may use scopes; it runs while the routine still is a child of its own. */
static void scope_in_destructor(void *value)
{
    int err = 0;
    weft_scope(s, &err)
        weft_scope_go(s, find_nothing);
    atomic_fetch_add(&destroyed, *(int *)value + err);
}
static weft_local late = {.destructor = scope_in_destructor};
static void set_late(void)
{
    static int one = 1;
    weft_local_set(&late, &one);
}

Test(local, a_childs_destructors_have_run_when_the_scope_is_left, .timeout = 60)
{
    for (int i = 1; i <= 200; i++) {
        weft_scope(s)
            weft_scope_go(s, set_late);
        cr_assert_eq(atomic_load(&destroyed), i);
    }
}

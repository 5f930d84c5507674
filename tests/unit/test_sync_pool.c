/* SPDX-License-Identifier: MIT */
/* test_sync_pool.c - weft_pool. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <pthread.h>

#include "../support/child.h"
#include "../support/watch.h"

TestSuite(sync_pool, .timeout = 60);

static weft_pool pool;

static void *make_counted(void *arg)
{
    ++*(int *)arg;
    return weft_alloc(32);
}

Test(sync_pool, gives_what_was_put_last_and_makes_what_is_missing)
{
    static int n_made;
    pool = (weft_pool){.make = make_counted, .arg = &n_made};
    char *a = weft_pool_get(&pool), *b = weft_pool_get(&pool);
    cr_assert(a != NULL && b != NULL && a != b && n_made == 2);
    a[0] = 'a';
    weft_pool_put(&pool, b);
    weft_pool_put(&pool, a);
    char *again = weft_pool_get(&pool);
    cr_assert(again == a && again[0] == 'a', "contents stay");
    cr_assert_eq(weft_pool_get(&pool), b);
    cr_assert_eq(n_made, 2);
    weft_keep(weft_pool_get(&pool));
    cr_assert_eq(n_made, 3);
}

Test(sync_pool, without_make_an_empty_one_gives_null_and_null_is_not_put)
{
    cr_assert_null(weft_pool_get(&pool));
    weft_pool_put(&pool, NULL);
    cr_assert_null(weft_pool_get(&pool));
}

Test(sync_pool, a_thousand_objects_each_once)
{
    static void *objects[1000];
    for (int i = 0; i < 1000; i++)
        weft_pool_put(&pool, objects[i] = weft_alloc(16));
    for (int i = 999; i >= 0; i--) {
        int *p = weft_pool_get(&pool);
        cr_assert_not_null(p, "%d", i);
        cr_assert_eq((*p)++, 0, "given twice");
        cr_assert_eq(weft_base(p), p);
    }
    cr_assert_null(weft_pool_get(&pool));
}

static WF_NOINLINE void put_nodes(unsigned n)
{
    for (uint64_t i = 0; i < n; i++)
        weft_pool_put(&pool, make_node(i));
}

Test(sync_pool, one_collection_leaves_the_objects_and_two_take_them)
{
    put_nodes(500);
    cr_assert_eq(alive_after_gc(), 500);
    struct node *n = weft_pool_get(&pool);
    cr_assert(n != NULL && is_node(n, n->tag));
    cr_assert_leq(alive_after_gc(), 50 + 30); /* with it, its magazine was taken: still in use */
    cr_assert(dies_down_to(20));
    cr_assert_null(weft_pool_get(&pool));
    put_nodes(10);
    cr_assert_not_null(weft_pool_get(&pool), "it can be used again");
}

Test(sync_pool, what_is_got_and_put_again_stays)
{
    struct node *nodes[20];
    put_nodes(20);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++) {
            nodes[i] = weft_pool_get(&pool);
            cr_assert(nodes[i] != NULL && is_node(nodes[i], nodes[i]->tag));
        }
        cr_assert_null(weft_pool_get(&pool));
        for (int i = 0; i < 20; i++)
            weft_pool_put(&pool, nodes[i]);
        memset(nodes, 0, sizeof(nodes));
        cr_assert_eq(alive_after_gc(), 20);
    }
}

static WF_NOINLINE void use_a_pool_of_its_own(void)
{
    weft_pool *own = weft_new(weft_pool);
    for (uint64_t i = 0; i < 200; i++)
        weft_pool_put(own, make_node(i));
}

Test(sync_pool, a_pool_that_cannot_be_reached_dies_with_its_objects)
{
    use_a_pool_of_its_own();
    cr_assert(dies_down_to(10));
}

static void *put_thousand(void *arg)
{
    for (int i = 0; i < 1000; i++)
        weft_pool_put(arg, weft_alloc(16));
    return NULL;
}

Test(sync_pool, others_find_what_a_thread_has_put_beyond_its_own_share)
{
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, put_thousand, &pool), 0);
    pthread_join(t, NULL);
    int n = 0;
    while (weft_pool_get(&pool) != NULL)
        n++;
    cr_assert(n >= 940 && n <= 1000, "%d", n);
}

static void use_pools(int tag)
{
    static weft_pool shared;
    for (int i = 0; i < 3000; i++) {
        struct node *n[5];
        for (int k = 0; k < 5; k++) {
            n[k] = weft_pool_get(k % 2 == 0 ? &shared : &pool);
            if (n[k] == NULL)
                n[k] = weft_new(struct node);
            require(n[k]->tag == 0);
            n[k]->tag = (uint64_t)tag;
        }
        if (i % 100 == 0)
            weft_yield();
        if (i % 700 == 0)
            weft_gc();
        for (int k = 0; k < 5; k++) {
            require(n[k]->tag == (uint64_t)tag);
            n[k]->tag = 0;
            weft_pool_put(k % 2 == 0 ? &shared : &pool, n[k]);
        }
    }
}

static void verified(void)
{
    setenv("WEFT_DEBUG", "gcverify=1", 1);
    weft_scope(s)
        for (int i = 1; i <= 6; i++)
            weft_scope_go(s, use_pools, i);
}

Test(sync_pool, many_at_once_and_the_verifier_agrees)
{
    struct ending e = run_in_child(verified, 50);
    cr_assert_eq(e.exit_status, 0, "signal %d: %s", e.signal, e.text);
    cr_assert_not(says(&e, "gcverify"), "%s", e.text);
}

/* SPDX-License-Identifier: MIT */
/* test_sync_rwmutex.c - the promises of weft/sync.h about the rwmutex. */
#include "test_sync.h"

static weft_rwmutex rw;

static int read_lock(struct call *call)
{
    weft_rwmutex_rlock(call->object);
    return 0;
}

static int write_lock(struct call *call)
{
    weft_rwmutex_lock(call->object);
    return 0;
}

Test(sync_rwmutex, zero_is_ready_and_readers_share_it)
{
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_rlock(&rw);
    cr_assert_eq(weft_rwmutex_try_rlock(&rw), 0);
    cr_assert_eq(weft_rwmutex_try_lock(&rw), -EAGAIN);
    for (int i = 0; i < 3; i++)
        weft_rwmutex_runlock(&rw);
    cr_assert_eq(weft_rwmutex_try_lock(&rw), 0);
}

Test(sync_rwmutex, a_writer_excludes_all)
{
    weft_rwmutex_lock(&rw);
    cr_assert_eq(weft_rwmutex_try_rlock(&rw), -EAGAIN);
    cr_assert_eq(weft_rwmutex_try_lock(&rw), -EAGAIN);
    weft_rwmutex_unlock(&rw);
    cr_assert_eq(weft_rwmutex_try_rlock(&rw), 0);
}

Test(sync_rwmutex, unlock_without_a_writer_stops_the_program, .signal = SIGABRT)
{
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_unlock(&rw);
}

Test(sync_rwmutex, runlock_without_a_reader_stops_the_program, .signal = SIGABRT)
{
    weft_rwmutex_lock(&rw);
    weft_rwmutex_runlock(&rw);
}

Test(sync_rwmutex, a_writer_waits_for_the_last_reader, .timeout = 60)
{
    struct call writer = {.make = write_lock, .object = &rw};
    weft_rwmutex_rlock(&rw);
    weft_rwmutex_rlock(&rw);
    start_and_see_waiting(&writer, false);
    weft_rwmutex_runlock(&rw);
    cr_assert_not(returned(&writer));
    weft_rwmutex_runlock(&rw);
    cr_assert_eq(result_of(&writer), 0);
    cr_assert_eq(weft_rwmutex_try_rlock(&rw), -EAGAIN);
}

Test(sync_rwmutex, new_readers_wait_behind_a_writer_that_waits, .timeout = 60)
{
    struct call writer = {.make = write_lock, .object = &rw}, reader = {.make = read_lock, .object = &rw};
    weft_rwmutex_rlock(&rw);
    start_and_see_waiting(&writer, true);
    cr_assert_eq(weft_rwmutex_try_rlock(&rw), -EAGAIN);
    start_and_see_waiting(&reader, false);
    weft_rwmutex_runlock(&rw);
    cr_assert_eq(result_of(&writer), 0);
    cr_assert_not(returned(&reader));
    weft_rwmutex_unlock(&rw);
    cr_assert_eq(result_of(&reader), 0);
}

Test(sync_rwmutex, all_waiting_readers_go_before_the_next_writer, .timeout = 60)
{
    struct call readers[5], writer = {.make = write_lock, .object = &rw};
    weft_rwmutex_lock(&rw);
    start_and_see_waiting(&writer, false);
    for (unsigned i = 0; i < 5; i++)
        readers[i] = (struct call){.make = read_lock, .object = &rw};
    start_in_order(readers, 5);
    weft_rwmutex_unlock(&rw);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(result_of(&readers[i]), 0);
        cr_assert_not(returned(&writer));
    }
    for (unsigned i = 0; i < 5; i++)
        weft_rwmutex_runlock(&rw);
    cr_assert_eq(result_of(&writer), 0);
    weft_rwmutex_unlock(&rw);
    cr_assert_eq(rw.state, 0);
}

Test(sync_rwmutex, writers_are_served_in_order, .timeout = 60)
{
    struct call writers[6];
    weft_rwmutex_lock(&rw);
    for (unsigned i = 0; i < 6; i++)
        writers[i] = (struct call){.make = write_lock, .object = &rw};
    start_in_order(writers, 6);
    for (unsigned i = 0; i < 6; i++) {
        weft_rwmutex_unlock(&rw);
        cr_assert_eq(result_of(&writers[i]), 0);
        for (unsigned j = i + 1; j < 6; j++)
            cr_assert_not(returned(&writers[j]));
    }
}

enum { TURNS = 3000 };
static atomic_int readers_inside, writers_inside;
static atomic_bool broken;
static atomic_uint turn;

static void read_or_write(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < TURNS; i++) {
        if (atomic_fetch_add(&turn, 1) % 4 == 0) {
            weft_rwmutex_lock(&rw);
            if (atomic_fetch_add(&writers_inside, 1) != 0 || atomic_load(&readers_inside) != 0)
                atomic_store(&broken, true);
            atomic_fetch_sub(&writers_inside, 1);
            weft_rwmutex_unlock(&rw);
        } else {
            weft_rwmutex_rlock(&rw);
            atomic_fetch_add(&readers_inside, 1);
            if (i % 8 == 0)
                weft_yield();
            if (atomic_load(&writers_inside) != 0)
                atomic_store(&broken, true);
            atomic_fetch_sub(&readers_inside, 1);
            weft_rwmutex_runlock(&rw);
        }
    }
}

Test(sync_rwmutex, writers_are_alone_routines_and_threads_together, .timeout = 60)
{
    run_crowd(6, 3, read_or_write, NULL);
    cr_assert_not(atomic_load(&broken));
    cr_assert_eq(rw.state, 0);
}

static atomic_bool enough;

static void read_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough)) {
        weft_rwmutex_rlock(&rw);
        weft_yield();
        weft_rwmutex_runlock(&rw);
    }
}

static int write_ten_times(struct call *call)
{
    for (unsigned i = 0; i < 10; i++) {
        weft_rwmutex_lock(call->object);
        weft_rwmutex_unlock(call->object);
    }
    atomic_store(&enough, true);
    return 0;
}

Test(sync_rwmutex, readers_that_overlap_for_ever_do_not_starve_a_writer, .timeout = 60)
{
    struct call writer = {.make = write_ten_times, .object = &rw};
    weft_rwmutex_rlock(&rw);
    start_and_see_waiting(&writer, false);
    weft_rwmutex_runlock(&rw);
    run_crowd(4, 2, read_all_the_time, NULL);
    cr_assert_eq(result_of(&writer), 0);
}

static void write_all_the_time(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough)) {
        weft_rwmutex_lock(&rw);
        weft_yield();
        weft_rwmutex_unlock(&rw);
    }
}

static int read_ten_times(struct call *call)
{
    for (unsigned i = 0; i < 10; i++) {
        weft_rwmutex_rlock(call->object);
        weft_rwmutex_runlock(call->object);
    }
    atomic_store(&enough, true);
    return 0;
}

Test(sync_rwmutex, writers_that_queue_for_ever_do_not_starve_a_reader, .timeout = 60)
{
    struct call reader = {.make = read_ten_times, .object = &rw};
    weft_rwmutex_lock(&rw);
    start_and_see_waiting(&reader, true);
    weft_rwmutex_unlock(&rw);
    run_crowd(4, 2, write_all_the_time, NULL);
    cr_assert_eq(result_of(&reader), 0);
}

/* SPDX-License-Identifier: MIT */
/* test_leaks_report.c - weft_leaks tells what leaks, changing nothing. */
#define _GNU_SOURCE
#include "../support/leaks.h"

TestSuite(leaks, .timeout = 60);

static void named_leak(void)
{
    weft_set_name("leaky");
    receive_for_ever();
}

Test(leaks, report_names_routine_wait_and_spawn_site)
{
    struct tally t = {.waits = "receives from a channel"};
    for (int i = 0; i < MANY; i++)
        require(weft_go(named_leak) == 0);
    int line = __LINE__ - 1;
    eventually(n_parked(WF_WAIT_CHAN_RECV) == MANY);
    cr_assert(weft_leaks(count_leak, &t) >= MOST);
    cr_assert_eq(t.n_other, 0);
    cr_assert_eq(t.last.line, line);
    cr_assert_str_eq(t.last.file, "test_leaks_report.c");
    cr_assert(strcmp(t.last.function, "named_leak") == 0);
    cr_assert(t.last.object != NULL);
    cr_assert(t.last.routine_id != 0);
}

Test(leaks, without_routines_there_are_none)
{
    cr_assert_eq(weft_leaks(NULL, NULL), 0);
    cr_assert_eq(wf_n_workers, 0);
    weft_alloc(10);
    cr_assert_eq(weft_leaks(NULL, NULL), 0);
    cr_assert_eq(wf_n_workers, 0);
}

static void leak_with_an_object(void)
{
    struct node *volatile n = make_node(7);
    receive_for_ever();
    (void)n;
}

Test(leaks, what_is_leaked_stays_alive)
{
    start_many(leak_with_an_object, WF_WAIT_CHAN_RECV);
    for (int i = 0; i < 3; i++) {
        cr_assert(all_leaks() >= MOST);
        cr_assert_eq(alive_after_gc(), MANY);
    }
}

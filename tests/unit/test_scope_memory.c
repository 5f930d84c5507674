/* SPDX-License-Identifier: MIT */
/* test_scope_memory.c - what scopes take from the heap of malloc is given back. */
#include <criterion/criterion.h>

#include <malloc.h>
#include <stdatomic.h>

#include <weft/weft.h>

#include "../support/scopes.h"
#include "../support/start.h"
#include "base/compiler.h"

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void scope_with_three(void)
{
    int err = UNTOUCHED;
    weft_scope(s, &err) {
        start_child(s, fail_with, 0);
        weft_deadline(WEFT_SEC)
            start_child(s, count_end);
        weft_shield
            start_child(s, fail_with, 0);
    }
    require(err == 0);
}

static void count_heap(void)
{
    for (int i = 0; i < 1000; i++)
        scope_with_three();
    size_t before = heap_in_use();
    for (int i = 0; i < 10000; i++)
        scope_with_three();
    require(heap_in_use() < before + 65536); /* 7 bytes a scope; a thread more may come meanwhile */
}

Test(scope, nothing_is_allocated_for_a_scope_of_a_few_children, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer has a heap of its own");
    in_routine(count_heap);
    count_heap();
}

static void panic_again_and_again(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int err = UNTOUCHED;
        weft_scope(s, &err) {
            for (int k = 0; k < 3; k++)
                start_child(s, panic_with, "again");
        }
        require(err == WEFT_EPANIC);
        require(weft_try(child_panics_without_err) == WEFT_EPANIC);
        require(weft_try(panic_inside, &err) == WEFT_EPANIC);
    }
}

static void panics_give_all_back(void)
{
    panic_again_and_again(20);
    size_t before = heap_in_use();
    panic_again_and_again(300);
    size_t after = heap_in_use();
    require(after < before + 20000);
}

Test(scope, panics_leave_no_memory_behind, .timeout = 60)
{
    if (WF_ASAN)
        cr_skip_test("the sanitizer has a heap of its own");
    panics_give_all_back();
    in_routine(panics_give_all_back);
}

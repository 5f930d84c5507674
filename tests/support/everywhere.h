/* SPDX-License-Identifier: MIT */
/* everywhere.h - a test's body in a routine, in a plain thread, and in the main thread. */
#ifndef WEFT_SUPPORT_EVERYWHERE_H
#define WEFT_SUPPORT_EVERYWHERE_H

#include <pthread.h>
#include <string.h>
#include <weft/weft.h>

#include "expect.h"

static void *everywhere_in_thread(void *fn)
{
    void (*test)(void);
    memcpy(&test, &fn, sizeof(test));
    test();
    return NULL;
}

static void everywhere_in_routine(void (*test)(void))
{
    test();
}

static inline void everywhere(void (*test)(void))
{
    pthread_t thread;
    void *fn;
    memcpy(&fn, &test, sizeof(fn));
    test();
    require(pthread_create(&thread, NULL, everywhere_in_thread, fn) == 0);
    require(pthread_join(thread, NULL) == 0);
    weft_await(weft_async(everywhere_in_routine, test));
}

#endif

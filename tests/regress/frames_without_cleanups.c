/* SPDX-License-Identifier: MIT */
/* frames_without_cleanups.c - compiled without -fexceptions, and once more without tables to walk by. */
#include "panics_pass_c_and_cpp_frames.h"

static void count(int *unused)
{
    (void)unused;
    destroyed += 100;
}

#ifdef WITHOUT_TABLES
#define FRAME in_frame_without_tables
#else
#define FRAME in_frame_without_cleanups
#endif

void FRAME(call *fn, void *arg)
{
    __attribute__((cleanup(count))) int guard = 0;
    fn(arg);
    (void)guard;
}

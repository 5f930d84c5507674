/* SPDX-License-Identifier: MIT */
/* panics_pass_c_and_cpp_frames.cc - the C++ frames. */
#include "panics_pass_c_and_cpp_frames.h"

#include <weft/weft.h>

extern "C" {
unsigned destroyed, caught;
}

namespace {
struct Guard {
    ~Guard() { destroyed++; }
};
}

void in_cpp_frame(call *fn, void *arg)
{
    Guard guard;
    fn(arg);
}

void in_cpp_rethrow(call *fn, void *arg)
{
    Guard outer;
    try {
        Guard inner;
        fn(arg);
    } catch (...) {
        caught++;
        throw;
    }
}

void in_cpp_swallow(call *fn, void *arg)
{
    try {
        fn(arg);
    } catch (...) {
        caught++;
    }
}

void in_cpp_replace(call *fn, void *arg)
{
    Guard outer;
    try {
        fn(arg);
    } catch (...) {
        Guard inner;
        caught++;
        weft_panic("from the catch block");
    }
}

void in_cpp_defer(call *fn, void *arg)
{
    Guard outer;
    weft_defer(fn, arg);
    Guard inner;
    weft_panic("the first");
}

void in_cpp_noexcept(call *fn, void *arg)
{
    [&]() noexcept { fn(arg); }();
}

int in_cpp_catch_int(call *fn, void *arg)
{
    try {
        fn(arg);
    } catch (int i) {
        return i;
    }
    return 0;
}

void throw_seven(void *)
{
    throw 7;
}

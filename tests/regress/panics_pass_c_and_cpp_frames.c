/* SPDX-License-Identifier: MIT */
/* panics_pass_c_and_cpp_frames.c - a panic runs what C and C++ frames on its way have to clean up, and arrives. */
#include "panics_pass_c_and_cpp_frames.h"

#include <string.h>

#include <weft/weft.h>

#include "../support/child.h"
#include "../support/expect.h"

#define in_routine(...) weft_await(weft_async(__VA_ARGS__))

static void note(unsigned *n)
{
    ++*n;
}

static void panic_with(void *message)
{
    weft_panic("%s", (const char *)message);
}

/* A call with frames in between: calls[0](calls[1](... panic_with)). */
struct chain {
    void (**frames)(call *, void *);
    unsigned *deferred;
    void *message;
};

static void descend(void *arg)
{
    struct chain next = *(struct chain *)arg;
    weft_defer(note, next.deferred);
    if (*next.frames == NULL)
        panic_with(next.message);
    call *deeper = descend;
    void (*frame)(call *, void *) = *next.frames++;
    frame(deeper, &next);
}

static unsigned expect(void (**frames)(call *, void *), const char *message)
{
    unsigned deferred = 0;
    struct chain chain = {frames, &deferred, (void *)(uintptr_t)message};
    destroyed = caught = 0;
    require(weft_try(descend, &chain) == WEFT_EPANIC);
    return deferred;
}

#define FRAMES(...) ((void (*[])(call *, void *)){__VA_ARGS__, NULL})

static void both_kinds_of_frames(void)
{
    require(expect(FRAMES(in_cpp_frame, in_cpp_frame), "plain") == 3);
    require(destroyed == 2 && caught == 0);
    require(strcmp(weft_try_message(), "plain") == 0);

    require(expect(FRAMES(in_cpp_rethrow, in_cpp_frame, in_cpp_rethrow), "rethrown") == 4);
    require(destroyed == 5 && caught == 2);
    require(strcmp(weft_try_message(), "rethrown") == 0);
}

static void a_catch_block_panics(void)
{
    require(expect(FRAMES(in_cpp_frame, in_cpp_replace, in_cpp_frame), "replaced") == 4);
    require(destroyed == 4 && caught == 1);
    require(strcmp(weft_try_message(), "from the catch block") == 0);
}

static void defers_in_cpp(void)
{
    unsigned n = 0;
    destroyed = 0;
    require(weft_try(in_cpp_defer, (call *)note, &n) == WEFT_EPANIC);
    require(n == 1 && destroyed == 2);
    require(strcmp(weft_try_message(), "the first") == 0);
    destroyed = 0;
    require(weft_try(in_cpp_defer, panic_with, "the second") == WEFT_EPANIC);
    require(destroyed == 2);
    require(strcmp(weft_try_message(), "the second") == 0);
}

static void frames_that_cannot_clean_up(void)
{
    require(expect(FRAMES(in_cpp_frame, in_frame_without_cleanups, in_cpp_frame), "walked") == 4);
    require(destroyed == 2);
    /* From the frame without tables on, nothing is cleaned up any more. */
    require(expect(FRAMES(in_cpp_frame, in_frame_without_tables, in_cpp_frame), "jumped") == 2);
    require(destroyed == 1);
    require(strcmp(weft_try_message(), "jumped") == 0);
}

static void throw_through_try(void *unused)
{
    weft_try(throw_seven, unused);
}

static void panic_after_a_throw_through_a_try(void)
{
    require(in_cpp_catch_int(throw_through_try, NULL) == 7);
    weft_panic("after the throw");
}

static void exceptions_leave_tries_behind(void)
{
    require(weft_try(panic_after_a_throw_through_a_try) == WEFT_EPANIC);
    require(strcmp(weft_try_message(), "after the throw") == 0);
}

static void all(void)
{
    both_kinds_of_frames();
    a_catch_block_panics();
    defers_in_cpp();
    frames_that_cannot_clean_up();
    exceptions_leave_tries_behind();
}

static void swallow(void)
{
    in_cpp_swallow(panic_with, "swallowed");
}

static void start_swallow(void)
{
    weft_try_await(weft_async(swallow), NULL);
}

static void leave_noexcept(void)
{
    weft_try(in_cpp_noexcept, panic_with, "through noexcept");
}

int main(void)
{
    struct ending e = run_in_child(start_swallow, 20);
    require(e.signal == SIGABRT);
    require(says(&e, "swallowed a panic without rethrowing"));
    e = run_in_child(leave_noexcept, 20);
    require(e.signal == SIGABRT);
    require(says(&e, "terminate"));
    e = run_in_child(panic_after_a_throw_through_a_try, 20);
    require(e.signal == SIGABRT);
    require(says(&e, "after the throw"));
    all();
    in_routine(all);
    return 0;
}

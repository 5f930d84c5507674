/* SPDX-License-Identifier: MIT */
/* panics_pass_c_and_cpp_frames.h - frames of several kinds: each calls fn(arg). */
#ifndef WEFT_TESTS_PANICS_PASS_C_AND_CPP_FRAMES_H
#define WEFT_TESTS_PANICS_PASS_C_AND_CPP_FRAMES_H

#ifdef __cplusplus
extern "C" {
#endif

typedef void call(void *arg);

extern unsigned destroyed, caught; /* destructors, catch (...) that ran */

void in_cpp_frame(call *fn, void *arg);     /* with a destructor */
void in_cpp_rethrow(call *fn, void *arg);   /* ... under a catch (...) that rethrows */
void in_cpp_swallow(call *fn, void *arg);   /* under one that does not */
void in_cpp_replace(call *fn, void *arg);   /* under one that panics itself */
void in_cpp_defer(call *fn, void *arg);     /* between destructors, with weft_defer(fn, arg); panics */
void in_cpp_noexcept(call *fn, void *arg);  /* of a noexcept function */
int in_cpp_catch_int(call *fn, void *arg);  /* what int was thrown; 0: none */
void throw_seven(void *unused);
void in_frame_without_cleanups(call *fn, void *arg); /* C, without -fexceptions: its cleanup must not run */
void in_frame_without_tables(call *fn, void *arg);   /* C, not even to be walked */

#ifdef __cplusplus
}
#endif

#endif

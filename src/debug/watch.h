/* SPDX-License-Identifier: MIT */
/* watch.h - what the pilot prints on request: a dump at a signal, a line about the scheduler every so often. */
#ifndef WEFT_DEBUG_WATCH_H
#define WEFT_DEBUG_WATCH_H

#include <stdint.h>

/* WEFT_DEBUG=dump=SIGNAL (0: none) and schedtrace=MILLISECONDS (0: none). At start, before the pilot. */
void wf_watch_start(int dump_signal, unsigned trace_ms);
/* Puts the signal's former handler back. */
void wf_watch_stop(void);

/* Once a round of the pilot; hooks.h. */
void wf_watch_round(int64_t now_ns);

#endif

/* SPDX-License-Identifier: MIT */
/* dump.h - one line about a routine. */
#ifndef WEFT_DEBUG_DUMP_H
#define WEFT_DEBUG_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft__site;
enum { WF_DUMP_LINE = 512 };

/* "routine 7 "name": receives from a channel (0x...), started at file.c:12 (function)"; cut to `size`. */
void wf_dump_describe(char *out, size_t size, uint64_t id, const char *name, uint64_t waits_on, const struct weft__site *site);

/* Lines for all routines of which `waiting_only` is or is not asked, to descriptor fd. Returns how many. */
size_t wf_dump_routines(int fd, bool waiting_only);

/* Lines for the plain threads that are blocked inside weft. Returns how many. */
size_t wf_dump_threads(int fd);

#endif

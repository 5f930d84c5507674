/* SPDX-License-Identifier: MIT */
/* dump.h - one line about a routine. */
#ifndef WEFT_DEBUG_DUMP_H
#define WEFT_DEBUG_DUMP_H

#include <stdbool.h>
#include <stddef.h>

/* Lines for all routines of which `waiting_only` is or is not asked, to descriptor fd. Returns how many. */
size_t wf_dump_routines(int fd, bool waiting_only);

/* Lines for the plain threads that are blocked inside weft. Returns how many. */
size_t wf_dump_threads(int fd);

#endif

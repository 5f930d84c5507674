/* SPDX-License-Identifier: MIT */
/* print.h - everything wordcount writes. One routine at a time may call these. */
#ifndef WORDCOUNT_PRINT_H
#define WORDCOUNT_PRINT_H

#include "options.h"
#include "stages.h"

/* Rewrites the progress line on stderr, a terminal; NULL clears it. */
void print_progress(const struct tally *tally);

/* One line on stderr; `over_progress` when a progress line may stand there. */
void print_complaint(const char *complaint, bool over_progress);

/* Words and totals. 0, or 1 when stdout could not be written. */
int print_result(const struct options *options, const struct table *table, const struct tally *total, double seconds);

#endif

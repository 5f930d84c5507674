/* SPDX-License-Identifier: MIT */
/* stages.h - the routines of wordcount and what they hand to each other.
 *
 *            files             blocks             reports
 *    walk ----------> read x R --------> count x N --------> fan_in ----> print
 *      |                |                                     ^ ^
 *      '-- complaints --'-------------------------------------' '-- ticks
 *
 * Nothing is shared and nothing is locked: whatever goes through a channel belongs to its receiver. Nothing is freed:
 * paths, blocks, words and tables are collected memory, and only pointers to them are sent.
 */
#ifndef WORDCOUNT_STAGES_H
#define WORDCOUNT_STAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <weft/weft.h>

#include "table.h"

/* A piece of a file. Only the end of the file can cut a word at the end of a block. */
struct block {
    size_t capacity;
    size_t length;
    bool opens_file;
    unsigned char text[];
};

struct tally {
    size_t files, lines, words, bytes;
};

/* From a counter: what it has counted since its last report; or, as its last one, its table. */
struct report {
    struct tally tally;
    struct table *table;
};

/* Sends the path of every regular file at or below `paths`; ends when all are sent. */
void walk(char *const *paths, size_t n, weft_chan(char *) files, weft_chan(char *) complaints, weft_waitgroup *intake);

/* Sends the contents of `files` as blocks. */
void read_files(weft_chan(char *) files, weft_chan(struct block *) blocks, weft_chan(char *) complaints,
                weft_waitgroup *intake);

/* Counts the words of `blocks` until the channel is closed. */
void count_words(weft_chan(struct block *) blocks, weft_chan(struct report) reports);

#endif

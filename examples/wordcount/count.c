/* SPDX-License-Identifier: MIT */
/* count.c - counts the words of blocks. */
#include "letter.h"
#include "stages.h"

static struct tally count_block(struct block *block, struct table *table)
{
    struct tally tally = {.files = block->opens_file, .bytes = block->length};
    unsigned char *at = block->text, *end = at + block->length;

    while (at < end) {
        if (letter(*at) == 0) {
            tally.lines += *at++ == '\n';
            continue;
        }
        unsigned char *word = at;
        uint64_t hash = TABLE_HASH_START;
        for (unsigned char l; at < end && (l = letter(*at)) != 0; at++) {
            *at = l;
            hash = table_hash_step(hash, l);
        }
        table_count(table, (const char *)word, (size_t)(at - word), hash);
        tally.words++;
    }
    return tally;
}

void count_words(weft_chan(struct block *) blocks, weft_chan(struct report) reports)
{
    struct table *table = table_create();
    weft_chan_each(struct block *, block, blocks) {
        struct report report = {.tally = count_block(block, table)};
        weft_chan_send(reports, report);
    }
    weft_chan_send(reports, ((struct report){.table = table}));
}

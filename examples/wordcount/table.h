/* SPDX-License-Identifier: MIT */
/* table.h - how often each word occurred; for one routine at a time. */
#ifndef WORDCOUNT_TABLE_H
#define WORDCOUNT_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table;

struct word {
    const char *text; /* not terminated, in the midst of other words' */
    size_t length;
    size_t count; /* 0: a free slot */
    uint64_t hash;
};

/* The caller hashes a word while it looks for its end: FNV-1a. */
#define TABLE_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t table_hash_step(uint64_t hash, unsigned char c)
{
    return (hash ^ c) * UINT64_C(0x100000001b3);
}

struct table *table_create(void);

/* One more of this word, which is copied if it is new. */
void table_count(struct table *table, const char *text, size_t length, uint64_t hash);

/* Adds the counts of `from`; they share the letters. */
void table_merge(struct table *into, struct table *from);

size_t table_words(const struct table *table);

/* Fills `ret_words`, room for table_words(), in no order. */
void table_list(const struct table *table, const struct word **ret_words);

#endif

/* SPDX-License-Identifier: MIT */
/* table.c - a hash table of words with linear probing; the letters lie in chunks, each of which lives as long as some word
 * points into it.
 *
 * Invariants: n_slots is a power of two; 4 * n_words <= 3 * n_slots, so every probe ends at a free slot.
 */
#include "table.h"

#include <stdbool.h>
#include <string.h>

#include "memory.h"

enum { FIRST_SLOTS = 4096, CHUNK_SIZE = 64 * 1024 };

struct table {
    struct word *slots;
    size_t n_slots, n_words;
    char *chunk; /* the rest of it */
    size_t chunk_left;
};

struct table *table_create(void)
{
    struct table *table = must(weft_new(struct table));
    table->slots = must(weft_new_array(struct word, FIRST_SLOTS));
    table->n_slots = FIRST_SLOTS;
    return table;
}

/* The slot that holds the word, or the free one where it belongs. */
static struct word *find_slot(const struct table *table, const char *text, size_t length, uint64_t hash)
{
    for (size_t i = (size_t)(hash ^ hash >> 32);; i++) {
        struct word *slot = &table->slots[i & (table->n_slots - 1)];
        if (slot->count == 0)
            return slot;
        if (slot->hash == hash && slot->length == length && memcmp(slot->text, text, length) == 0)
            return slot;
    }
}

static void grow(struct table *table)
{
    struct table old = *table;
    table->n_slots *= 2;
    table->slots = must(weft_new_array(struct word, table->n_slots));
    for (size_t i = 0; i < old.n_slots; i++) {
        const struct word *word = &old.slots[i];
        if (word->count != 0)
            *find_slot(table, word->text, word->length, word->hash) = *word;
    }
}

static const char *copy_text(struct table *table, const char *text, size_t length)
{
    if (table->chunk_left < length) {
        table->chunk_left = length > CHUNK_SIZE ? length : CHUNK_SIZE;
        table->chunk = must(weft_alloc_data(table->chunk_left));
    }
    char *copy = memcpy(table->chunk, text, length);
    table->chunk += length;
    table->chunk_left -= length;
    return copy;
}

/* `slot` is free and belongs to `word`. */
static void occupy(struct table *table, struct word *slot, struct word word)
{
    *slot = word;
    table->n_words++;
    if (4 * table->n_words > 3 * table->n_slots)
        grow(table);
}

void table_count(struct table *table, const char *text, size_t length, uint64_t hash)
{
    struct word *slot = find_slot(table, text, length, hash);
    if (slot->count != 0)
        slot->count++;
    else
        occupy(table, slot, (struct word){copy_text(table, text, length), length, 1, hash});
}

void table_merge(struct table *into, struct table *from)
{
    for (size_t i = 0; i < from->n_slots; i++) {
        const struct word *word = &from->slots[i];
        if (word->count == 0)
            continue;
        struct word *slot = find_slot(into, word->text, word->length, word->hash);
        if (slot->count != 0)
            slot->count += word->count;
        else
            occupy(into, slot, *word);
    }
}

size_t table_words(const struct table *table)
{
    return table->n_words;
}

void table_list(const struct table *table, const struct word **ret_words)
{
    for (size_t i = 0; i < table->n_slots; i++)
        if (table->slots[i].count != 0)
            *ret_words++ = &table->slots[i];
}

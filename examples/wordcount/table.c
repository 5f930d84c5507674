/* SPDX-License-Identifier: MIT */
/* table.c - a hash table of words with linear probing; the letters lie in chunks.
 *
 * Invariants: n_slots is a power of two; 4 * n_words <= 3 * n_slots, so every probe ends at a free slot.
 */
#include "table.h"

#include <stdbool.h>
#include <string.h>

#include "memory.h"

enum { FIRST_SLOTS = 4096, CHUNK_SIZE = 64 * 1024 };

struct chunk {
    struct chunk *next;
    size_t used, capacity;
    char text[];
};

struct table {
    struct word *slots;
    size_t n_slots, n_words;
    struct chunk *chunks; /* only the first one takes more */
};

static struct word *allocate_slots(size_t n)
{
    struct word *slots = must_alloc(n * sizeof *slots);
    memset(slots, 0, n * sizeof *slots);
    return slots;
}

struct table *table_create(void)
{
    struct table *table = must_alloc(sizeof *table);
    *table = (struct table){.slots = allocate_slots(FIRST_SLOTS), .n_slots = FIRST_SLOTS};
    return table;
}

void table_destroy(struct table *table)
{
    while (table->chunks != NULL) {
        struct chunk *chunk = table->chunks;
        table->chunks = chunk->next;
        free(chunk);
    }
    free(table->slots);
    free(table);
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
    table->slots = allocate_slots(table->n_slots);
    for (size_t i = 0; i < old.n_slots; i++) {
        const struct word *word = &old.slots[i];
        if (word->count != 0)
            *find_slot(table, word->text, word->length, word->hash) = *word;
    }
    free(old.slots);
}

static const char *copy_text(struct table *table, const char *text, size_t length)
{
    struct chunk *chunk = table->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < length) {
        size_t capacity = length > CHUNK_SIZE ? length : CHUNK_SIZE;
        chunk = must_alloc(sizeof *chunk + capacity);
        *chunk = (struct chunk){.next = table->chunks, .capacity = capacity};
        table->chunks = chunk;
    }
    char *copy = memcpy(chunk->text + chunk->used, text, length);
    chunk->used += length;
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
    struct chunk **end = &into->chunks; /* the letters of `from` stay where they are */
    while (*end != NULL)
        end = &(*end)->next;
    *end = from->chunks;
    from->chunks = NULL;
    table_destroy(from);
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

/* SPDX-License-Identifier: MIT */
/* print.c - progress, complaints, words and totals. */
#include "print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

#define CLEAR_LINE "\r\033[K"

void print_progress(const struct tally *tally)
{
    if (tally == NULL)
        fputs(CLEAR_LINE, stderr);
    else
        fprintf(stderr, CLEAR_LINE "%zu files, %zu words, %.1f MB", tally->files, tally->words,
                (double)tally->bytes / 1e6);
}

void print_complaint(const char *complaint, bool over_progress)
{
    fprintf(stderr, "%swordcount: %s\n", over_progress ? CLEAR_LINE : "", complaint);
}

static int by_word(const void *a, const void *b)
{
    const struct word *x = *(const struct word *const *)a, *y = *(const struct word *const *)b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_count(const void *a, const void *b)
{
    const struct word *x = *(const struct word *const *)a, *y = *(const struct word *const *)b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_word(a, b);
}

static void print_words(const struct options *options, const struct table *table)
{
    size_t n = table_words(table), shown = options->all || options->top > n ? n : options->top;
    const struct word **words = must(weft_new_array(const struct word *, n + 1));
    table_list(table, words);
    qsort(words, n, sizeof *words, options->all ? by_word : by_count);
    for (size_t i = 0; i < shown; i++) {
        printf("%7zu ", words[i]->count);
        fwrite(words[i]->text, 1, words[i]->length, stdout);
        putchar('\n');
    }
}

int print_result(const struct options *options, const struct table *table, const struct tally *total, double seconds)
{
    print_words(options, table);

    double megabytes = (double)total->bytes / 1e6;
    fprintf(options->all ? stderr : stdout,
            "total: %zu files, %zu lines, %zu words, %zu distinct, %zu bytes\n"
            "speed: %.1f MB in %.3f s, %.1f MB/s\n",
            total->files, total->lines, total->words, table_words(table), total->bytes, megabytes, seconds,
            megabytes / seconds);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("wordcount: cannot write the result\n", stderr);
        return 1;
    }
    return 0;
}

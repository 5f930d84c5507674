/* SPDX-License-Identifier: MIT */
/* main.c - wordcount: counts the words of files and folders with a pipeline of routines (stages.h). */
#include <stdio.h>
#include <unistd.h>

#include "options.h"
#include "print.h"
#include "stages.h"

enum { READERS = 4, MAX_COUNTERS = 64 };

static void close_after(weft_waitgroup *intake, weft_chan(struct block *) blocks)
{
    weft_waitgroup_wait(intake);
    weft_chan_close(blocks);
}

static void merge(struct table *into, struct table *from, weft_chan(struct report) reports)
{
    table_merge(into, from);
    weft_chan_send(reports, ((struct report){.table = into}));
}

/* Collects what comes out of the pipeline. N tables are merged two by two, each pair in a routine of its own whose
 * result comes back the same way: 2N - 1 tables in all, and the last one is the whole. */
static struct table *fan_in(size_t counters, weft_chan(struct report) reports, weft_chan(char *) complaints,
                            struct tally *total, int *failures)
{
    /* Without a terminal `ticks` stays NULL, a channel that is never ready. */
    weft_chan(weft_time) ticks = isatty(STDERR_FILENO) ? weft_ticker_make(100 * WEFT_MS) : NULL;
    struct table *whole = NULL;

    for (size_t awaited = 2 * counters - 1; awaited > 0;) {
        struct report report;
        char *complaint;
        switch (weft_select(weft_on_recv(reports, &report), weft_on_recv(complaints, &complaint),
                            weft_on_recv(ticks, NULL))) {
        case 0:
            total->files += report.tally.files;
            total->lines += report.tally.lines;
            total->words += report.tally.words;
            total->bytes += report.tally.bytes;
            if (report.table == NULL)
                break;
            awaited--;
            if (whole == NULL) {
                whole = report.table;
            } else {
                weft_go(merge, whole, report.table, reports);
                whole = NULL;
            }
            break;
        case 1:
            print_complaint(complaint, ticks != NULL);
            ++*failures;
            break;
        case 2:
            print_progress(total);
            break;
        }
    }
    if (ticks != NULL) {
        weft_ticker_stop(ticks);
        print_progress(NULL);
    }
    return whole;
}

/* Builds the pipeline and waits for its end. Gives the exit status. */
static int count(const struct options *options)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t counters = cpus < 1 ? 1 : cpus > MAX_COUNTERS ? MAX_COUNTERS : (size_t)cpus;
    weft_time start = weft_now();

    weft_chan(char *) files = weft_chan_make(char *, 64);
    weft_chan(char *) complaints = weft_chan_make(char *, 0); /* a rendezvous: none is left behind at the end */
    weft_chan(struct block *) blocks = weft_chan_make(struct block *, 2 * counters);
    weft_chan(struct report) reports = weft_chan_make(struct report, 4 * counters);

    weft_waitgroup intake = {0};
    weft_waitgroup_add(&intake, 1 + READERS);
    weft_go(walk, options->paths, options->n_paths, files, complaints, &intake);
    for (int i = 0; i < READERS; i++)
        weft_go(read_files, files, blocks, complaints, &intake);
    weft_go(close_after, &intake, blocks);
    for (size_t i = 0; i < counters; i++)
        weft_go(count_words, blocks, reports);

    struct tally total = {0};
    int failures = 0;
    struct table *table = fan_in(counters, reports, complaints, &total, &failures);
    double seconds = (double)(weft_now() - start) / WEFT_SEC;

    int status = print_result(options, table, &total, seconds);
    return status != 0 || failures > 0;
}

int main(int argc, char **argv)
{
    struct options options = options_parse(argc, argv);
    weft_future(int) status = weft_async(count, &options);
    return weft_await(status);
}

/* SPDX-License-Identifier: MIT */
/* options.c - reads the command line of wordcount. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: wordcount [--top N | --all] [FILE or FOLDER]...\n"
    "Counts the words of files and of all files below folders (default: the current folder).\n"
    "\n"
    "  --top N   print the N most frequent words, equal counts by word (default 20)\n"
    "  --all     print every word, sorted by word; totals then go to stderr\n"
    "  --help    print this and end\n"
    "\n"
    "A word is a longest run of ASCII letters, lower-cased; every other byte separates. The list is that of\n"
    "  export LC_ALL=C; tr -cs A-Za-z '\\n' | tr A-Z a-z | grep . | sort | uniq -c\n"
    "and with --top N that of '... | sort -k1,1nr -k2 | head -n N'. Lines are counted as 'wc -l' does.\n"
    "Below a folder, symbolic links and folders named .git or build are left out.\n"
    "Exit status: 0, 1 if something could not be read or written, 2 for a wrong command line.\n";

static _Noreturn void refuse(void)
{
    fputs("Try 'wordcount --help'.\n", stderr);
    exit(2);
}

static size_t parse_count(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || n > SIZE_MAX) {
        fprintf(stderr, "wordcount: --top: '%s' is not a number\n", text);
        refuse();
    }
    return (size_t)n;
}

struct options options_parse(int argc, char **argv)
{
    static char here[] = ".", *current_folder[] = {here};
    static const struct option known[] = {
        {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {"top", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.paths = current_folder, .n_paths = 1, .top = 20};

    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'a':
            options.all = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        case 't':
            options.top = parse_count(optarg);
            break;
        default:
            refuse();
        }
    }
    if (optind < argc) {
        options.paths = argv + optind;
        options.n_paths = (size_t)(argc - optind);
    }
    return options;
}

/* SPDX-License-Identifier: MIT */
/* options.h - the command line of wordcount. */
#ifndef WORDCOUNT_OPTIONS_H
#define WORDCOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    char *const *paths; /* at least one */
    size_t n_paths;
    size_t top;
    bool all;
};

/* Ends the program for --help (status 0) and for a wrong command line (status 2, message on stderr). */
struct options options_parse(int argc, char **argv);

#endif

/* SPDX-License-Identifier: MIT */
/* elements.h - types of values of all kinds of sizes, from none to a page. */
#ifndef WEFT_TESTS_ELEMENTS_H
#define WEFT_TESTS_ELEMENTS_H

#include <stdint.h>

struct nothing {
};
struct three {
    char bytes[3];
};
struct sixteen {
    uint64_t a, b;
};
struct twentyfour {
    uint64_t a, b, c;
};
struct hundred {
    char bytes[100];
};
struct page {
    unsigned char bytes[4096];
};

#endif

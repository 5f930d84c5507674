/* SPDX-License-Identifier: MIT */
/* assert.c - the two ways a line reaches stderr: a message, and the last one before SIGABRT. */
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void write_line(const char *prefix, const char *format, va_list ap)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "%s", prefix);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
    if (m < 0)
        m = 0;
    size_t length = (size_t)n + (size_t)m;
    if (length > sizeof(line) - 2)
        length = sizeof(line) - 2;
    line[length++] = '\n';
    const char *at = line;
    while (length > 0) {
        ssize_t w = write(STDERR_FILENO, at, length);
        if (w <= 0)
            return;
        at += w;
        length -= (size_t)w;
    }
}

void wf_message(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_line("weft: ", format, ap);
    va_end(ap);
}

_Noreturn void wf_fatal(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_line("weft: fatal: ", format, ap);
    va_end(ap);
    abort();
}

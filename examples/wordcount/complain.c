/* SPDX-License-Identifier: MIT */
/* complain.c - formats complaints. */
#include "complain.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

void complain(weft_chan(char *) complaints, const char *what, const char *path, int error)
{
    const char *reason = strerror(-error);
    size_t size = strlen(what) + strlen(path) + strlen(reason) + sizeof " '': ";
    char *text = must_alloc(size);
    snprintf(text, size, "%s '%s': %s", what, path, reason);
    weft_chan_send(complaints, text);
}

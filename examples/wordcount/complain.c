/* SPDX-License-Identifier: MIT */
/* complain.c - formats complaints. */
#include "complain.h"

#include <string.h>

#include "memory.h"

void complain(weft_chan(char *) complaints, const char *what, const char *path, int error)
{
    char *text = must(weft_sprintf("%s '%s': %s", what, path, strerror(-error)));
    weft_chan_send(complaints, text);
}

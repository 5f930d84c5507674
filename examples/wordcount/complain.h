/* SPDX-License-Identifier: MIT */
/* complain.h - tells the user, by way of the one routine that writes to the terminal, what could not be done.
 *
 * Errors travel as negative errno values. `errno` itself is read only in functions that are not inlined and call
 * nothing of weft: compilers may keep its address across a call, and a routine may continue on another thread.
 */
#ifndef WORDCOUNT_COMPLAIN_H
#define WORDCOUNT_COMPLAIN_H

#include <weft/weft.h>

/* Returns once the complaint has been received. */
void complain(weft_chan(char *) complaints, const char *what, const char *path, int error);

#endif

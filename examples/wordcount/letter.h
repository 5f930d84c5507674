/* SPDX-License-Identifier: MIT */
/* letter.h - what a word is made of. */
#ifndef WORDCOUNT_LETTER_H
#define WORDCOUNT_LETTER_H

/* The lower-case form of an ASCII letter; 0 for any other byte. */
static inline unsigned char letter(unsigned char c)
{
    unsigned char lower = c | 0x20;
    return (unsigned char)(lower - 'a') < 26 ? lower : 0;
}

#endif

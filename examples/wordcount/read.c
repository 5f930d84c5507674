/* SPDX-License-Identifier: MIT */
/* read.c - reads files and cuts them into blocks between words.
 *
 * It reads with plain read(): a routine that waits in a system call holds up no other.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "letter.h"
#include "memory.h"
#include "stages.h"

enum { BLOCK_SIZE = 64 * 1024 - (int)sizeof(struct block) };

/* Text: there is nothing in it that the collector would have to look for. */
static struct block *new_block(size_t capacity)
{
    struct block *block = must(weft_alloc_data(sizeof *block + capacity));
    *block = (struct block){.capacity = capacity};
    return block;
}

/* A descriptor or a negative errno. Not inlined: see complain.h. */
static __attribute__((noinline)) int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

/* Reads until `block` is full. 1, 0 at the end of the file, or a negative errno. */
static __attribute__((noinline)) int fill_block(int fd, struct block *block)
{
    while (block->length < block->capacity) {
        ssize_t n = read(fd, block->text + block->length, block->capacity - block->length);
        if (n == 0)
            return 0;
        if (n > 0)
            block->length += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return 1;
}

/* Moves the word at the end of a full block, which may go on, to a new one. */
static struct block *split_block(struct block *block)
{
    size_t cut = block->length;
    while (cut > 0 && letter(block->text[cut - 1]) != 0)
        cut--;
    size_t tail = block->length - cut;
    struct block *next = new_block(tail <= BLOCK_SIZE / 2 ? BLOCK_SIZE : 2 * tail);
    memcpy(next->text, block->text + cut, tail);
    next->length = tail;
    block->length = cut;
    return next;
}

/* 0 or a negative errno; what was read before an error is sent in any case. */
static int read_file(int fd, weft_chan(struct block *) blocks)
{
    struct block *block = new_block(BLOCK_SIZE);
    block->opens_file = true;

    int more;
    while ((more = fill_block(fd, block)) > 0) {
        struct block *next = split_block(block);
        weft_chan_send(blocks, block);
        block = next;
    }
    weft_chan_send(blocks, block);
    return more;
}

void read_files(weft_chan(char *) files, weft_chan(struct block *) blocks, weft_chan(char *) complaints,
                weft_waitgroup *intake)
{
    weft_chan_each(char *, path, files) {
        int fd = open_file(path);
        if (fd < 0) {
            complain(complaints, "cannot open", path, fd);
        } else {
            int error = read_file(fd, blocks);
            if (error < 0)
                complain(complaints, "cannot read", path, error);
            close(fd);
        }
    }
    weft_waitgroup_done(intake);
}

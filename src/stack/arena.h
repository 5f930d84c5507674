/* SPDX-License-Identifier: MIT */
/* arena.h - where stacks come from: one reservation cut into slots of the default size, and mappings for the rest.
 *
 * A slot is `slot_size` bytes: a guard of WF_GUARD_SIZE at its low end, then the stack. Slots are made usable in chunks
 * (2 MiB): one mprotect, one batch of guards (MADV_GUARD_INSTALL: no mapping each; where the kernel has none, mprotect
 * up to a budget of mappings, then unguarded with one warning). Pages are committed by first touch and go back by
 * wf_arena_trim. Slot numbers are below the number of descriptors, so a routine that has a descriptor finds a slot.
 */
#ifndef WEFT_STACK_ARENA_H
#define WEFT_STACK_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WF_GUARD_SIZE = 8192, WF_STACK_COLOURS = 16, WF_STACK_HEADROOM = 640 };

struct wf_arena {
    char *base;       /* the reservation; immutable after init */
    size_t slot_size; /* a power of two */
    unsigned slot_shift;
    uint32_t n_slots;   /* immutable after init */
    bool guard_install; /* MADV_GUARD_INSTALL works */
    bool guards_all;    /* false once a slot had to go unguarded */
};
extern struct wf_arena wf_arena;

/* Reserves address space for stacks of slot_size bytes: `most_bytes` (0: 256 GiB), halved until the system gives it.
 * -ENOMEM when not even 1 MiB is to be had. `force_no_guard_install` tests the fallback. */
int wf_arena_init(size_t slot_size, size_t most_bytes, bool force_no_guard_install);
void wf_arena_fini(void);

/* Makes slots usable until at least `n_slots` are. 0, -ENOMEM. Serialised by the caller (routine slab's lock). */
int wf_arena_grow(uint32_t n_slots);

/* Takes up to `n` free slots into out[]; returns how many (0: none left that was grown). Gives `n` slots back. Both take
 * the arena's own lock. */
uint32_t wf_arena_take(uint32_t *out, uint32_t n);
void wf_arena_give(const uint32_t *slots, uint32_t n);

/* Highest usable address of a slot, coloured: tops of neighbouring slots differ by 64 bytes so that they do not fall
 * into the same sets of the first-level cache. WF_STACK_HEADROOM bytes above it are readable. 16-byte aligned. */
static inline void *wf_arena_top(uint32_t slot)
{
    return wf_arena.base + (((size_t)slot + 1) << wf_arena.slot_shift) - WF_STACK_HEADROOM -
           (size_t)(slot % WF_STACK_COLOURS) * 64;
}
static inline void *wf_arena_low(uint32_t slot)
{
    return wf_arena.base + ((size_t)slot << wf_arena.slot_shift) + WF_GUARD_SIZE;
}

/* Gives the pages of free slots back to the system; returns how many slots were trimmed. */
uint32_t wf_arena_trim(void);

/* A stack of its own for a routine that asked for another size: *ret_stack is the lowest address of the mapping (guard
 * included), `size` its length. 0, -ENOMEM. */
int wf_own_stack_map(size_t size, void **ret_stack);
void wf_own_stack_unmap(void *stack, size_t size);

/* True when `address` lies in the guard of slot *ret_slot. Async-signal-safe. */
bool wf_arena_guard_hit(const void *address, uint32_t *ret_slot);

#endif

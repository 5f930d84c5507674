/* SPDX-License-Identifier: MIT */
/* rand.h - a small fast generator (Vigna's xorshift64*), one state per thread or worker; never for secrets. */
#ifndef WEFT_BASE_RAND_H
#define WEFT_BASE_RAND_H

#include <stdint.h>

struct wf_rand {
    uint64_t state; /* never 0 */
};

static inline void wf_rand_seed(struct wf_rand *r, uint64_t seed)
{
    r->state = (seed + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u | 1;
}

static inline uint32_t wf_rand_next(struct wf_rand *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 32);
}

/* Uniform in [0, bound), bound > 0 (Lemire's multiply; the bias below 2^-24 for small bounds is accepted). */
static inline uint32_t wf_rand_below(struct wf_rand *r, uint32_t bound)
{
    return (uint32_t)(((uint64_t)wf_rand_next(r) * bound) >> 32);
}

#endif

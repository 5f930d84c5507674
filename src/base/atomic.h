/* SPDX-License-Identifier: MIT */
/* atomic.h - the one wrapper over C11 atomics: short names that carry the order, no default order. */
#ifndef WEFT_BASE_ATOMIC_H
#define WEFT_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define wf_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define wf_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define wf_load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)
#define wf_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define wf_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define wf_store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define wf_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define wf_add_acq_rel(p, v) atomic_fetch_add_explicit((p), (v), memory_order_acq_rel)
#define wf_add_seq_cst(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define wf_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define wf_sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define wf_sub_seq_cst(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define wf_or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define wf_or_seq_cst(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define wf_and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define wf_and_release(p, v) atomic_fetch_and_explicit((p), (v), memory_order_release)
#define wf_swap_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define wf_swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define wf_swap_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)
#define wf_swap_seq_cst(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
/* Strong compare-and-swap; `expected` is a pointer and gets the value found. Failure order: acquire/relaxed. */
#define wf_cas_acquire(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, memory_order_relaxed)
#define wf_cas_release(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, memory_order_relaxed)
#define wf_cas_acq_rel(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire)
#define wf_cas_seq_cst(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst, memory_order_acquire)
#define wf_cas_relaxed(p, expected, v) \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, memory_order_relaxed)
#define wf_fence_seq_cst() atomic_thread_fence(memory_order_seq_cst)
#define wf_fence_acquire() atomic_thread_fence(memory_order_acquire)

/* One more, by the only writer of the counter; readable by all. */
#define wf_count(p) wf_store_release((p), wf_load_relaxed(p) + 1)

static inline void wf_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif

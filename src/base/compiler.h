/* SPDX-License-Identifier: MIT */
/* compiler.h - the compiler attributes and small macros the rest of the library spells one way. */
#ifndef WEFT_BASE_COMPILER_H
#define WEFT_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define WF_LIKELY(x) __builtin_expect(!!(x), 1)
#define WF_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WF_NOINLINE __attribute__((noinline))
#define WF_INLINE static inline __attribute__((always_inline))
#define WF_COLD __attribute__((noinline, cold))
#define WF_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define WF_CACHELINE 64
#define WF_ALIGNED_LINE __attribute__((aligned(WF_CACHELINE)))

/* Every read names the slot through %fs again and costs one load; the thread never changes the slot's address. */
#define WF_TLS __thread __attribute__((tls_model("initial-exec")))

/* Public functions that can park are never inlined into a caller: a routine may continue on another thread. */
#define WF_PUBLIC __attribute__((visibility("default"), noinline))

#define wf_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define WF_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Keeps the compiler from moving memory accesses across; the processor is not told. */
#define wf_compiler_barrier() __asm__ volatile("" ::: "memory")

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define WF_ASAN 1
#else
#define WF_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define WF_TSAN 1
#else
#define WF_TSAN 0
#endif

/* Memory that may hold the only pointer to a malloc'd block: told to the leak checker. */
#if WF_ASAN
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
#define wf_lsan_root(p, size) __lsan_register_root_region(p, size)
#define wf_lsan_unroot(p, size) __lsan_unregister_root_region(p, size)
#else
#define wf_lsan_root(p, size) ((void)(p), (void)(size))
#define wf_lsan_unroot(p, size) ((void)(p), (void)(size))
#endif

#ifndef WF_DEBUG_LEVEL
#define WF_DEBUG_LEVEL 0
#endif
#ifndef WF_PERTURB
#define WF_PERTURB 0
#endif

#endif

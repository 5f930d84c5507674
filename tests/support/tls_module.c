/* SPDX-License-Identifier: MIT */
/* tls_module.c - a shared object with a static pointer and thread-local ones, to be loaded and unloaded while collections run. */
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void **module_static(void);
EXPORT void **module_local(void);

static void *in_data = (void *)&in_data;
/* So large that the loader gives it a mapping of its own. */
static __thread struct {
    void *pointer;
    char rest[256 << 10];
} local;

void **module_static(void)
{
    return &in_data;
}

void **module_local(void)
{
    local.rest[sizeof(local.rest) - 1] = 1;
    return &local.pointer;
}

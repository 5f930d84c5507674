/* SPDX-License-Identifier: MIT */
/* membarrier.c - membarrier(2) PRIVATE_EXPEDITED, or nothing but a local fence when it is refused.
 *
 * ThreadSanitizer does not know membarrier; under it the fallback is always used, which it can follow.
 */
#define _GNU_SOURCE
#include "base/membarrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/compiler.h"

bool wf_membarrier_refused;

void wf_membarrier_init(bool force_fallback)
{
    int saved = errno;
    wf_membarrier_refused =
        force_fallback || WF_TSAN || syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0;
    errno = saved;
}

void wf_heavy_fence(void)
{
    wf_fence_seq_cst();
    if (wf_membarrier_refused)
        return;
    int saved = errno;
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    errno = saved;
}

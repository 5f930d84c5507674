/* SPDX-License-Identifier: MIT */
/* workers.c - pools as the user sees them: weft_workers, and the number of workers of the default one.
 *
 * Destroying. A routine's last act that its user can see (the end of a wait group, a value sent) comes a little before its
 * end, so a pool is waited for rather than refused. When no routine lives in it its size becomes 0 and its workers retire,
 * which moves the timers that are pending in it to the default pool; one that expired on the way may have started a
 * routine here once more, so then it gets its workers back and is waited for again. At last its threads, all of them
 * spares by now, are told to end.
 */
#include <errno.h>
#include <weft/runtime.h>
#include <weft/time.h>

#include "sched/hooks.h"
#include "sched/resize.h"
#include "sched/threads.h"

enum { PAUSE_NS = 200000 };

static int resize(struct wf_pool *pool, unsigned n)
{
    int saved = errno;
    int error = wf_pool_resize(pool, n);
    wf_compiler_barrier(); /* compilers hold that some of libc leaves errno alone */
    errno = saved;
    return error;
}

WF_PUBLIC weft_workers *weft_workers_create(unsigned n, const weft_workers_attr *attr)
{
    if (n < 1 || n > WF_WORKERS_MAX || (attr != NULL && (attr->nice < -20 || attr->nice > 19)))
        return NULL;
    if (wf_hooks.ensure_started() != 0)
        return NULL;
    struct wf_pool *pool = NULL;
    wf_pools_enter();
    if (wf_pools.open)
        pool = wf_pool_make(attr != NULL && attr->name != NULL ? attr->name : "", attr != NULL ? attr->nice : 0);
    if (pool != NULL && resize(pool, n) != 0) {
        pool->used = false;
        pool = NULL;
    }
    wf_pools_leave();
    return (weft_workers *)pool;
}

WF_PUBLIC weft_workers *weft_workers_default(void)
{
    return wf_hooks.ensure_started() == 0 ? (weft_workers *)wf_default_pool : NULL;
}

WF_PUBLIC int weft_workers_set(weft_workers *p, unsigned n)
{
    if (n < 1 || n > WF_WORKERS_MAX)
        return -EINVAL;
    int error = -EINVAL;
    wf_pools_enter();
    struct wf_pool *pool = wf_pool_named(p);
    if (pool != NULL && wf_pools.open)
        error = resize(pool, n);
    wf_pools_leave();
    return error;
}

WF_PUBLIC unsigned weft_workers_size(const weft_workers *p)
{
    struct wf_pool *pool = wf_pool_named(p);
    return pool != NULL ? wf_load_acquire(&pool->size) : 0;
}

WF_PUBLIC int weft_set_procs(unsigned n)
{
    if (n < 1 || n > WF_WORKERS_MAX)
        return -EINVAL;
    int error = wf_hooks.ensure_started();
    if (error != 0)
        return error;
    wf_pools_enter();
    error = wf_pools.open ? resize(wf_default_pool, n) : -ECANCELED;
    wf_pools_leave();
    return error;
}

/* ---- destroying ---- */

static uint64_t live_in(struct wf_pool *pool)
{
    uint64_t ended = wf_pool_ended(pool);
    return wf_pool_started(pool) - ended;
}

/* True: its workers are all gone, and no routine lives in it. Else it has `n` workers, or is about to have none. */
static bool is_empty(struct wf_pool *pool, uint32_t n)
{
    uint32_t want = live_in(pool) == 0 ? 0 : n;
    if (wf_load_relaxed(&pool->size) != want)
        resize(pool, want);
    else
        wf_pool_settle(pool, false);
    return want == 0 && wf_load_relaxed(&pool->reach) == 0 && live_in(pool) == 0;
}

/* wf_pools.lock is held on the way in and out. */
static int empty(struct wf_pool *pool, uint64_t run)
{
    uint32_t n = wf_load_relaxed(&pool->size);
    while (!is_empty(pool, n)) {
        wf_pools_leave();
        int error = weft_sleep(PAUSE_NS); /* ended with the blocks that the caller is in */
        wf_pools_enter();
        if (!wf_pools.open || wf_pools.run != run)
            return -ECANCELED; /* weft_stop() ends all pools */
        if (error != 0) {
            resize(pool, n);
            return error;
        }
    }
    return 0;
}

WF_PUBLIC int weft_workers_destroy(weft_workers *p)
{
    if (p == NULL)
        return 0;
    struct wf_thread *thread = wf_thread_self();
    bool is_routine = thread != NULL && (thread->current->flags & WF_FOREIGN) == 0;
    if (is_routine && (void *)thread->pool == (void *)p)
        return -EDEADLK;
    int error = -EINVAL;
    wf_pools_enter();
    struct wf_pool *pool = wf_pool_named(p);
    if (pool != NULL && pool != wf_default_pool && wf_pools.open)
        error = empty(pool, wf_pools.run);
    if (error == 0) {
        int saved = errno;
        wf_threads_end(pool);
        wf_compiler_barrier();
        errno = saved;
        pool->used = false;
    }
    wf_pools_leave();
    return error;
}

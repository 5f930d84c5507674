/* SPDX-License-Identifier: MIT */
/* background.c - see background.h.
 *
 * Owns:    nothing but when it last looked. Callers: the pilot by hooks; collect.c.
 * Locking: fields are the pilot's but for the atomic ones.
 *
 * Giving back is wf_heap_release(): 160 MiB a second, 1 % of a CPU. It is tried again only after something has changed: a
 * collection, or spans given back, for what is above the goal may lie in pieces of less than 2 MiB.
 *
 * A program that drops much and then waits allocates nothing, so it would never collect. What it allocated since the last
 * collection is a sign that there may be garbage; an eighth of what begins a collection is enough, and half a second of quiet. If
 * the last collection came while the program was at work, and left more than little, what was dropped after it is not known:
 * then one more is made after two seconds. Go waits for two minutes instead. The collection runs in a routine: weft_stop()
 * waits for routines, and holds the world while it waits for the pilot.
 */
#include "gc/background.h"

#include "gc/cleanup.h"
#include "gc/collect.h"
#include "gc/pacer.h"
#include "gc/units.h"
#include "sched/pilot.h"
#include "sched/sched.h"
#include "sched/worker.h"

enum { RELEASE_EVERY_NS = 50000000, QUIET_NS = 500000000, SLACK = 2 << 20, LITTLE = 8 << 20 };
static const int64_t LONG_QUIET_NS = 2000000000;

static struct {
    _Atomic int64_t released_ns; /* two at once do no harm */
    int64_t seen_allocated; /* pilot */
    int64_t quiet_since_ns; /* pilot; 0: not quiet */
    _Atomic size_t nothing_at; /* used units when there was nothing to give back; 0: there may be */
    _Atomic uint32_t last_was_at_work; /* 1: see above */
    _Atomic uint32_t told;     /* 1: the pilot has been woken since the last collection */
} background;

static bool garbage_is_likely(void)
{
    return wf_load_relaxed(&wf_heap.allocated_since) >= wf_pacer_idle_bytes();
}

static bool too_much_is_resident(void)
{
    size_t resident = wf_load_relaxed(&wf_heap.resident_units) << WF_UNIT_SHIFT, keep = wf_pacer_keep_bytes();
    if (resident <= SLACK || resident - SLACK <= keep)
        return false;
    size_t nothing_at = wf_load_relaxed(&background.nothing_at);
    return nothing_at == 0 || wf_load_relaxed(&wf_heap.used_units) < nothing_at;
}

static bool garbage_is_possible(void)
{
    return garbage_is_likely() ||
           (wf_load_relaxed(&background.last_was_at_work) != 0 && wf_pacer_idle_bytes() != INT64_MAX);
}

bool wf_background_wanted(void)
{
    return garbage_is_possible() || too_much_is_resident() || wf_cleanups_are_due();
}

void wf_background_release(int64_t now_ns)
{
    if (now_ns - wf_load_relaxed(&background.released_ns) < RELEASE_EVERY_NS || !too_much_is_resident())
        return;
    wf_store_relaxed(&background.released_ns, now_ns);
    size_t used = wf_load_relaxed(&wf_heap.used_units);
    if (wf_heap_release(now_ns, wf_pacer_keep_bytes()) == 0)
        wf_store_relaxed(&background.nothing_at, used > 0 ? used : 1);
}

static void collect_in_background(void *unused)
{
    (void)unused;
    wf_gc_collect_idle();
    wf_store_relaxed(&background.last_was_at_work, 0);
}

void wf_background_collect(struct wf_thread *pilot, int64_t now_ns, bool idle)
{
    static const struct weft__site site = {__FILE__, "collection of an idle program", __LINE__};
    int64_t allocated = wf_load_relaxed(&wf_heap.allocated_since);
    if (wf_load_seq_cst(&wf_born_pending) == 0) /* as below */
        wf_cleanups_watch(pilot, now_ns);
    if (!idle || !garbage_is_possible()) {
        background.quiet_since_ns = 0;
    } else if (background.quiet_since_ns == 0 || allocated != background.seen_allocated) {
        background.quiet_since_ns = now_ns;
        background.seen_allocated = allocated;
    } else if (now_ns - background.quiet_since_ns >= (garbage_is_likely() ? QUIET_NS : LONG_QUIET_NS)) {
        background.quiet_since_ns = 0;
        if (wf_load_seq_cst(&wf_born_pending) == 0) /* weft_stop has not begun; or it will wait for this routine */
            wf_spawn_call(pilot, &site, collect_in_background, NULL); /* no memory: tried again */
    }
}

void wf_background_notice(void)
{
    if (WF_LIKELY(!wf_background_wanted()) || wf_n_workers == 0)
        return;
    if (wf_load_relaxed(&background.told) == 0 && wf_swap_acq_rel(&background.told, 1) == 0)
        wf_pilot_wake(); /* between the pilot's last look and its sleep: [Z1], [Z2] in pilot.c */
}

void wf_background_after_cycle(int64_t now_ns, size_t live_bytes)
{
    wf_store_relaxed(&background.last_was_at_work, live_bytes > LITTLE);
    wf_store_relaxed(&background.nothing_at, 0);
    wf_store_relaxed(&background.told, 0);
    if (wf_n_workers == 0)
        wf_background_release(now_ns);
    else
        wf_background_notice();
}

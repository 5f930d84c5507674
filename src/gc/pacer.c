/* SPDX-License-Identifier: MIT */
/* pacer.c - see pacer.h.
 *
 * Owns:    wf_heap.goal, wf_heap.limit_bytes.
 * Callers: collect.c, background.c.
 * Locking: fields that others read are atomic hints; the rest is written with the world claimed.
 */
#include "gc/pacer.h"

#include "base/assert.h"
#include "gc/units.h"

enum { LEAST_GOAL = 4 << 20, NARROW = 16, IDLE_PART = 8, LEAST_IDLE = 1 << 20 };
static const int64_t SECOND = 1000000000;

static struct {
    struct wf_pacer_config config;
    /* The world claimed. */
    int64_t account_ns, last_end_ns, last_took_ns;
    /* Atomic hints. */
    _Atomic int64_t overhead_bytes; /* stacks and metadata, as the last collection found them */
    _Atomic size_t room_bytes, keep_bytes;
    _Atomic int64_t idle_bytes, may_begin_ns;
} pacer = {.config = {.percent = 100}, .keep_bytes = SIZE_MAX, .idle_bytes = INT64_MAX};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t percent_of(int64_t bytes)
{
    return bytes / 100 * pacer.config.percent;
}

/* Not below one unit, for 0 means none. */
static void limit_spans(int64_t external_bytes)
{
    if (pacer.config.limit_bytes == 0)
        return;
    int64_t rest = (int64_t)pacer.config.limit_bytes - wf_load_relaxed(&pacer.overhead_bytes) - external_bytes;
    wf_store_relaxed(&wf_heap.limit_bytes, (size_t)most(rest, WF_UNIT));
}

static bool takes_too_long(void)
{
    return pacer.account_ns >= SECOND;
}

/* `growth`, or the room below `limit` if that is less. */
static int64_t narrowed(int64_t growth, int64_t limit, int64_t in_use)
{
    if (limit == 0 || takes_too_long())
        return growth;
    return least(growth, most(limit - in_use, limit / NARROW));
}

static void set_goal(int64_t live, int64_t roots, int64_t external, int64_t overhead)
{
    bool off = pacer.config.percent < 0;
    int64_t growth = INT64_MAX, kept = LEAST_GOAL;
    if (!off) {
        growth = percent_of(live + most(external, 0) + roots);
        growth = most(growth, (int64_t)LEAST_GOAL * pacer.config.percent / 100 - live);
        growth = narrowed(growth, (int64_t)pacer.config.hint_bytes / 10 * 9, live + external + overhead);
    }
    growth = narrowed(growth, (int64_t)pacer.config.limit_bytes, live + external + overhead);
    kept = off ? live + kept : live + growth;
    wf_store_relaxed(&wf_heap.goal, growth);
    wf_store_relaxed(&pacer.keep_bytes, (size_t)(kept + kept / 10));
    wf_store_relaxed(&pacer.idle_bytes, off ? INT64_MAX : most(growth / IDLE_PART, LEAST_IDLE));
}

void wf_pacer_configure(const struct wf_pacer_config *config)
{
    pacer.config = *config;
    if (config->limit_bytes == 0)
        wf_store_relaxed(&wf_heap.limit_bytes, 0);
    limit_spans(0);
    if (wf_load_relaxed(&pacer.keep_bytes) == SIZE_MAX) /* no collection has been */
        set_goal(0, 0, 0, 0);
    if (config->percent < 0)
        wf_store_relaxed(&pacer.keep_bytes, SIZE_MAX); /* until the program has collected */
}

void wf_pacer_cycle(const struct wf_pacer_cycle *cycle)
{
    int64_t overhead = (int64_t)(cycle->stack_bytes + cycle->metadata_bytes);
    wf_store_relaxed(&pacer.overhead_bytes, overhead);
    limit_spans(cycle->external_bytes);
    set_goal((int64_t)cycle->live_bytes, (int64_t)cycle->root_bytes, cycle->external_bytes, overhead);
    size_t used = wf_load_relaxed(&wf_heap.used_units) << WF_UNIT_SHIFT;
    size_t limit = wf_load_relaxed(&wf_heap.limit_bytes), whole = wf_heap.reserved_units << WF_UNIT_SHIFT;
    limit = limit == 0 || limit > whole ? whole : limit;
    wf_store_relaxed(&pacer.room_bytes, limit > used ? limit - used : 0);
}

void wf_pacer_ended(int64_t start_ns, int64_t end_ns)
{
    int64_t between = pacer.last_end_ns != 0 ? start_ns - pacer.last_end_ns : SECOND;
    pacer.last_took_ns = end_ns - start_ns;
    pacer.last_end_ns = end_ns;
    pacer.account_ns = least(most(pacer.account_ns - between, 0) + pacer.last_took_ns, SECOND);
    wf_store_relaxed(&pacer.may_begin_ns, takes_too_long() ? end_ns + least(pacer.last_took_ns, SECOND) : 0);
}

void wf_pacer_external(int64_t external_bytes)
{
    limit_spans(external_bytes);
}

int64_t wf_pacer_wait_ns(int64_t now_ns)
{
    return most(wf_load_relaxed(&pacer.may_begin_ns) - now_ns, 0);
}

size_t wf_pacer_room(void)
{
    return wf_load_relaxed(&pacer.room_bytes);
}

size_t wf_pacer_keep_bytes(void)
{
    return wf_load_relaxed(&pacer.keep_bytes);
}

int64_t wf_pacer_idle_bytes(void)
{
    return wf_load_relaxed(&pacer.idle_bytes);
}

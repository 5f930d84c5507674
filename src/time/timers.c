/* SPDX-License-Identifier: MIT */
/* timers.c - the wheel, the heap, and how timers go from one to the other.
 *
 * Owns:    nothing; timers are embedded in their users' structures, sets in the workers'.
 * Callers: sched (arm, cancel, run, sleep of an idle worker), chan (select with a time limit), rt/time_api.c.
 * Locking: the set's lock for all but earliest_ns; see timers.h.
 *
 * A timer is armed in O(1): into the wheel when its tick lies ahead, else into a pairing heap, whose insertion is one
 * comparison. As time goes on, base_tick jumps from one occupied slot to the next (never tick by tick): the slot's list
 * is taken out and each of its timers placed again, in the heap or at a lower level. A timer moves at most once per
 * level, and most time limits are cancelled before they move at all.
 *
 * When base_tick enters slot s of level l, no lower level holds anything, since a lower level comes first. So base_tick
 * may be put anywhere in the slot's range: at `now` when the range contains it, else at the range's last tick,
 * which sends the whole slot to the heap at once.
 *
 * Rejected: one 4-ary heap with the index in the timer (random re-arming costs 110 ns at one million timers, 40 in the
 * wheel); a wheel alone (sleeps would be rounded to ticks); an overflow list for far deadlines (two more levels cost
 * 1 KiB per set and no code).
 */
#include "time/timers.h"

#include "base/assert.h"

enum {
    MOVES_PER_RUN = 256, /* bounds the time under the lock when a crowded slot falls due */
    CROWDED = 16,        /* a slot with more timers is not searched for its least deadline */
    CHECK_DEPTH = 64,    /* the heap may be as deep as it has timers; wf_timers_check looks this far down */
    CHECK_OFTEN = 256,   /* sets up to this size are checked at every run at debug_level 2 */
};

_Static_assert(sizeof(struct wf_timer) <= 96, "timers are embedded in every routine");
_Static_assert(64 - WF_TICK_SHIFT - 1 <= WF_WHEEL_BITS * WF_WHEEL_LEVELS, "every deadline has a slot");

static int64_t tick_of(const struct wf_timer *timer)
{
    return timer->deadline_ns >> WF_TICK_SHIFT;
}

static unsigned digit(int64_t tick, unsigned level)
{
    return (unsigned)((uint64_t)tick >> (WF_WHEEL_BITS * level)) % WF_WHEEL_SLOTS;
}

/* ---- lists and heap ---- */

static void link_first(struct wf_timer **head, struct wf_timer *timer)
{
    timer->next = *head;
    if (timer->next != NULL)
        timer->next->prev = &timer->next;
    timer->prev = head;
    *head = timer;
}

static void unlink_from_list(struct wf_timer *timer)
{
    *timer->prev = timer->next;
    if (timer->next != NULL)
        timer->next->prev = timer->prev;
}

/* Makes the later of two heaps the first child of the other. The result's next and prev are not valid. */
static struct wf_timer *meld(struct wf_timer *a, struct wf_timer *b)
{
    if (b->deadline_ns < a->deadline_ns) {
        struct wf_timer *earlier = b;
        b = a;
        a = earlier;
    }
    link_first(&a->child, b);
    return a;
}

/* Makes one heap of a list of siblings: melds pairs from left to right, then the results from right to left. */
static struct wf_timer *meld_siblings(struct wf_timer *first)
{
    struct wf_timer *pairs = NULL;
    while (first != NULL) {
        struct wf_timer *a = first, *b = first->next;
        first = b != NULL ? b->next : NULL;
        struct wf_timer *pair = b != NULL ? meld(a, b) : a;
        pair->next = pairs;
        pairs = pair;
    }
    if (pairs == NULL)
        return NULL;
    struct wf_timer *whole = pairs, *rest = pairs->next;
    while (rest != NULL) {
        struct wf_timer *pair = rest;
        rest = rest->next;
        whole = meld(whole, pair);
    }
    return whole;
}

static void set_root(struct wf_timers *set, struct wf_timer *root)
{
    set->heap = root;
    if (root != NULL) {
        root->next = NULL;
        root->prev = &set->heap;
    }
}

static void heap_add(struct wf_timers *set, struct wf_timer *timer)
{
    timer->level = WF_TIMER_IN_HEAP;
    timer->child = NULL;
    set_root(set, set->heap != NULL ? meld(set->heap, timer) : timer);
}

/* Takes timer, which is in the heap, out of it. */
static void heap_remove(struct wf_timers *set, struct wf_timer *timer)
{
    unlink_from_list(timer);
    struct wf_timer *children = meld_siblings(timer->child);
    if (children == NULL)
        return;
    set_root(set, set->heap != NULL ? meld(set->heap, children) : children);
}

/* ---- wheel ---- */

static void wheel_add(struct wf_timers *set, struct wf_timer *timer, int64_t tick)
{
    uint64_t differing = (uint64_t)(tick ^ set->base_tick);
    unsigned level = (63 - (unsigned)__builtin_clzll(differing)) / WF_WHEEL_BITS;
    unsigned slot = digit(tick, level);
    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    set->occupied[level] |= UINT64_C(1) << slot;
    link_first(&set->wheel[level][slot], timer);
}

static void place(struct wf_timers *set, struct wf_timer *timer)
{
    int64_t tick = tick_of(timer);
    if (tick <= set->base_tick)
        heap_add(set, timer);
    else
        wheel_add(set, timer, tick);
}

/* Takes a placed or moving timer out of its list or the heap. For a moving one, level and slot still name the slot
 * that it came from; clearing the bit of a slot that is empty is right in any case. */
static void displace(struct wf_timers *set, struct wf_timer *timer)
{
    if (timer->level == WF_TIMER_IN_HEAP) {
        heap_remove(set, timer);
        return;
    }
    unlink_from_list(timer);
    if (set->wheel[timer->level][timer->slot] == NULL)
        set->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
}

/* The first occupied slot in the order of time; false when the wheel is empty. *ret_start is its first tick. */
static bool first_slot(const struct wf_timers *set, unsigned *ret_level, unsigned *ret_slot, int64_t *ret_start)
{
    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++) {
        if (set->occupied[level] == 0)
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(set->occupied[level]);
        unsigned shift = WF_WHEEL_BITS * level;
        uint64_t above = (uint64_t)set->base_tick >> shift >> WF_WHEEL_BITS << WF_WHEEL_BITS;
        *ret_level = level;
        *ret_slot = slot;
        *ret_start = (int64_t)((above | slot) << shift);
        return true;
    }
    return false;
}

/* Empties the first slot into `moving` if it begins at or before `target`, and lets base_tick enter it. */
static bool enter_slot(struct wf_timers *set, int64_t target)
{
    unsigned level, slot;
    int64_t start;
    if (!first_slot(set, &level, &slot, &start) || start > target)
        return false;
    int64_t last = start + (INT64_C(1) << (WF_WHEEL_BITS * level)) - 1;
    set->base_tick = last < target ? last : target;
    set->moving = set->wheel[level][slot];
    set->moving->prev = &set->moving;
    set->wheel[level][slot] = NULL;
    set->occupied[level] &= ~(UINT64_C(1) << slot);
    return true;
}

/* Places what `target` has reached. False: stopped half-way to keep the time under the lock short. */
static bool advance(struct wf_timers *set, int64_t target)
{
    unsigned moves = 0;
    do {
        while (set->moving != NULL) {
            if (moves++ == MOVES_PER_RUN)
                return false;
            struct wf_timer *timer = set->moving;
            unlink_from_list(timer);
            place(set, timer);
        }
    } while (enter_slot(set, target));
    if (set->base_tick < target)
        set->base_tick = target;
    return true;
}

/* ---- what is next ---- */

static int64_t next_due(const struct wf_timers *set)
{
    unsigned level, slot;
    int64_t start;
    if (set->moving != NULL)
        return INT64_MIN;
    if (set->heap != NULL)
        return set->heap->deadline_ns;
    if (!first_slot(set, &level, &slot, &start))
        return INT64_MAX;
    int64_t least = INT64_MAX;
    unsigned seen = 0;
    for (const struct wf_timer *t = set->wheel[level][slot]; t != NULL; t = t->next) {
        if (seen++ == CROWDED)
            return start << WF_TICK_SHIFT;
        if (t->deadline_ns < least)
            least = t->deadline_ns;
    }
    return least;
}

int64_t wf_timers_next_wake(struct wf_timers *set)
{
    wf_spinlock_lock(&set->lock);
    int64_t due = next_due(set);
    wf_store_relaxed(&set->earliest_ns, due); /* relaxed: who adds an earlier one does so after us, under the lock */
    wf_spinlock_unlock(&set->lock);
    return due;
}

/* ---- a timer's life ---- */

void wf_timers_init(struct wf_timers *set, int64_t now_ns)
{
    *set = (struct wf_timers){.base_tick = now_ns >> WF_TICK_SHIFT};
    wf_store_relaxed(&set->earliest_ns, INT64_MAX);
}

bool wf_timers_add_locked(struct wf_timers *set, struct wf_timer *timer)
{
    WF_ASSERT(wf_load_relaxed(&timer->set) == NULL);
    WF_ASSERT(timer->expire != NULL);
    WF_ASSERT(timer->deadline_ns >= 0);
    wf_store_relaxed(&timer->set, set); /* relaxed: who finds it takes the lock before believing anything else */
    set->n_pending++;
    place(set, timer);
    /* Relaxed: a hint; who must not miss it is told by the caller. */
    if (timer->deadline_ns >= wf_load_relaxed(&set->earliest_ns))
        return false;
    wf_store_relaxed(&set->earliest_ns, timer->deadline_ns);
    return true;
}

bool wf_timers_add(struct wf_timers *set, struct wf_timer *timer)
{
    wf_spinlock_lock(&set->lock);
    bool earliest = wf_timers_add_locked(set, timer);
    wf_spinlock_unlock(&set->lock);
    return earliest;
}

static void take_out(struct wf_timers *set, struct wf_timer *timer)
{
    displace(set, timer);
    set->n_pending--;
    wf_store_release(&timer->set, NULL); /* [T1] */
}

void wf_timers_remove_locked(struct wf_timers *set, struct wf_timer *timer)
{
    take_out(set, timer);
}

bool wf_timer_cancel(struct wf_timer *timer)
{
    struct wf_timers *set;
    /* [T2] NULL without the lock: [T1] was the last access to the timer. */
    while ((set = wf_load_acquire(&timer->set)) != NULL) {
        wf_spinlock_lock(&set->lock);
        /* It may have expired, and even be pending in another set, by now. Relaxed: the lock orders it. */
        bool pending = wf_load_relaxed(&timer->set) == set;
        if (pending)
            take_out(set, timer);
        wf_spinlock_unlock(&set->lock);
        if (pending)
            return true;
    }
    return false;
}

/* The first deadline + k * period after now, or never. */
static int64_t next_period(const struct wf_timer *timer, int64_t now_ns)
{
    int64_t periods = (now_ns - timer->deadline_ns) / timer->period_ns + 1;
    int64_t ahead, next;
    if (__builtin_mul_overflow(periods, timer->period_ns, &ahead))
        return INT64_MAX;
    if (__builtin_add_overflow(timer->deadline_ns, ahead, &next))
        return INT64_MAX;
    return next;
}

/* Takes the heap's first timer, which is due, out of the set or on to its next period. */
static void expire_first(struct wf_timers *set, int64_t now_ns, struct wf_timer_batch *batch)
{
    struct wf_timer *timer = set->heap;
    heap_remove(set, timer);
    bool claimed = timer->claim == NULL || timer->claim(timer);
    if (claimed) {
        batch->items[batch->n].expire = timer->expire;
        batch->items[batch->n].arg = timer->arg;
        batch->n++;
    }
    if (claimed && timer->period_ns > 0) {
        timer->deadline_ns = next_period(timer, now_ns);
        place(set, timer);
        return;
    }
    set->n_pending--;
    /* [T1] Only after claim(): a canceller that reads NULL without taking the lock may reuse the timer's memory, and
     * the wait that claim() looks at, at once. Pairs with [T2]. */
    wf_store_release(&timer->set, NULL);
}

bool wf_timers_run(struct wf_timers *set, int64_t now_ns, struct wf_timer_batch *batch)
{
    batch->n = 0;
    wf_spinlock_lock(&set->lock);
    bool more = !advance(set, now_ns >> WF_TICK_SHIFT);
    unsigned room = WF_TIMER_BATCH;
    while (set->heap != NULL && set->heap->deadline_ns <= now_ns) {
        if (room-- == 0) {
            more = true;
            break;
        }
        expire_first(set, now_ns, batch);
    }
    wf_store_relaxed(&set->earliest_ns, next_due(set)); /* relaxed: as in wf_timers_next_wake */
    if (WF_DEBUG_LEVEL >= 2 && set->n_pending <= CHECK_OFTEN)
        wf_timers_check(set);
    wf_spinlock_unlock(&set->lock);
    return more;
}

static struct wf_timer *any_timer(struct wf_timers *set)
{
    unsigned level, slot;
    int64_t start;
    if (set->moving != NULL)
        return set->moving;
    if (set->heap != NULL)
        return set->heap;
    return first_slot(set, &level, &slot, &start) ? set->wheel[level][slot] : NULL;
}

bool wf_timers_move(struct wf_timers *from, struct wf_timers *to)
{
    bool earlier = false;
    wf_spinlock_lock(&from->lock);
    wf_spinlock_lock(&to->lock);
    for (struct wf_timer *timer; (timer = any_timer(from)) != NULL;) {
        displace(from, timer);
        from->n_pending--;
        /* Never NULL in between, which a canceller would take for expired ([T2]): it finds `from`, waits for its lock,
         * and looks again. */
        wf_store_release(&timer->set, to);
        to->n_pending++;
        place(to, timer);
        if (timer->deadline_ns < wf_load_relaxed(&to->earliest_ns)) {
            wf_store_relaxed(&to->earliest_ns, timer->deadline_ns); /* relaxed: the caller wakes who sleeps for `to` */
            earlier = true;
        }
    }
    wf_store_relaxed(&from->earliest_ns, INT64_MAX);
    wf_spinlock_unlock(&to->lock);
    wf_spinlock_unlock(&from->lock);
    return earlier;
}

void wf_timers_clear(struct wf_timers *set)
{
    wf_spinlock_lock(&set->lock);
    while (set->moving != NULL)
        take_out(set, set->moving);
    while (set->heap != NULL)
        take_out(set, set->heap);
    unsigned level, slot;
    int64_t start;
    while (first_slot(set, &level, &slot, &start))
        take_out(set, set->wheel[level][slot]);
    wf_store_relaxed(&set->earliest_ns, INT64_MAX);
    wf_spinlock_unlock(&set->lock);
}

/* ---- checks ---- */

static void check_timer(const struct wf_timers *set, const struct wf_timer *timer, struct wf_timer *const *prev)
{
    WF_CHECK(timer->prev == prev);
    WF_CHECK(wf_load_relaxed(&timer->set) == set); /* relaxed: under the lock */
    WF_CHECK(timer->deadline_ns >= wf_load_relaxed(&set->earliest_ns));
}

/* Adds the timers of a heap to *n. False: there are deeper ones that were not looked at. */
static bool check_heap(const struct wf_timers *set, struct wf_timer *const *siblings, int64_t least, unsigned depth,
                       size_t *n)
{
    if (depth == CHECK_DEPTH)
        return *siblings == NULL;
    bool whole = true;
    for (struct wf_timer *const *at = siblings; *at != NULL; at = &(*at)->next) {
        check_timer(set, *at, at);
        WF_CHECK((*at)->level == WF_TIMER_IN_HEAP);
        WF_CHECK((*at)->deadline_ns >= least);
        WF_CHECK(tick_of(*at) <= set->base_tick);
        (*n)++;
        if (!check_heap(set, &(*at)->child, (*at)->deadline_ns, depth + 1, n))
            whole = false;
    }
    return whole;
}

static size_t check_slot(const struct wf_timers *set, unsigned level, unsigned slot)
{
    size_t n = 0;
    for (struct wf_timer *const *at = &set->wheel[level][slot]; *at != NULL; at = &(*at)->next) {
        int64_t tick = tick_of(*at);
        unsigned above = WF_WHEEL_BITS * (level + 1);
        check_timer(set, *at, at);
        WF_CHECK((*at)->level == level);
        WF_CHECK((*at)->slot == slot);
        WF_CHECK(tick >> above == set->base_tick >> above);
        WF_CHECK(digit(tick, level) == slot);
        WF_CHECK(slot > digit(set->base_tick, level));
        n++;
    }
    WF_CHECK((set->occupied[level] >> slot & 1) == (n > 0));
    return n;
}

void wf_timers_check(const struct wf_timers *set)
{
    size_t n = 0;
    bool whole = check_heap(set, &set->heap, INT64_MIN, 0, &n);
    WF_CHECK(set->heap == NULL || set->heap->next == NULL);
    for (struct wf_timer *const *at = &set->moving; *at != NULL; at = &(*at)->next) {
        check_timer(set, *at, at);
        n++;
    }
    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++)
        for (unsigned slot = 0; slot < WF_WHEEL_SLOTS; slot++)
            n += check_slot(set, level, slot);
    WF_CHECK(whole ? n == set->n_pending : n < set->n_pending);
}

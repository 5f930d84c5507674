/* SPDX-License-Identifier: MIT */
/* local.c - routine-local values: a short array per routine, searched by the number of the key.
 *
 * Owns:    extra->locals, which only its own routine (or plain thread) ever touches.
 * Keys get their number at the first set; numbers are never given back.
 */
#include "scope/local.h"

#include <errno.h>
#include <string.h>

#include "sched/memory.h"
#include "sched/routine.h"
#include "sched/thread.h"
#include "sched/threads.h"

enum { ROUNDS = 4, GROW = 4 };

struct wf_local {
    weft_local *key;
    uint32_t id;
    bool borrowed; /* the parent's value: not ours to destroy */
    void *value;
};

static _Atomic uint32_t last_id;

/* Numbers are set once, by whoever comes first. */
static uint32_t id_of(weft_local *key, bool make)
{
    uint32_t id = __atomic_load_n(&key->weft__id, __ATOMIC_ACQUIRE);
    if (id != 0 || !make)
        return id;
    uint32_t mine = wf_add_relaxed(&last_id, 1) + 1;
    if (__atomic_compare_exchange_n(&key->weft__id, &id, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return mine;
    return id;
}

static struct wf_local *find(struct wf_extra *extra, uint32_t id)
{
    for (uint32_t i = 0; id != 0 && extra != NULL && i < extra->n_locals; i++)
        if (extra->locals[i].id == id)
            return &extra->locals[i];
    return NULL;
}

WF_PUBLIC void *weft_local_get(weft_local *key)
{
    struct wf_local *local = find(wf_current()->extra, id_of(key, false));
    return local != NULL ? local->value : NULL;
}

static struct wf_local *append(struct wf_extra *extra)
{
    if (extra->n_locals % GROW == 0) {
        /* Not realloc: at every moment the collector must find all values in extra->locals. */
        struct wf_local *old = extra->locals, *more = wf_memory_take((extra->n_locals + GROW) * sizeof(*more));
        if (more == NULL)
            return NULL;
        if (old != NULL)
            memcpy(more, old, extra->n_locals * sizeof(*more));
        __atomic_store_n(&extra->locals, more, __ATOMIC_RELEASE);
        wf_compiler_barrier();
        wf_memory_give(old);
    }
    return &extra->locals[extra->n_locals++];
}

WF_PUBLIC int weft_local_set(weft_local *key, void *value)
{
    struct wf_extra *extra = wf_routine_extra(wf_current());
    if (extra == NULL)
        return -ENOMEM;
    uint32_t id = id_of(key, true);
    struct wf_local *local = find(extra, id);
    if (local == NULL && (local = append(extra)) == NULL)
        return -ENOMEM;
    *local = (struct wf_local){.key = key, .id = id, .value = value};
    return 0;
}

int wf_locals_inherit(struct wf_routine *parent, struct wf_routine *child)
{
    struct wf_extra *from = parent->extra;
    int error = 0;
    for (uint32_t i = 0; from != NULL && i < from->n_locals && error == 0; i++) {
        if (!from->locals[i].key->inherit || from->locals[i].value == NULL)
            continue;
        struct wf_extra *extra = wf_routine_extra(child);
        struct wf_local *local = extra != NULL ? append(extra) : NULL;
        if (local == NULL) {
            error = -ENOMEM;
            continue;
        }
        *local = from->locals[i];
        local->borrowed = true;
    }
    return error;
}

void wf_locals_end(void)
{
    struct wf_extra *extra = wf_current()->extra;
    bool again = extra != NULL;
    for (unsigned round = 0; again && round < ROUNDS; round++) {
        again = false;
        for (uint32_t i = 0; i < extra->n_locals; i++) { /* a destructor may append, and so move the array */
            void *value = extra->locals[i].value;
            void (*destructor)(void *) = extra->locals[i].key->destructor;
            extra->locals[i].value = NULL;
            if (value == NULL || destructor == NULL || extra->locals[i].borrowed)
                continue;
            destructor(value);
            again = true;
        }
    }
}

void wf_locals_each_range(const struct wf_routine *r, void (*fn)(void *arg, const void *low, const void *high), void *arg)
{
    if (r->extra != NULL && r->extra->n_locals > 0)
        fn(arg, r->extra->locals, r->extra->locals + r->extra->n_locals);
}

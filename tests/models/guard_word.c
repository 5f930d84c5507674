/* SPDX-License-Identifier: MIT */
/* guard_word.c - a model of [G1]-[G4] in sched/thread.h: a thread that goes in and out of the runtime, and a seizer of its
 * worker. What is a worker's is touched by one of the two at a time, and whoever touches it has seen all that was done.
 *
 * Twice: with membarrier as the heavy fence, and without (the thread fences for itself). */
#include "explore.h"

enum { IN_RT, ATTN, WORKER }; /* locations */
enum { HOLD = 1 };
enum { INSIDE }; /* ghosts: who is between [G2] and [G2'], or between [G4] and the end of HOLD */
enum { ROUNDS = 2 };
enum weak { NONE, NO_HEAVY_FENCE, LEAVE_RELAXED, LOOK_RELAXED, RELEASE_RELAXED, ATTN_RELAXED, N_WEAK };

static bool has_membarrier;

static void come_in(struct state *s, unsigned t)
{
    model_require(s->ghost[INSIDE] == 0, "both are at the worker");
    s->ghost[INSIDE] = (uint8_t)(t + 1);
}

static void step_thread(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case 0: /* [G1] */
        model_store(s, t, IN_RT, 1, RELAXED);
        me->pc = has_membarrier ? 2 : 1;
        break;
    case 1: /* the thread's own fence: WF_ATTN_FENCE is always set */
        if (!weakened(NO_HEAVY_FENCE))
            model_fence(s, t);
        me->pc = 2;
        break;
    case 2: /* [G2], and the wait in wf_guard_attend */
        if (model_load(s, t, ATTN, weakened(ATTN_RELAXED) ? RELAXED : ACQUIRE) == HOLD)
            break;
        me->pc = 3;
        break;
    case 3:
        come_in(s, t);
        model_touch(s, t, WORKER, "the thread has not seen what the seizer did");
        me->pc = 4;
        break;
    case 4: /* [G2'] */
        s->ghost[INSIDE] = 0;
        model_store(s, t, IN_RT, 0, weakened(LEAVE_RELAXED) ? RELAXED : RELEASE);
        me->pc = ++me->local[0] == ROUNDS ? DONE : 0;
        break;
    }
}

static void step_seizer(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case 0: /* [G3] */
        model_swap(s, t, ATTN, HOLD, ACQ_REL);
        me->pc = 1;
        break;
    case 1: /* wf_heavy_fence: a full barrier here, in the other thread, and here */
        if (!weakened(NO_HEAVY_FENCE) || !has_membarrier)
            model_fence(s, t);
        me->pc = 2;
        break;
    case 2:
        if (has_membarrier && !weakened(NO_HEAVY_FENCE))
            model_fence(s, 0);
        me->pc = 3;
        break;
    case 3:
        if (has_membarrier && !weakened(NO_HEAVY_FENCE))
            model_fence(s, t);
        me->pc = 4;
        break;
    case 4: /* [G4] */
        me->pc = model_load(s, t, IN_RT, weakened(LOOK_RELAXED) ? RELAXED : ACQUIRE) == 0 ? 5 : 6;
        break;
    case 5:
        come_in(s, t);
        model_touch(s, t, WORKER, "the seizer has not seen what the thread did");
        me->pc = 7;
        break;
    case 7:
        s->ghost[INSIDE] = 0;
        me->pc = 6;
        break;
    case 6: /* wf_guard_release */
        model_swap(s, t, ATTN, 0, weakened(RELEASE_RELAXED) ? RELAXED : ACQ_REL);
        me->pc = ++me->local[0] == ROUNDS ? DONE : 0;
        break;
    }
}

static void step(struct state *s, unsigned t)
{
    (t == 0 ? step_thread : step_seizer)(s, t);
}

int main(void)
{
    static const struct weakening table[] = {
        {"no heavy fence", true, true},
        {"in_rt = 0 relaxed [G2']", false, true},
        {"in_rt read relaxed [G4]", false, true},
        {"HOLD cleared relaxed", false, true},
        {"attn read relaxed [G2]", false, true},
    };
    struct state initial;
    int status = 0;
    _Static_assert(sizeof(table) / sizeof(table[0]) == N_WEAK - 1, "a line for each");
    initial_state(&initial, (const uint8_t[]){0, 0, 0}, 3);
    for (int i = 0; i < 2; i++) {
        has_membarrier = i == 0;
        status |= explore_all(&(struct model){.name = i == 0 ? "guard" : "guard without membarrier", .n_threads = 2, .step = step},
                              &initial, table, N_WEAK - 1);
    }
    return status;
}

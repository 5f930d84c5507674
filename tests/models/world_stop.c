/* SPDX-License-Identifier: MIT */
/* world_stop.c - a model of [W1]-[W3] in sched/world.h and world.c: a thread of the program, and an initiator that stops the
 * world twice, one stop right after the other. While the world is stopped the thread touches neither the runtime nor
 * memory; whoever touches memory has seen all that was done to it.
 *
 * The thread goes in and out of the runtime, sleeps there (dozes), computes in the program's code, where a signal may come at
 * any moment. Twice: with membarrier as the heavy fence, and without (the thread fences for itself when it comes in). */
#include "explore.h"

enum { IN_RT, ATTN, DOZING, STOPPED, NUMBER, MEMORY }; /* locations */
enum { STANDS_STILL };                                 /* ghosts */
enum { STOPS = 2 };
enum { ROUND, RETURN_TO, ENTRY_NUMBER }; /* locals */
enum weak {
    NONE,
    NO_HEAVY_FENCE,
    NOT_TAKEN_BACK,
    NO_FENCE_AFTER_TAKING_BACK,
    NO_SECOND_LOOK,
    STOPPED_RELAXED,
    IS_STOPPED_RELAXED,
    DOZE_RELAXED,
    LET_GO_RELAXED,
    N_WEAK
};

static bool has_membarrier;

static void touch(struct state *s, unsigned t)
{
    model_require(s->ghost[STANDS_STILL] == 0, "the thread runs in a stopped world");
    model_touch(s, t, MEMORY, "the thread has not seen what the initiator did");
}

/* wait_for_resume() takes the places from here on. */
enum { WAIT = 20, TAKE_BACK, FENCE, LOOK_AGAIN, READ_NUMBER, OBEY };

static void wait_for_resume(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case WAIT:
        if (model_load(s, t, ATTN, ACQUIRE) != 0)
            me->pc = READ_NUMBER;
        else
            me->pc = weakened(NOT_TAKEN_BACK) ? me->local[RETURN_TO] : TAKE_BACK;
        break;
    case TAKE_BACK:
        model_store(s, t, STOPPED, 0, RELAXED);
        me->pc = weakened(NO_SECOND_LOOK) ? me->local[RETURN_TO] : FENCE;
        break;
    case FENCE:
        if (!weakened(NO_FENCE_AFTER_TAKING_BACK))
            model_fence(s, t);
        me->pc = LOOK_AGAIN;
        break;
    case LOOK_AGAIN:
        me->pc = model_load(s, t, ATTN, ACQUIRE) != 0 ? READ_NUMBER : me->local[RETURN_TO];
        break;
    case READ_NUMBER:
        me->local[ENTRY_NUMBER] = model_load(s, t, NUMBER, ACQUIRE);
        me->pc = OBEY;
        break;
    case OBEY: /* once is enough: again means the same */
        if (s->entries[STOPPED][s->n_entries[STOPPED] - 1].value != me->local[ENTRY_NUMBER])
            model_store(s, t, STOPPED, me->local[ENTRY_NUMBER], weakened(STOPPED_RELAXED) ? RELAXED : RELEASE);
        me->pc = WAIT;
        break;
    }
}

static void go_to_wait(struct thread *me, uint8_t then)
{
    me->local[RETURN_TO] = then;
    me->pc = WAIT;
}

static void step_thread(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case 0: /* the program's code; here the signal may come: on_stop_signal() */
        if (model_choose(2) == 0)
            me->pc = 1;
        else
            me->pc = 10;
        break;
    case 10:
        if (model_load(s, t, ATTN, ACQUIRE) != 0)
            go_to_wait(me, 1);
        else
            me->pc = 0;
        break;
    case 1:
        touch(s, t);
        me->pc = 2;
        break;
    case 2: /* [G1] */
        model_store(s, t, IN_RT, 1, RELAXED);
        me->pc = has_membarrier ? 3 : 14;
        break;
    case 14: /* WF_ATTN_FENCE */
    case 15:
        if (!weakened(NO_HEAVY_FENCE))
            model_fence(s, t);
        me->pc = me->pc == 14 ? 3 : 8;
        break;
    case 3: /* [G2] */
        if (model_load(s, t, ATTN, ACQUIRE) != 0)
            go_to_wait(me, 3);
        else
            me->pc = 4;
        break;
    case 4:
        touch(s, t);
        me->pc = 5;
        break;
    case 5: /* wf_doze_begin */
        model_store(s, t, DOZING, 1, RELAXED);
        me->pc = 6;
        break;
    case 6:
        model_store(s, t, IN_RT, 0, weakened(DOZE_RELAXED) ? RELAXED : RELEASE);
        me->pc = 7;
        break;
    case 7: /* wf_doze_end */
        model_store(s, t, IN_RT, 1, RELAXED);
        me->pc = has_membarrier ? 8 : 15;
        break;
    case 8:
        if (model_load(s, t, ATTN, ACQUIRE) != 0)
            go_to_wait(me, 8);
        else
            me->pc = 9;
        break;
    case 9:
        touch(s, t);
        me->pc = 11;
        break;
    case 11:
        model_store(s, t, DOZING, 0, RELAXED);
        me->pc = 12;
        break;
    case 12: /* wf_leave, and then stands in the program's code for ever: a signal stops it there */
        model_store(s, t, IN_RT, 0, RELEASE);
        me->pc = 13;
        break;
    case 13:
        if (s->threads[1].pc == DONE)
            me->pc = DONE;
        else if (model_load(s, t, ATTN, ACQUIRE) != 0)
            go_to_wait(me, 13);
        break;
    default:
        wait_for_resume(s, t);
    }
}

static void step_initiator(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    uint8_t number = (uint8_t)(me->local[ROUND] + 1);
    switch (me->pc) {
    case 0:
        model_swap(s, t, NUMBER, number, ACQ_REL);
        me->pc = 1;
        break;
    case 1: /* [W1] */
        model_swap(s, t, ATTN, 1, ACQ_REL);
        me->pc = has_membarrier && weakened(NO_HEAVY_FENCE) ? 5 : 2;
        break;
    case 2: /* wf_heavy_fence: here, there, here */
    case 4:
        model_fence(s, t);
        me->pc++;
        break;
    case 3:
        if (has_membarrier)
            model_fence(s, 0);
        me->pc = 4;
        break;
    case 5: /* is_stopped() [W2] [W3] */
        me->pc = model_load(s, t, STOPPED, weakened(IS_STOPPED_RELAXED) ? RELAXED : ACQUIRE) == number ? 8 : 6;
        break;
    case 6:
        me->pc = model_load(s, t, IN_RT, weakened(IS_STOPPED_RELAXED) ? RELAXED : ACQUIRE) == 0 ? 7 : 5;
        break;
    case 7:
        me->pc = model_load(s, t, DOZING, RELAXED) != 0 ? 8 : 5;
        break;
    case 8:
        s->ghost[STANDS_STILL] = 1;
        model_touch(s, t, MEMORY, "the initiator has not seen what the thread did");
        me->pc = 9;
        break;
    case 9: /* wf_world_resume */
        s->ghost[STANDS_STILL] = 0;
        model_swap(s, t, ATTN, 0, weakened(LET_GO_RELAXED) ? RELAXED : ACQ_REL);
        me->pc = ++me->local[ROUND] == STOPS ? DONE : 0;
        break;
    }
}

static void step(struct state *s, unsigned t)
{
    (t == 0 ? step_thread : step_initiator)(s, t);
}

int main(void)
{
    static struct weakening table[] = {
        {"no heavy fence", true, true},
        {"the number is not taken back", true, true},
        {"no fence after taking back", true, true},
        {"no second look", true, true},
        {"stopped = number relaxed", false, true},
        {"stopped and in_rt read relaxed", false, true},
        {"in_rt = 0 relaxed, to doze", false, true},
        {"STOP cleared relaxed", false, true},
    };
    struct state initial;
    _Static_assert(sizeof(table) / sizeof(table[0]) == N_WEAK - 1, "a line for each");
    initial_state(&initial, (const uint8_t[]){0}, 1);
    has_membarrier = true;
    table[NO_FENCE_AFTER_TAKING_BACK - 1].on_x86 = table[NO_FENCE_AFTER_TAKING_BACK - 1].elsewhere = false; /* it fences for both */
    int status =
        explore_all(&(struct model){.name = "stop", .n_threads = 2, .step = step}, &initial, table, N_WEAK - 1);
    has_membarrier = false;
    table[NO_FENCE_AFTER_TAKING_BACK - 1].on_x86 = table[NO_FENCE_AFTER_TAKING_BACK - 1].elsewhere = true;
    return status | explore_all(&(struct model){.name = "stop without membarrier", .n_threads = 2, .step = step}, &initial, table,
                                N_WEAK - 1);
}

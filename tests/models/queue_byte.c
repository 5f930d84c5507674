/* SPDX-License-Identifier: MIT */
/* queue_byte.c - a model of [M1]-[M3] in gc/mark.c: markers that find the cells of one span, visit it, become idle, look
 * through all states once more, and end.
 *
 *   [M1], [M2]  A mark that changes the span's word is not lost: when no span is queued, each grey cell was left so by a marker
 *               that found ALL_GREY in the word.
 *   [M3]        In the end there is no grey cell.
 *
 * A ring for all stands in for the queues of the markers ([Q1], [Q2]: a push releases, a pop acquires). */
#include "explore.h"

enum { STATE_A, STATE_B, WORD, REPRESENTATIVE, RING, MARKING };
enum { FREE, WHITE, GREY, BLACK };
enum { NOT_QUEUED, ONE_CELL, ALL_GREY };
enum { FOUND_ALL_GREY, LEFTOVERS = 4, OVER }; /* ghosts; the first, one a cell: its mark may be lost for the moment */
enum { N_FOUND, EXPECTED, ONE, WHAT, WORD_SEEN, ROUND }; /* locals */
enum { IDLE_ONE = 1, PHASE_ONE = 16 };        /* of the word of `marking`: phases alternate between marking and verifying */
enum weak {
    NONE,
    MARK_RELAXED,
    VISIT_RELAXED,
    STATES_BEFORE_WORD,
    REPRESENTATIVE_AFTER_PUSH,
    POP_RELAXED,
    NO_VERIFY,
    IDLE_RELAXED,
    N_WEAK
};

enum { MARKERS = 2 }; /* three take minutes: not gone through */

/* What each marker finds, in this order: marker 0 cell A, marker 1 cell B and cell A. */
static unsigned cell_found(unsigned t, unsigned n)
{
    return (t + n) % 2 == 0 ? STATE_A : STATE_B;
}
static unsigned n_to_find(unsigned t)
{
    return t + 1;
}

static void check_marks(const struct state *s)
{
    for (unsigned cell = STATE_A; cell <= STATE_B; cell++)
        model_require(model_newest(s, cell) != GREY || s->ghost[FOUND_ALL_GREY + cell] != 0, "a mark that changed the word is lost");
}

/* settle(), queue_span() */
enum { SETTLE, MARK, LOOK, TO_ONE, NAME, PUSH, TO_ALL };
/* visit() */
enum { WORK = 20, VISIT, TAKE_WORD, GATHER_A, GATHER_B, GATHER_ONE, EARLY_A, EARLY_B, EARLY_WORD };
/* become_idle(), verify_part() */
enum { IDLE = 40, WAIT, VERIFY_A, VERIFY_B, VERIFY_QUEUE, VERIFY_PUSH };

static void found(struct thread *me, unsigned t)
{
    me->local[N_FOUND]++;
    me->pc = me->local[N_FOUND] < n_to_find(t) ? SETTLE : WORK;
}

static void step_mark(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    unsigned cell = cell_found(t, me->local[N_FOUND]);
    uint8_t expected = me->local[EXPECTED];
    enum order order = weakened(MARK_RELAXED) ? RELAXED : ACQ_REL;
    switch (me->pc) {
    case SETTLE:
        if (model_load(s, t, cell, RELAXED) != WHITE)
            found(me, t);
        else
            me->pc = MARK;
        break;
    case MARK: /* [M1] */
        model_store(s, t, cell, GREY, RELAXED);
        s->ghost[FOUND_ALL_GREY + cell] = 0;
        me->pc = LOOK;
        break;
    case LOOK:
        expected = model_load(s, t, WORD, RELAXED);
        goto seen;
    case TO_ONE:
        if (model_cas(s, t, WORD, &expected, ONE_CELL, order))
            me->pc = weakened(REPRESENTATIVE_AFTER_PUSH) ? PUSH : NAME;
        else
            goto seen;
        break;
    case TO_ALL:
        if (model_cas(s, t, WORD, &expected, ALL_GREY, order))
            found(me, t);
        else
            goto seen;
        break;
    case NAME:
        model_store(s, t, REPRESENTATIVE, (uint8_t)cell, RELAXED);
        if (weakened(REPRESENTATIVE_AFTER_PUSH))
            found(me, t);
        else
            me->pc = PUSH;
        break;
    case PUSH:
        model_swap(s, t, RING, 1, RELEASE);
        if (weakened(REPRESENTATIVE_AFTER_PUSH))
            me->pc = NAME;
        else
            found(me, t);
        break;
    }
    return;
seen:
    me->local[EXPECTED] = expected;
    if (expected == ALL_GREY) {
        s->ghost[FOUND_ALL_GREY + cell] = 1;
        found(me, t);
    } else {
        me->pc = expected == NOT_QUEUED ? TO_ONE : TO_ALL;
    }
}

static void gather(struct state *s, unsigned t, unsigned cell, uint8_t then)
{
    struct thread *me = &s->threads[t];
    if (me->local[ONE] != cell + 8) { /* first the load, then the store */
        if (model_load(s, t, cell, RELAXED) == GREY)
            me->local[ONE] = (uint8_t)(cell + 8);
        else
            me->pc = then;
        return;
    }
    model_store(s, t, cell, BLACK, RELAXED);
    me->local[ONE] = 0;
    me->pc = then;
}

static void step_visit(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    switch (me->pc) {
    case WORK: {
        uint8_t expected = 1;
        if (model_cas(s, t, RING, &expected, 0, weakened(POP_RELAXED) ? RELAXED : ACQUIRE))
            me->pc = VISIT;
        else
            me->pc = IDLE;
        break;
    }
    case VISIT:
        me->local[WHAT] = model_load(s, t, REPRESENTATIVE, RELAXED);
        me->pc = weakened(STATES_BEFORE_WORD) ? EARLY_A : TAKE_WORD;
        break;
    case EARLY_A: /* weakened: all that is grey, and then the word */
        gather(s, t, STATE_A, EARLY_B);
        break;
    case EARLY_B:
        gather(s, t, STATE_B, EARLY_WORD);
        break;
    case EARLY_WORD:
        model_swap(s, t, WORD, NOT_QUEUED, ACQ_REL);
        me->pc = WORK;
        break;
    case TAKE_WORD: /* [M2] */
        me->local[ONE] = 0;
        me->pc = model_swap(s, t, WORD, NOT_QUEUED, weakened(VISIT_RELAXED) ? RELAXED : ACQ_REL) == ALL_GREY ? GATHER_A : GATHER_ONE;
        break;
    case GATHER_A:
        gather(s, t, STATE_A, GATHER_B);
        break;
    case GATHER_B:
        gather(s, t, STATE_B, WORK);
        break;
    case GATHER_ONE:
        gather(s, t, me->local[WHAT], WORK);
        break;
    }
}

/* Even phases mark, odd ones verify: marker 0 for all. */
static void enter_phase(struct thread *me, unsigned t, uint8_t word)
{
    uint8_t phase = word / PHASE_ONE;
    me->local[WORD_SEEN] = word;
    me->local[ROUND] = phase;
    me->pc = phase % 2 == 0 ? WORK : t == 0 ? VERIFY_A : IDLE;
}

static void step_idle(struct state *s, unsigned t)
{
    struct thread *me = &s->threads[t];
    enum order order = weakened(IDLE_RELAXED) ? RELAXED : ACQ_REL;
    uint8_t newest = model_newest(s, MARKING);
    switch (me->pc) {
    case IDLE: {
        bool last = newest % PHASE_ONE + 1u == MARKERS, verified = me->local[ROUND] % 2 == 1;
        if (last && !verified)
            check_marks(s);
        if (last && (weakened(NO_VERIFY) || (verified && s->ghost[LEFTOVERS] == 0))) {
            me->pc = DONE;
            s->ghost[OVER] = 1; /* PHASE_OVER */
            break;
        }
        uint8_t next = (uint8_t)(last ? (newest / PHASE_ONE + 1) * PHASE_ONE : newest + IDLE_ONE);
        if (last && verified)
            s->ghost[LEFTOVERS] = 0;
        model_swap(s, t, MARKING, next, order); /* [M3] */
        if (last)
            enter_phase(me, t, next);
        else
            me->pc = WAIT;
        break;
    }
    case WAIT: {
        if (s->ghost[OVER] != 0) {
            me->pc = DONE;
            break;
        }
        uint8_t word = model_load(s, t, MARKING, weakened(IDLE_RELAXED) ? RELAXED : ACQUIRE);
        if (word / PHASE_ONE > me->local[ROUND])
            enter_phase(me, t, word);
        break;
    }
    case VERIFY_A:
    case VERIFY_B:
        if (model_load(s, t, me->pc == VERIFY_A ? STATE_A : STATE_B, RELAXED) == GREY)
            me->pc = VERIFY_QUEUE;
        else
            me->pc = me->pc == VERIFY_A ? VERIFY_B : IDLE;
        break;
    case VERIFY_QUEUE:
        s->ghost[LEFTOVERS] = 1; /* leftovers */
        model_store(s, t, WORD, ALL_GREY, RELAXED);
        me->pc = VERIFY_PUSH;
        break;
    case VERIFY_PUSH:
        model_swap(s, t, RING, 1, RELEASE);
        me->pc = IDLE;
        break;
    }
}

static void step(struct state *s, unsigned t)
{
    uint8_t pc = s->threads[t].pc;
    if (pc < WORK)
        step_mark(s, t);
    else if (pc < IDLE)
        step_visit(s, t);
    else
        step_idle(s, t);
}

static void at_end(struct state *s)
{
    model_require(model_newest(s, STATE_A) != GREY && model_newest(s, STATE_B) != GREY, "a grey cell is left");
}

int main(void)
{
    static const struct weakening table[] = {
        {"a mark's exchange relaxed [M1]", false, true},
        {"a visit's exchange relaxed [M2]", false, true},
        {"states read before the word [M2]", true, true},
        {"representative named after the push", true, true},
        {"pop relaxed [Q2]", false, true},
        {"no last look at all states", true, true},
        {"idleness relaxed [M3]", false, true},
    };
    struct state initial;
    _Static_assert(sizeof(table) / sizeof(table[0]) == N_WEAK - 1, "a line for each");
    initial_state(&initial, (const uint8_t[]){WHITE, WHITE, NOT_QUEUED}, 3);
    return explore_all(&(struct model){.name = "queue word", .n_threads = MARKERS, .step = step, .at_end = at_end}, &initial,
                       table, N_WEAK - 1);
}

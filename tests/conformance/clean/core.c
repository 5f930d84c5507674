// needs: routine chan select time future panic scope gc
/* macros.c without I/O: proper use compiles without a warning under
 * -Wall -Wextra -Wconversion -Wshadow, nested too, with narrow types, in a file that has its own variables called c, f,
 * v, s, i, n, r, out, status (contract 1.10). Never run. */
#include <stdio.h>
#include <weft/weft.h>

struct point { short x, y; };
struct nothing {};
static int add(int a, int b) { return a + b; }
static void none(void) {}
static double halve(float x, char c) { return (double)x / c; }
static struct point make_point(short x) { struct point p = {x, (short)(x + 1)}; return p; }
static int length(const char *text, const int *list) { return text[0] + list[0]; }
static weft_chan(int) numbers(weft_chan(int) c) { return c; }

static void note(void *arg) { ++*(int *)arg; }
static void add_one(int *p) { ++*p; }
static int look(const char *text) { return text[0]; }
static int child(weft_chan(unsigned char) c, short n) { return weft_chan_send(c, (unsigned char)n); }
static weft_scope_ref same(weft_scope_ref s) { return s; }

/* The blocks in a function of their own: their values come from their ends. */
static int blocks(weft_chan(unsigned char) c, int n)
{
    int err, other = 0, i, r = 0, d = 5, s = 1, x = 2, block = 3, outcome = 4;
    struct point p = {1, 2};
    weft_scope(scope, &err) {
        weft_scope_go(scope, child, c, p.y);
        weft_scope_go(scope, none);
        weft_scope_go(same(scope), make_point, (short)weft_await(weft_async(add, 1, 2)));
        weft_scope_go_with(scope, weft_attr(.name = "x", .stack_size = 1u << 20), add, n, 4);
        r += weft_scope_go(scope, halve, 1.5f, 'c');
        weft_scope(inner)
            weft_scope_go(inner, add, 0, weft_scope_go(scope, add, 0, 0));
        weft_scope(first, &other) weft_scope(second, NULL) weft_cancel(first), weft_cancel(second);
        weft_cancel(scope);
        if (weft_cancelled())
            break;
    }
    if (n > 1)
        weft_deadline(n * WEFT_SEC) r += weft_sleep(WEFT_US);
    else
        r++;
    if (n > 2)
        weft_scope(unused)
            r++;
    else
        r--;
    for (i = 0; i < n; i++)
        weft_shield
            weft_deadline(0)
                weft_deadline((n > 1 ? 1 : 2) * WEFT_MS)
                    r += weft_sleep(weft_try(none) + WEFT_US);
    weft_deadline(d) weft_shield weft_scope(v) switch (n) {
    case 1:
        weft_scope_go(v, add, r, r);
        break;
    default:
        return r + x + s + block + outcome;
    }
    weft_scope(v)
        weft_chan_each(unsigned char, item, c)
            if (item != 0)
                weft_scope_go(v, child, c, item);
    return err + other + r;
}

static void trace(void *object, weft_visitor *v) { weft_visit(v, *(void **)object); }

/* Collected memory; p, q, x and size are the program's own names. */
static size_t memory(int n, short few, unsigned char fewer)
{
    struct link { struct link *next; } *p = weft_new(struct link), **q = weft_new_array(struct link *, n);
    int *x = weft_new_array(int, few), (*rows)[3] = weft_new_array(int[3], fewer + 1);
    const char *text = weft_strdup("text"), *const both = weft_sprintf("%s %d", text, n);
    size_t size = weft_size(weft_new(const struct point)) + weft_size(weft_new(weft_chan(int)));
    weft_root(p);
    weft_root(q);
    weft_root(p);
    p->next = weft_new_traced(struct link, trace);
    q[0] = weft_new(__typeof__(*p));
    for (int i = 0; i < n; i++) {
        weft_root(weft_new(struct link));
        weft_root(n > 1 ? p->next : NULL);
        if (n > few)
            break;
    }
    if (n > 2)
        weft_keep(text), weft_keep(weft_new_array(int, x[0]));
    else
        weft_keep(both);
    return size + weft_size(rows) + (size_t)weft_new_array(int, 1 + few)[0];
}

struct holder { weft_chan(char *) names; weft_future(int) f; };

int main(void)
{
    int i = 0, n = 3, r = 0, out = 0, status = 0;
    weft_chan(unsigned char) c = weft_chan_make(unsigned char, 4);
    weft_chan(struct point) s = weft_chan_make(struct point, 1);
    weft_chan(weft_chan(struct point)) cc = weft_chan_make(weft_chan(struct point), WEFT_UNBOUNDED);
    weft_chan(double) d = weft_chan_make(double, 1);
    weft_chan(struct nothing) e = weft_chan_make(struct nothing, 0);
    struct holder h = {.names = weft_chan_make(char *, 1), .f = weft_async(add, n, n)};
    unsigned char v = 0;
    struct point p = {1, 2};
    int list[3] = {1, 2, 3};

    weft_defer(note, &out);
    weft_defer(add_one, list);
    for (int k = 0; k < n; k++) {
        weft_defer(note, k > 1 ? &out : &r);
        weft_defer(look, "text");
        weft_defer(note, NULL);
        if (k == 2)
            break;
    }

    weft_go(none);
    weft_go(add, n, 4);
    weft_go(halve, 1.5f, 'c');
    weft_go(numbers, weft_chan_make(int, 1));
    weft_go(length, "text", list); /* arrays decay as in a plain call */
    weft_go_with((&(weft_go_attr){.stack_size = 1u << 20, .name = "x"}), make_point, p.x); /* the outer () keep the comma */

    weft_future(int) f = weft_async(add, weft_await(weft_async(add, 1, 2)), 3);
    weft_future(struct point) g = weft_async(make_point, p.x);
    weft_future(void) w = weft_async(none);
    double half = weft_await(weft_async(halve, 1.0f, 'c'));
    weft_await(w);
    r += weft_await(f) + weft_await(g).x + weft_await(h.f);
    r += weft_try_await(f, &out) + weft_future_done(f) + (half > 1);
    weft_detach(weft_async(none));

    r += weft_chan_send(c, v) + weft_chan_recv(c, &v) + weft_chan_try_send(c, v) + weft_chan_try_recv(c, &v);
    r += weft_chan_send(s, p) + weft_chan_recv(s, NULL) + weft_chan_send(cc, s) + weft_chan_recv(cc, &s);
    r += weft_chan_send(s, (struct point){1, 2}) + weft_chan_send(s, ((struct point){1, 2}));
    r += weft_chan_send(d, n) + (int)weft_chan_len(c) + (int)weft_chan_cap(c);
    r += weft_chan_send(h.names, NULL) + weft_chan_send(e, (struct nothing){}) + weft_chan_recv(numbers(NULL), &out);

    switch (weft_select(weft_on_recv(c, &v), weft_on_recv(c, &v, &status), weft_on_send(s, p), weft_on_send(s, p, &status),
                        weft_on_done(f), weft_after(50 * WEFT_MS), weft_otherwise)) {
    case 0: r++; break;
    default: break;
    }
    weft_case cases[] = {weft_on_recv(c, &v), weft_on_send_from(s, &p), weft_otherwise};
    r += weft_select_n(cases, sizeof cases / sizeof cases[0]);
    if (weft_select(weft_on_recv(c, NULL), weft_on_send(d, weft_await(weft_async(halve, 1.0f, 'x')))) == 0)
        r += weft_select(weft_otherwise);

    weft_chan_each(unsigned char, item, c) {
        weft_chan_each(struct point, inner, s)
            r += inner.x + item;
        if (r > 100)
            break;
    }

    weft_time before = weft_now();
    weft_duration pause = n * WEFT_SEC;
    weft_chan(weft_time) ticks = weft_ticker_make(pause);
    r += weft_sleep(WEFT_US) + (weft_now() - before > WEFT_MIN) + weft_chan_recv(ticks, &before);
    weft_ticker_stop(ticks);
    r += weft_chan_recv(weft_after_chan(WEFT_NS), NULL);

    r += weft_try(none) + weft_try(add, 1, 2);
    r += blocks(c, n) + (memory(n, 2, 3) > 9);
    weft_chan_close(c);
    for (i = 0; i < n; i++)
        r += i;
    return r;
}

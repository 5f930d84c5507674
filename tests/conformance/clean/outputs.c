// needs: future panic tracker
/* What a future gives is used without a look at the error, and no compiler warns that it may not be there: whether it is,
 * the program knows. Never run. */
#include <stdio.h>
#include <weft/weft.h>

struct pair { int a; float b; };
static struct pair both(int a, float b) { return (struct pair){a, b}; }
static double halve(double x) { return x / 2; }
static int fail(int code) { return code; }
static weft_tracker live;

int main(void)
{
    double halves[2], first, best;
    weft_future(double) f[2] = {weft_async(halve, 1), weft_async(halve, weft_await(weft_async(halve, 8)))};
    int err = weft_all(f, 2, halves), winner = weft_race(f, 2, &first), success = weft_any(f, (size_t)2, &best);
    printf("%d %d %d %g %g %g %g\n", err, winner, success, halves[0], halves[1], first, best);
    int statuses[2], codes[2], code;
    weft_future(int) g[2] = {weft_async(fail, 1), weft_async(fail, 2)};
    weft_all_settled(g, 2, statuses, codes);
    weft_try_await(g[0], &code);
    printf("%d %d %d %d %d\n", statuses[0], statuses[1], codes[0], codes[1], code);
    struct pair p;
    weft_promise(struct pair) promise = weft_promise_make(struct pair);
    weft_tracker_go(&live, both, 1, 2);
    weft_resolve(promise, both(3, 4));
    weft_try_await(weft_promise_future(promise), &p);
    printf("%d %g\n", p.a, (double)p.b);
    return weft_timeout(weft_promise_future(promise), WEFT_MS) + weft_all(f, 2, NULL) + weft_try_await(f[0], NULL);
}

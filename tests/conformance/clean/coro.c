// needs: coro
/* Proper use of the macros of weft/coro.h compiles without a warning under -Wall -Wextra -Wconversion -Wshadow, nested
 * too, with narrow types, in a file that has its own variables called c, f, g, v, x, value. Never run. */
#include <weft/weft.h>

struct point {
    double x, y;
};

static void numbers(weft_generator(short) self, const char *text)
{
    for (int v = 0; text[v] != 0; v++)
        weft_gen_yield(self, (short)text[v]);
}

static void corners(weft_generator(struct point) g)
{
    weft_gen_yield(g, {.x = 1, .y = 2});
    weft_gen_yield(g, (struct point){3, 4});
}

static void names(weft_generator(const char *) self, const char *const *list)
{
    while (*list != NULL)
        weft_gen_yield(self, *list++);
}

static void handles(weft_generator(weft_generator(short)) self, const char *text)
{
    weft_gen_yield(self, weft_gen_make(short, numbers, text));
}

static void body(void *arg)
{
    int *value = weft_coro_suspend(arg);
    *value = 1;
}

int main(void)
{
    const char *list[] = {"a", "b", NULL};
    short value = 0, x = 0;
    void *out;
    int c = 0, f = 0;
    weft_gen_each(short, v, weft_gen_make(short, numbers, list[0]))
        weft_gen_each(struct point, w, weft_gen_make(struct point, corners))
            if (v > w.x)
                return 1;
    weft_gen_each(const char *, v, weft_gen_make(const char *, names, list))
        f += v[0];
    weft_gen_each(weft_generator(short), g, weft_gen_make(weft_generator(short), handles, "text")) {
        c += weft_gen_next(g, &value) + weft_gen_next(g, NULL);
        weft_gen_destroy(g);
    }
    const weft_coro_attr attr = {.stack_size = 1 << 20};
    weft_generator(short) g = weft_gen_make_with(&attr, short, numbers, "text");
    while (weft_gen_next(g, &x) == 0)
        value = x;
    weft_gen_destroy(g);
    weft_coro *co = weft_coro_create(body, &c);
    c += weft_coro_resume(co, &f, &out) + weft_coro_done(co) + (weft_coro_current() == co);
    weft_coro_destroy(co);
    return c + f + value;
}

// needs: coro
/* Making a generator of one type from a function that yields another: does not compile cleanly; -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

static void walk(weft_generator(int) self, int *values)
{
    weft_gen_yield(self, *values);
}

int main(void)
{
    int value = 1;
#ifdef PROPER
    weft_generator(int) g = weft_gen_make(int, walk, &value);
#else
    weft_generator(long) g = weft_gen_make(long, walk, &value);
#endif
    weft_gen_destroy(g);
    return 0;
}

// needs: coro
/* Reading the values of a generator as another type: does not compile cleanly; -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

static void walk(weft_generator(int) self, int *values)
{
    weft_gen_yield(self, *values);
}

int main(void)
{
    int value = 1;
#ifdef PROPER
    weft_gen_each(int, v, weft_gen_make(int, walk, &value))
#else
    weft_gen_each(long, v, weft_gen_make(int, walk, &value))
#endif
        return (int)v;
    return 0;
}

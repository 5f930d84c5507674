// needs: coro
/* Yielding a pointer where the generator gives numbers: does not compile cleanly; -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

static void walk(weft_generator(int) self, int *values)
{
#ifdef PROPER
    weft_gen_yield(self, *values);
#else
    weft_gen_yield(self, values);
#endif
}

int main(void)
{
    int value = 1;
    weft_gen_each(int, v, weft_gen_make(int, walk, &value))
        return v;
    return 0;
}

// needs: coro
/* Making a generator with an argument that its function does not take: does not compile cleanly; -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

static void walk(weft_generator(int) self, int *values)
{
    weft_gen_yield(self, *values);
}

int main(void)
{
#ifdef PROPER
    int value = 1;
#else
    double value = 1;
#endif
    weft_gen_each(int, v, weft_gen_make(int, walk, &value))
        return v;
    return 0;
}

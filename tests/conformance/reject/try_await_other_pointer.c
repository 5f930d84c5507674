// needs: future
/* weft_try_await into a pointer of another type: does not compile cleanly (contract 2, 7); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static double number(void) { return 1; }
int main(void)
{
#ifdef PROPER
    double v = 0;
#else
    float v = 0;
#endif
    int error = weft_try_await(weft_async(number), &v);
    return error + (int)v;
}

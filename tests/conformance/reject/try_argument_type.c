// needs: panic
/* weft_try with an argument of another type: does not compile cleanly (contract 2, 10); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static void take(double *p) { *p = 1; }
int main(void)
{
#ifdef PROPER
    double v;
#else
    long v;
#endif
    return weft_try(take, &v);
}

// needs: panic
/* weft_defer with an argument of another type: does not compile cleanly (contract 10); -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

static void take(double *p) { *p = 1; }
int main(void)
{
#ifdef PROPER
    double v;
#else
    long v; /* wrong */
#endif
    weft_defer(take, &v);
    return 0;
}

// needs: scope
/* Starting a child with a pointer of another type: does not compile cleanly (contract 2, 6); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static int take(double *p) { *p = 1; return 0; }
int main(void)
{
#ifdef PROPER
    static double v;
#else
    static long v;
#endif
    weft_scope(s)
        weft_scope_go(s, take, &v);
    return 0;
}

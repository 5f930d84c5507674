// needs: panic
/* weft_defer with an argument that is no pointer: does not compile cleanly (contract 10). */
#include <weft/weft.h>

static int take(long n) { return (int)n; }
static int take_pointer(void *p) { return p == 0; }
int main(void)
{
    long n = 1;
#ifdef PROPER
    weft_defer(take_pointer, &n);
#else
    weft_defer(take, n); /* wrong */
#endif
    return take(n) + take_pointer(&n);
}

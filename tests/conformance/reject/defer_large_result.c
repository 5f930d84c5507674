// needs: panic
/* weft_defer of a function whose result is returned in memory: does not compile (contract 10). */
#include <weft/weft.h>

#ifdef PROPER
struct large { int i; };
#else
struct large { long i[4]; };
#endif
static struct large give(void *p) { (void)p; return (struct large){0}; }
int main(void)
{
    weft_defer(give, NULL);
    return 0;
}

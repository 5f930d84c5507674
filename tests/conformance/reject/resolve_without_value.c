// needs: future
/* Resolving a promise of a value without one: does not compile (contract 7); -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

int main(void)
{
    weft_promise(int) p = weft_promise_make(int);
    weft_promise(void) q = weft_promise_make(void);
    (void)p;
    (void)q;
#ifdef PROPER
    return weft_resolve(p, 1) + weft_resolve(q);
#else
    return weft_resolve(p);
#endif
}

// needs: future
/* Awaiting a promise in place of its future: does not compile (contract 7); -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

int main(void)
{
    weft_promise(int) p = weft_promise_make(int);
#ifdef PROPER
    weft_future(int) f = weft_promise_future(p);
#else
    weft_future(int) f = p;
#endif
    return weft_await(f);
}

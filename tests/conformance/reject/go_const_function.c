// needs: future
/* Starting a function without effects, attribute const: gcc would leave the start out, so it does not compile; clang starts it. -DPROPER shows that only the marked line is at fault. */
#include <stdlib.h>
#include <weft/weft.h>

#if defined(__clang__) && !defined(PROPER)
#error "only gcc leaves it out"
#endif
static int magnitude(int v) { return abs(v); }
int main(void)
{
#ifdef PROPER
    return weft_await(weft_async(magnitude, -1));
#else
    (void)magnitude;
    return weft_await(weft_async(abs, -1));
#endif
}

// needs: future
/* Using the value of a future of nothing: does not compile (contract 2, 7); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static int number(void) { return 1; }
static void nothing(void) {}
int main(void)
{
    (void)number;
    (void)nothing;
#ifdef PROPER
    int v = weft_await(weft_async(number));
#else
    int v = weft_await(weft_async(nothing));
#endif
    return v;
}

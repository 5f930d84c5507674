// needs: scope
/* Starting a child with too few arguments: does not compile cleanly (contract 2, 6); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static void two(int a, int b) { (void)(a + b); }
int main(void)
{
    weft_scope(s) {
#ifdef PROPER
        weft_scope_go(s, two, 1, 2);
#else
        weft_scope_go(s, two, 1);
#endif
    }
    return 0;
}

// needs: 
/* Starting what is no function: does not compile (contract 2); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static int run(void) { return 1; }
int main(void)
{
#ifdef PROPER
    return weft_go(run);
#else
    return weft_go(run());
#endif
}

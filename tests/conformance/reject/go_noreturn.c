// needs: 
/* Starting a function that does not return: does not compile (contract 2); clang cannot tell, which is documented. -DPROPER shows that only the marked line is at fault. */
#include <stdlib.h>
#include <weft/weft.h>

#if defined(__clang__) && !defined(PROPER)
#error "only gcc can tell"
#endif
static void quit(int status) { exit(status); }
int main(void)
{
#ifdef PROPER
    return weft_go(quit, 1);
#else
    (void)quit;
    return weft_go(exit, 1);
#endif
}

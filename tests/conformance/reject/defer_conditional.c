// needs: panic
/* weft_defer as the body of an if, where it would run at once: does not compile (contract 10). */
#include <weft/weft.h>

static void take(int *p) { *p = 1; }
int main(int argc, char **argv)
{
    (void)argv;
#ifdef PROPER
    if (argc > 1) {
        weft_defer(take, &argc);
    }
#else
    if (argc > 1)
        weft_defer(take, &argc); /* wrong */
#endif
    return 0;
}

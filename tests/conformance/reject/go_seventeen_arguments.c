// needs: 
/* Starting a routine with more arguments than can be counted: does not compile, whatever the last ones are; -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

static void take(int first, ...) { (void)first; }
int main(void)
{
#ifdef PROPER
    return weft_go(take, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
#else
    return weft_go(take, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0);
#endif
}

// needs: 
/* Starting a function that returns a structure in memory: does not compile (contract 2); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

struct large { long a, b, c; };
struct small { long a, b; };
static struct large give_large(void) { return (struct large){1, 2, 3}; }
static struct small give_small(void) { return (struct small){1, 2}; }
int main(void)
{
#ifdef PROPER
    (void)give_large;
    return weft_go(give_small);
#else
    (void)give_small;
    return weft_go(give_large);
#endif
}

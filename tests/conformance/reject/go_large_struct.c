// needs: 
/* Starting a routine with a structure argument beyond 16 bytes: does not compile (contract 2); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

struct large { long a, b, c; };
static void take(struct large v) { (void)v; }
static void take_pointer(const struct large *v) { (void)v; }
int main(void)
{
    static struct large v;
#ifdef PROPER
    (void)take;
    return weft_go(take_pointer, &v);
#else
    (void)take_pointer;
    return weft_go(take, v);
#endif
}

// needs: future
/* Awaiting a structure that the ABI returns on the x87 stack: does not compile (contract 2); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

struct boxed { long double v; };
static struct boxed give(void) { return (struct boxed){1}; }
#ifdef PROPER
static long double unbox(void) { return give().v; }
int main(void) { return (int)weft_await(weft_async(unbox)); }
#else
int main(void) { return (int)weft_await(weft_async(give)).v; }
#endif

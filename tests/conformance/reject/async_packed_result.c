// needs: future
/* Awaiting a small structure that the ABI returns in memory all the same, because a member is not aligned: does not compile (contract 2); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

#ifdef PROPER
struct record { char c; int i; };
#else
struct __attribute__((packed)) record { char c; int i; };
#endif
static struct record give(void) { return (struct record){1, 2}; }
int main(void) { return weft_await(weft_async(give)).i; }

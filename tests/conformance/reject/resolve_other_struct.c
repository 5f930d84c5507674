// needs: future
/* Resolving a promise with a value of another type: does not compile (contract 7); -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

struct a {
    int v;
};
struct b {
    int v;
};
int main(void)
{
    weft_promise(struct a) p = weft_promise_make(struct a);
    struct a right = {1};
    struct b wrong = {1};
    (void)right;
    (void)wrong;
#ifdef PROPER
    return weft_resolve(p, right);
#else
    return weft_resolve(p, wrong);
#endif
}

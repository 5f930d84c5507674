// needs: future
/* The values of several futures to objects of another type: does not compile (contract 7); -DPROPER shows that only the marked line is at fault. */
#include <weft/weft.h>

int main(void)
{
    weft_future(int) fs[2] = {NULL, NULL};
    int right[2] = {0};
    double wrong[2] = {0};
    (void)right;
    (void)wrong;
#ifdef PROPER
    return weft_all(fs, 2, right);
#else
    return weft_all(fs, 2, wrong);
#endif
}

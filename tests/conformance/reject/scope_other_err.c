// needs: scope
/* An err that is no int: does not compile cleanly (contract 6); -DPROPER shows that only the marked line is at fault. */
#include <stddef.h>
#include <weft/weft.h>

int main(void)
{
#ifdef PROPER
    int err = 0;
#else
    long err = 0;
#endif
    weft_scope(s, &err)
        weft_cancel(s);
    return (int)err;
}

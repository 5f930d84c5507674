// SPDX-License-Identifier: MIT
/* Scopes, deadlines and shields in C++, where children are not to be had: they compile cleanly, are left in every way, and
 * exceptions pass them like a return. */
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <weft/weft.h>

static void require(bool holds, int line)
{
    if (holds)
        return;
    std::fprintf(stderr, "blocks.cc:%d: not true\n", line);
    std::abort();
}
#define REQUIRE(x) require((x), __LINE__)

static int n_destroyed;
struct guard {
    ~guard() { n_destroyed++; }
};

static int leave(int how)
{
    int err = 4711;
    for (int i = 0; i < 2; i++) {
        guard outer;
        weft_scope(s, &err) {
            guard inner;
            weft_deadline(WEFT_HOUR) weft_shield {
                if (how == 0)
                    throw std::runtime_error("passes");
                if (how == 1)
                    return 1;
                if (how == 2)
                    goto out;
                if (how == 3)
                    break;
                if (how == 4)
                    continue;
            }
            weft_cancel(s);
            REQUIRE(weft_cancelled());
            REQUIRE(weft_sleep(WEFT_HOUR) == -ECANCELED);
        }
        REQUIRE(err == -ECANCELED);
    }
    return 5;
out:
    return 2;
}

static void leave_all_ways()
{
    bool caught = false;
    try {
        leave(0);
    } catch (const std::runtime_error &) {
        caught = true;
    }
    REQUIRE(caught && n_destroyed == 2);
    REQUIRE(leave(1) == 1 && leave(2) == 2 && leave(3) == 5 && leave(4) == 5);
    REQUIRE(n_destroyed == 2 + 2 + 2 + 4 + 4);
    weft_deadline(0)
        REQUIRE(weft_sleep(WEFT_SEC) == -ETIMEDOUT);
    REQUIRE(!weft_cancelled() && weft_sleep(WEFT_US) == 0);
    n_destroyed = 0;
}

static void rest(void *done)
{
    leave_all_ways();
    *static_cast<volatile bool *>(done) = true;
}

int main()
{
    volatile bool done = false;
    leave_all_ways();
    weft_timer_start(0, rest, const_cast<bool *>(&done)); /* in a routine */
    while (!done)
        weft_sleep(WEFT_MS);
    return 0;
}

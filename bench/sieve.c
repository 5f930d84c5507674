/* SPDX-License-Identifier: MIT */
/* sieve.c - how long does the prime sieve of one filter routine per prime take for 2000 primes?
 *
 * Unbuffered channels, about 2 million items. The numbers end at the 2000th prime, so that all filters end too;
 * their ending is in the figure and is small. Not measured: anything but long chains of unbuffered sends.
 */
#include "bench.h"
#include <weft/weft.h>

enum { PRIMES = 2000, LAST_PRIME = 17389 };

static void generate(weft_chan(int) out)
{
    for (int i = 2; i <= LAST_PRIME; i++)
        weft_chan_send(out, i);
    weft_chan_close(out);
}

static void filter(weft_chan(int) in, weft_chan(int) out, int prime)
{
    weft_chan_each(int, i, in) {
        if (i % prime != 0)
            weft_chan_send(out, i);
    }
    weft_chan_close(out);
}

static void sieve(int primes)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    int prime = 0;
    weft_go(generate, c);
    for (int i = 0; i < primes; i++) {
        weft_chan(int) next = weft_chan_make(int, 0);
        weft_chan_recv(c, &prime);
        weft_go(filter, c, next, prime);
        c = next;
    }
    bench_require(prime == LAST_PRIME, "last prime");
    bench_require(weft_chan_recv(c, NULL) != 0, "number after the last prime");
}

static void measure(void)
{
    bench_each("sieve", sieve, PRIMES, 1e6, "ms");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    weft_await(weft_async(measure));
    return 0;
}

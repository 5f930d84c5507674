/* SPDX-License-Identifier: MIT */
/* squares.c - three workers square numbers; main adds up what arrives until a time limit. */
#include <stdio.h>
#include <weft/go.h>
#include <weft/weft.h>

static void worker(chan(int) numbers, chan(long) squares)
{
    chan_each(int, n, numbers)
        chan_send(squares, (long)n * n);
}

static void produce(chan(int) numbers)
{
    for (int n = 1; n <= 100; n++)
        chan_send(numbers, n);
    chan_close(numbers);
}

int main(void)
{
    chan(int) numbers = chan_make(int, 8);
    chan(long) squares = chan_make(long, 0);

    go(produce, numbers);
    for (int i = 0; i < 3; i++)
        go(worker, numbers, squares);

    long sum = 0, square = 0;
    for (int i = 0; i < 100; i++) {
        switch (weft_select(on_recv(squares, &square), after(10 * WEFT_SEC))) {
        case 0:
            sum += square;
            break;
        case 1:
            puts("too slow");
            return 1;
        }
    }
    printf("sum of squares: %ld\n", sum);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* replicas.c - asks three replicas at once, takes the first answer, and cancels the others.
 *
 * The first to finish is broken and panics, which does not count as an answer. When weft_any() returns, the one that was
 * too slow has ended as well: nothing of the question is left behind.
 */
#include <stdio.h>
#include <weft/weft.h>

enum { REPLICAS = 3 };

struct replica {
    const char *name;
    weft_duration latency;
    int answer; /* < 0: broken */
    int status; /* how its wait ended */
};

static int ask(struct replica *r)
{
    r->status = weft_sleep(r->latency); /* stands for a request over the network */
    if (r->status != 0)
        return r->status;
    if (r->answer < 0)
        weft_panic("%s refuses the connection", r->name);
    return r->answer;
}

int main(void)
{
    struct replica replicas[REPLICAS] = {
        {.name = "ams", .latency = 5 * WEFT_MS, .answer = -1},
        {.name = "fra", .latency = 20 * WEFT_MS, .answer = 42},
        {.name = "sfo", .latency = 60 * WEFT_SEC, .answer = 42},
    };
    weft_future(int) answers[REPLICAS];
    for (int i = 0; i < REPLICAS; i++)
        answers[i] = weft_async(ask, &replicas[i]);

    int answer = 0;
    int first = weft_any(answers, REPLICAS, &answer);
    if (first < 0) {
        printf("no replica answers\n");
        return 1;
    }
    printf("%s answers %d\n", replicas[first].name, answer);
    for (int i = 0; i < REPLICAS; i++)
        printf("%s: %s\n", replicas[i].name,
               replicas[i].status == -ECANCELED ? "cancelled"
               : i == first                     ? "first"
                                                : "broken");
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* test_chan_elements.c - values of every type arrive as they were sent. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include <weft/chan.h>
#include <weft/routine.h>

#include "../support/elements.h"
#include "../support/expect.h"
#include "../support/start.h"

#define ELEMENT_TEST(name, T) \
    static void send_##name(weft_chan(T) c, int n) \
    { \
        for (int at = 0; at < n; at++) { \
            T value; \
            memset(&value, at + 1, sizeof(value)); \
            require(weft_chan_send(c, value) == 0); \
        } \
    } \
    static void recv_##name(weft_chan(T) c, int n) \
    { \
        for (int at = 0; at < n; at++) { \
            struct { \
                unsigned char before[16]; \
                T value; \
                unsigned char after[16]; \
            } got, want; \
            memset(&got, 0xa5, sizeof(got)); \
            memset(&want, 0xa5, sizeof(want)); \
            memset(&want.value, at + 1, sizeof(want.value)); \
            require(weft_chan_recv(c, &got.value) == 0); \
            require(memcmp(&got, &want, sizeof(got)) == 0); \
        } \
    } \
    Test(chan, elements_of_type_##name##_arrive_whole, .timeout = 60) \
    { \
        size_t caps[] = {0, 1, 3, 40, WEFT_UNBOUNDED}; \
        for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) { \
            weft_chan(T) c = weft_chan_make(T, caps[i]); \
            weft_future(void) f = weft_async(recv_##name, c, 100); \
            in_routine(send_##name, c, 100); \
            weft_await(f); \
            f = weft_async(send_##name, c, 100); \
            in_routine(recv_##name, c, 100); \
            weft_await(f); \
            f = weft_async(recv_##name, c, 100); \
            send_##name(c, 100); \
            weft_await(f); \
        } \
    }

ELEMENT_TEST(nothing, struct nothing)
ELEMENT_TEST(char, char)
ELEMENT_TEST(short, short)
ELEMENT_TEST(three_bytes, struct three)
ELEMENT_TEST(int, int)
ELEMENT_TEST(int64, int64_t)
ELEMENT_TEST(sixteen_bytes, struct sixteen)
ELEMENT_TEST(twentyfour_bytes, struct twentyfour)
ELEMENT_TEST(hundred_bytes, struct hundred)
ELEMENT_TEST(page, struct page)

Test(chan, values_without_size_are_still_counted)
{
    weft_chan(struct nothing) c = weft_chan_make(struct nothing, 5), u = weft_chan_make(struct nothing, WEFT_UNBOUNDED);
    for (int i = 0; i < 5; i++)
        cr_assert(weft_chan_try_send(c, (struct nothing){}) == 0);
    cr_assert(weft_chan_try_send(c, (struct nothing){}) == -EAGAIN);
    for (int i = 0; i < 1000; i++)
        cr_assert(weft_chan_send(u, (struct nothing){}) == 0);
    cr_assert(weft_chan_len(c) == 5);
    cr_assert(weft_chan_len(u) == 1000);
    struct nothing v;
    for (int i = 0; i < 5; i++)
        cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(weft_chan_try_recv(c, &v) == -EAGAIN);
}

Test(chan, pointers_travel_with_their_qualifiers)
{
    weft_chan(const char *) c = weft_chan_make(const char *, 1);
    weft_chan(char *const) k = weft_chan_make(char *const, 1);
    const char *v = NULL;
    char text[] = "y", *p = NULL;
    cr_assert(weft_chan_send(c, "x") == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(strcmp(v, "x") == 0);
    cr_assert(weft_chan_send(k, text) == 0);
    cr_assert(weft_chan_recv(k, &p) == 0);
    cr_assert(p == text);
    cr_assert(weft_chan_send(c, NULL) == 0);
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == NULL);
}

Test(chan, channels_travel_through_channels)
{
    weft_chan(weft_chan(int)) cc = weft_chan_make(weft_chan(int), 1);
    weft_chan(int) c = weft_chan_make(int, 1), got = NULL;
    cr_assert(weft_chan_send(cc, c) == 0);
    cr_assert(weft_chan_recv(cc, &got) == 0);
    cr_assert(got == c);
    cr_assert(weft_chan_send(got, 5) == 0);
    int v = 0;
    cr_assert(weft_chan_recv(c, &v) == 0);
    cr_assert(v == 5);
}

Test(chan, a_sent_value_is_converted_to_the_element_type)
{
    weft_chan(double) d = weft_chan_make(double, 1);
    weft_chan(unsigned char) b = weft_chan_make(unsigned char, 1);
    int three = 3;
    double got = 0;
    unsigned char byte = 0;
    cr_assert(weft_chan_send(d, three) == 0);
    cr_assert(weft_chan_recv(d, &got) == 0);
    cr_assert(got == 3.0);
    cr_assert(weft_chan_try_send(d, 2.5f) == 0);
    cr_assert(weft_chan_try_recv(d, &got) == 0);
    cr_assert(got == 2.5);
    cr_assert(weft_chan_send(b, (unsigned char)(three + 256)) == 0);
    cr_assert(weft_chan_recv(b, &byte) == 0);
    cr_assert(byte == 3);
}

Test(chan, a_brace_literal_may_be_sent_with_and_without_parentheses)
{
    weft_chan(struct sixteen) c = weft_chan_make(struct sixteen, 3);
    struct sixteen v = {0, 0};
    cr_assert(weft_chan_send(c, (struct sixteen){1, 2}) == 0);
    cr_assert(weft_chan_send(c, ((struct sixteen){3, 4})) == 0);
    cr_assert(weft_chan_try_send(c, {5, 6}) == 0);
    for (uint64_t i = 1; i < 6; i += 2) {
        cr_assert(weft_chan_recv(c, &v) == 0);
        cr_assert(v.a == i);
        cr_assert(v.b == i + 1);
    }
}

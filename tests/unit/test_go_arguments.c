/* SPDX-License-Identifier: MIT */
/* test_go_arguments.c - every kind of argument arrives as in a plain call, and every kind of result comes back.
 *
 * The functions check what they get themselves; each test waits until all that it started have arrived.
 */
#include <criterion/criterion.h>

#include <complex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <weft/weft.h>

#include "../support/expect.h"

typedef float vec4 __attribute__((vector_size(16)));
typedef __int128 int128;
enum colour { RED, GREEN = 77 };
struct one_int { int a; };
struct int_double { int a; double b; };
struct double_int { double a; int b; };
struct two_doubles { double x, y; };
struct three_floats { float x, y, z; };
struct three_chars { char c[3]; };
struct seven_bytes { char c[7]; };
struct sixteen_bytes { char c[16]; };
struct text { const char *start; size_t length; };
struct __attribute__((packed)) packed { char c; int i; };
struct wide { int128 v; };
struct complex_float { _Complex float z; };
struct boxed { long double v; };
struct nothing {};
union number { int i; float f; };
struct bits { unsigned low : 3, high : 5; };

static atomic_uint arrived;

static void arrive(void)
{
    atomic_fetch_add(&arrived, 1);
}

static void await_arrivals(unsigned n)
{
    eventually(atomic_load(&arrived) >= n);
    cr_assert_eq(atomic_load(&arrived), n);
}

#define start(...) require(weft_go(__VA_ARGS__) == 0)

/* ---- scalars ---- */

static void take_int(int a)
{
    require(a == 42);
    arrive();
}
static void take_narrow(signed char a, short b, unsigned char c, unsigned short d, bool e)
{
    require(a == -3 && b == -300 && c == 200 && d == 65000 && e == true);
    arrive();
}
static void take_wide(long a, unsigned long b, long long c, unsigned d, enum colour e)
{
    require(a == -5 && b == ~0ul && c == 1ll << 40 && d == 4000000000u && e == GREEN);
    arrive();
}
static void take_real(float a, double b, long double c)
{
    require(a == 1.5f && b == 2.25 && c == 7.125L);
    arrive();
}
static void take_quad(__float128 a, float b)
{
    require(a == (__float128)1 / 4 && b == 0.5f);
    arrive();
}
static void take_complex(_Complex float a, _Complex double b)
{
    require(crealf(a) == 1 && cimagf(a) == -1 && creal(b) == 1.5 && cimag(b) == -2.5);
    arrive();
}
static void take_big_complex(_Complex long double a, _Complex long double b)
{
    require(creall(a) == 1 && cimagl(a) == 0 && creall(b) == 2 && cimagl(b) == 0);
    arrive();
}
static void take_int128(int128 a, unsigned __int128 b)
{
    require(a == -((int128)1 << 100) && b == ~(unsigned __int128)0);
    arrive();
}
static void take_vector(vec4 v, int n)
{
    require(v[0] == 1 && v[1] == 2 && v[2] == 3 && v[3] == 4 && n == 5);
    arrive();
}

Test(go_arguments, a_function_without_arguments_runs, .timeout = 60)
{
    start(arrive);
    start(&arrive);
    await_arrivals(2);
}

Test(go_arguments, integers_are_converted_as_in_a_plain_call, .timeout = 60)
{
    int x = 42;
    const short constant = 42;
    volatile unsigned char changing = 42;
    struct bits bits = {.low = 2, .high = 21};
    start(take_int, x);
    start(take_int, 42L);
    start(take_int, '*');
    start(take_int, constant);
    start(take_int, changing);
    start(take_int, bits.high * bits.low);
    start(take_int, true ? x : 0);
    start(take_int, (int)42.9);
    await_arrivals(8);
}

Test(go_arguments, narrow_and_wide_integers_keep_their_value, .timeout = 60)
{
    start(take_narrow, -3, -300, 200, 65000, 1);
    start(take_narrow, (signed char)-3, (short)-300, (unsigned char)200, (unsigned short)65000, true);
    start(take_wide, -5, ~0ul, 1ll << 40, 4000000000u, GREEN);
    await_arrivals(3);
}

Test(go_arguments, real_numbers_are_converted_as_in_a_plain_call, .timeout = 60)
{
    start(take_real, 1.5f, 2.25, 7.125L);
    start(take_real, 1.5, 2.25f, 7.125f);
    start(take_real, (float)1.5L, (double)2.25L, 7.125);
    start(take_quad, (__float128)0.25, 0.5f);
    await_arrivals(4);
}

Test(go_arguments, complex_numbers_arrive, .timeout = 60)
{
    start(take_complex, 1.0f - 1.0f * I, 1.5 - 2.5 * I);
    await_arrivals(1);
}

Test(go_arguments, a_real_number_may_become_the_largest_complex_one, .timeout = 60)
{
    start(take_big_complex, (_Complex long double)1, (_Complex long double)2);
    start(take_big_complex, 1.0L, 2.0L);
    start(take_big_complex, 1.0, 2.0);
    start(take_big_complex, 1, 2);
    await_arrivals(4);
}

Test(go_arguments, integers_of_16_bytes_arrive, .timeout = 60)
{
    start(take_int128, -((int128)1 << 100), ~(unsigned __int128)0);
    await_arrivals(1);
}

Test(go_arguments, vectors_of_16_bytes_arrive, .timeout = 60)
{
    vec4 v = {1, 2, 3, 4};
    start(take_vector, v, 5);
    await_arrivals(1);
}

/* ---- many ---- */

static void take_ten_ints(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j)
{
    require(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10);
    arrive();
}
static void take_ten_doubles(double a, double b, double c, double d, double e, double f, double g, double h, double i,
                             double j)
{
    require(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10);
    arrive();
}
static void take_mixture(int a, double b, int c, float d, int e, long double f, int g, double h, int i, int j, int k,
                         struct int_double l)
{
    require(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 &&
            k == 11 && l.a == 12 && l.b == 13);
    arrive();
}
static void take_aligned_on_stack(long a, long b, long c, long d, long e, long f, long g, int128 h, char i, long double j,
                                  int k, struct wide l)
{
    require(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7 && h == (int128)8 << 64 && i == 9 &&
            j == 10.5L && k == 11 && l.v == (int128)12 << 64);
    arrive();
}
static void take_struct_across_the_last_register(long a, long b, long c, long d, long e, struct text f, long g)
{
    require(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f.length == 6 && strcmp(f.start, "sixsix") == 0 && g == 7);
    arrive();
}
static void take_sixteen(int a, double b, const char *c, struct text d, long double e, char f, int128 g, float h, int i,
                         double j, const char *k, struct text l, long double m, char n, int128 o, float p)
{
    require(a == 1 && b == 2 && *c == '3' && d.length == 4 && e == 5 && f == 6 && g == 7 && h == 8 && i == 9 && j == 10 &&
            strcmp(k, "11") == 0 && l.length == 12 && m == 13 && n == 14 && o == 15 && p == 16);
    arrive();
}
static void take_pointers_and_int128s(char *a, char *b, char *c, char *d, char *e, char *f, char *g, int128 h, char *i,
                                      int128 j, char *k, int128 l, char *m, int128 n, char *o, int128 p)
{
    char *at = a;
    require(b == at + 1 && c == at + 2 && d == at + 3 && e == at + 4 && f == at + 5 && g == at + 6);
    require(i == at + 8 && k == at + 10 && m == at + 12 && o == at + 14);
    require(h == (int128)7 << 70 && j == (int128)9 << 70 && l == (int128)11 << 70 && n == (int128)13 << 70 &&
            p == (int128)15 << 70);
    arrive();
}

Test(go_arguments, ten_integers_and_ten_doubles_arrive, .timeout = 60)
{
    start(take_ten_ints, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    start(take_ten_doubles, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    start(take_ten_doubles, 1.f, 2.f, 3.f, 4.f, 5.f, 6.f, 7.f, 8.f, 9.f, 10.f);
    await_arrivals(3);
}

Test(go_arguments, a_mixture_in_registers_and_on_the_stack_arrives, .timeout = 60)
{
    start(take_mixture, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ((struct int_double){12, 13}));
    start(take_mixture, 1, 2., 3, 4.f, 5, 6.L, 7, 8., 9, 10, 11, ((struct int_double){.b = 13, .a = 12}));
    await_arrivals(2);
}

Test(go_arguments, what_is_aligned_to_16_bytes_on_the_stack_arrives, .timeout = 60)
{
    start(take_aligned_on_stack, 1, 2, 3, 4, 5, 6, 7, (int128)8 << 64, 9, 10.5, 11, ((struct wide){(int128)12 << 64}));
    await_arrivals(1);
}

Test(go_arguments, a_struct_that_finds_one_register_left_goes_to_the_stack, .timeout = 60)
{
    start(take_struct_across_the_last_register, 1, 2, 3, 4, 5, ((struct text){"sixsix", 6}), 7);
    await_arrivals(1);
}

Test(go_arguments, sixteen_arguments_arrive, .timeout = 60)
{
    struct text four = {"four", 4}, twelve = {"twelve", 12};
    start(take_sixteen, 1, 2, "3", four, 5, 6, 7, 8, 9, 10, "11", twelve, 13, 14, 15, 16);
    await_arrivals(1);
}

/* The most padding that sixteen arguments can need. */
Test(go_arguments, pointers_between_aligned_words_arrive, .timeout = 60)
{
    static char at[16];
    start(take_pointers_and_int128s, at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6, (int128)7 << 70, at + 8,
          (int128)9 << 70, at + 10, (int128)11 << 70, at + 12, (int128)13 << 70, at + 14, (int128)15 << 70);
    await_arrivals(1);
}

/* ---- structures ---- */

static void take_integer_structs(struct one_int a, struct seven_bytes b, struct sixteen_bytes c, struct three_chars d)
{
    require(a.a == 1 && memcmp(b.c, "1234567", 7) == 0 && memcmp(c.c, "0123456789abcdef", 16) == 0 &&
            memcmp(d.c, "xyz", 3) == 0);
    arrive();
}
static void take_real_structs(struct two_doubles a, struct three_floats b, struct complex_float c)
{
    require(a.x == 1 && a.y == -1 && b.x == 1 && b.y == 2 && b.z == 3 && crealf(c.z) == 4 && cimagf(c.z) == 5);
    arrive();
}
static void take_mixed_structs(struct int_double a, struct double_int b, union number c, struct bits d)
{
    require(a.a == 1 && a.b == 2.5 && b.a == 3.5 && b.b == 4 && c.f == 5.5f && d.low == 6 && d.high == 7);
    arrive();
}
static void take_memory_structs(struct packed a, int b, struct wide c, struct packed d)
{
    require(a.c == 'q' && a.i == 77 && b == 5 && c.v == (int128)1 << 90 && d.c == 'r' && d.i == 88);
    arrive();
}
static void take_empty(struct nothing a, int b)
{
    (void)a;
    require(b == 3);
    arrive();
}

Test(go_arguments, structures_of_integers_arrive, .timeout = 60)
{
    struct seven_bytes seven;
    struct sixteen_bytes sixteen;
    memcpy(seven.c, "1234567", 7);
    memcpy(sixteen.c, "0123456789abcdef", 16);
    start(take_integer_structs, ((struct one_int){1}), seven, sixteen, ((struct three_chars){{'x', 'y', 'z'}}));
    await_arrivals(1);
}

Test(go_arguments, structures_of_real_numbers_arrive, .timeout = 60)
{
    start(take_real_structs, ((struct two_doubles){1, -1}), ((struct three_floats){1, 2, 3}),
          ((struct complex_float){4.0f + 5.0f * I}));
    await_arrivals(1);
}

Test(go_arguments, structures_of_both_arrive, .timeout = 60)
{
    struct bits bits = {6, 7};
    start(take_mixed_structs, ((struct int_double){1, 2.5}), ((struct double_int){3.5, 4}), ((union number){.f = 5.5f}),
          bits);
    await_arrivals(1);
}

Test(go_arguments, structures_that_the_abi_puts_into_memory_arrive, .timeout = 60)
{
    start(take_memory_structs, ((struct packed){'q', 77}), 5, ((struct wide){(int128)1 << 90}), ((struct packed){'r', 88}));
    start(take_empty, ((struct nothing){}), 3);
    await_arrivals(2);
}

/* ---- pointers and functions ---- */

static void take_text(const char *s, double d)
{
    require(strcmp(s, "a literal is an array here and a pointer there") == 0 && d == 2.5);
    arrive();
}
static void take_array(int *a, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i];
    require(sum == 15);
    arrive();
}
static int add(int a, int b)
{
    return a + b;
}
static void take_function(int (*f)(int, int), int (**g)(int, int), int h(int, int))
{
    require(f(1, 2) == 3 && (*g)(3, 4) == 7 && h(5, 6) == 11);
    arrive();
}
static void take_null(const void *a, const char *b)
{
    require(a == NULL && b == NULL);
    arrive();
}
static inline void take_inline(int a)
{
    require(a == 8);
    arrive();
}
struct operations {
    void (*take)(int);
};

Test(go_arguments, arrays_and_literals_become_pointers, .timeout = 60)
{
    static int numbers[5] = {1, 2, 3, 4, 5};
    start(take_text, "a literal is an array here and a pointer there", 2.5);
    start(take_array, numbers, sizeof(numbers) / sizeof(*numbers));
    start(take_array, &numbers[0], 5);
    start(take_null, NULL, 0);
    await_arrivals(4);
}

Test(go_arguments, functions_and_pointers_to_them_arrive, .timeout = 60)
{
    static int (*pointer)(int, int) = add;
    start(take_function, add, &pointer, pointer);
    start(take_function, &add, &pointer, *pointer);
    await_arrivals(2);
}

Test(go_arguments, the_function_may_be_any_expression, .timeout = 60)
{
    void (*pointer)(int) = take_int, (**indirect)(int) = &pointer, (*table[2])(int) = {take_inline, take_int};
    struct operations operations = {take_int}, *at = &operations;
    volatile bool yes = true;
    start(take_inline, 8);
    start(pointer, 42);
    start(*pointer, 42);
    start(*indirect, 42);
    start(table[1], 42);
    start(at->take, 42);
    start((yes ? take_int : take_inline), 42);
    await_arrivals(7);
}

__attribute__((pure, noinline)) static int count_purely(int a)
{
    __asm__ volatile("lock incl %0" : "+m"(arrived)); /* what the attribute promises not to do, to see the call */
    return a;
}

Test(go_arguments, a_function_without_effects_is_started_all_the_same, .timeout = 60)
{
    start(count_purely, 1);
    await_arrivals(1);
}

/* ---- variadic functions ---- */

static void take_any(int n, ...)
{
    va_list ap;
    va_start(ap, n);
    for (int i = 1; i <= n; i++) {
        require(va_arg(ap, int) == i);
        require(va_arg(ap, double) == i + 0.5);
        require(strcmp(va_arg(ap, const char *), "text") == 0);
    }
    require(va_arg(ap, long double) == 100.25L);
    va_end(ap);
    arrive();
}

static void await_text(const char *buffer, const char *expected)
{
    eventually(strcmp(buffer, expected) == 0);
}

Test(go_arguments, variadic_functions_get_what_they_are_given, .timeout = 60)
{
    start(take_any, 1, 1, 1.5, "text", 100.25L);
    start(take_any, 4, 1, 1.5, "text", 2, 2.5, "text", 3, 3.5f, "text", 4, 4.5, "text", 100.25L);
    await_arrivals(2);
}

Test(go_arguments, a_function_of_the_c_library_formats_many, .timeout = 60)
{
    static char first[80], second[80];
    start(snprintf, first, sizeof(first), "%d %s %.2f %c", 7, "seven", 7.5, '!');
    start(snprintf, second, sizeof(second), "%d %d %d %d %d %d %.1f %.1f %s", 1, 2, 3, 4, 5, 6, 7.5, 8.5f, "nine");
    await_text(first, "7 seven 7.50 !");
    await_text(second, "1 2 3 4 5 6 7.5 8.5 nine");
}

/* ---- evaluation ---- */

static void take_two(int a, int b)
{
    require(a == 6 && b == 0);
    arrive();
}

Test(go_arguments, starts_nest_in_their_own_arguments, .timeout = 60)
{
    start(take_two, 6, weft_go(arrive));
    start(take_two, ({ weft_go(take_int, 42); 6; }), weft_go(take_two, 6, weft_go(take_int, 42)));
    start(take_two, weft_await(weft_async(add, weft_await(weft_async(add, 1, 2)), 3)), 0);
    await_arrivals(7);
}

Test(go_arguments, each_argument_is_evaluated_once_and_by_the_caller, .timeout = 60)
{
    int a = 5, b = 1;
    void (*functions[2])(int, int) = {NULL, take_two};
    int f = 0;
    start(functions[++f], ++a, --b);
    cr_assert_eq(f, 1);
    cr_assert_eq(a, 6);
    cr_assert_eq(b, 0);
    await_arrivals(1);
}

static int wait_elsewhere(weft_chan(int) c)
{
    int v = 0;
    require(weft_chan_recv(c, &v) == 0);
    return v;
}

static void start_with_an_argument_that_waits(weft_chan(int) c)
{
    for (int i = 0; i < 100; i++)
        start(take_two, wait_elsewhere(c), weft_sleep(1));
    arrive();
}

Test(go_arguments, an_argument_may_wait_and_come_back_on_another_thread, .timeout = 60)
{
    weft_chan(int) c = weft_chan_make(int, 0);
    for (int i = 0; i < 4; i++)
        start(start_with_an_argument_that_waits, c);
    for (int i = 0; i < 400; i++)
        cr_assert_eq(weft_chan_send(c, 6), 0);
    await_arrivals(404);
}

static void take_copy(struct text t, char first)
{
    require(t.length == 3 && first == 'a');
    arrive();
}

Test(go_arguments, what_was_captured_does_not_change_with_the_callers_variables, .timeout = 60)
{
    struct text t = {"abc", 3};
    for (int i = 0; i < 1000; i++) {
        t.length = 3;
        start(take_copy, t, *t.start);
        t.length = 9;
    }
    await_arrivals(1000);
}

/* ---- attributes ---- */

Test(go_arguments, they_arrive_on_stacks_of_another_size_and_in_pinned_routines_too, .timeout = 60)
{
    struct text four = {"four", 4}, twelve = {"twelve", 12};
    weft_go_with(weft_attr(.stack_size = 1 << 20), take_sixteen, 1, 2, "3", four, 5, 6, 7, 8, 9, 10, "11", twelve, 13, 14,
                 15, 16);
    weft_go_with(weft_attr(.pin = true, .name = "pinned"), take_sixteen, 1, 2, "3", four, 5, 6, 7, 8, 9, 10, "11", twelve,
                 13, 14, 15, 16);
    weft_go_with(weft_attr(.priority = -1), take_mixture, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ((struct int_double){12, 13}));
    await_arrivals(3);
}

/* ---- results ---- */

static bool give_bool(void) { return true; }
static signed char give_char(void) { return -3; }
static unsigned short give_short(void) { return 65000; }
static int give_int(void) { return -42; }
static long long give_long(void) { return 1ll << 40; }
static int128 give_int128(void) { return -((int128)5 << 100); }
static float give_float(void) { return 1.5f; }
static double give_double(void) { return 2.25; }
static long double give_long_double(void) { return 7.125L; }
static __float128 give_quad(void) { return (__float128)1 / 4; }
static _Complex float give_complex_float(void) { return 1.0f - 1.0f * I; }
static _Complex double give_complex_double(void) { return 1.5 - 2.5 * I; }
static vec4 give_vector(void) { return (vec4){1, 2, 3, 4}; }
static enum colour give_enum(void) { return GREEN; }
static const char *give_pointer(void) { return "text"; }
static void give_nothing(void) { arrive(); }
static struct one_int give_one_int(void) { return (struct one_int){7}; }
static struct three_chars give_three_chars(void) { return (struct three_chars){{'x', 'y', 'z'}}; }
static struct int_double give_int_double(void) { return (struct int_double){1, 2.5}; }
static struct double_int give_double_int(void) { return (struct double_int){3.5, 4}; }
static struct two_doubles give_two_doubles(void) { return (struct two_doubles){1, -1}; }
static struct three_floats give_three_floats(void) { return (struct three_floats){1, 2, 3}; }
static struct text give_text(void) { return (struct text){"text", 4}; }
static union number give_union(void) { return (union number){.f = 5.5f}; }
static struct boxed give_boxed(void) { return (struct boxed){3.5L}; }
static struct wide give_wide(void) { return (struct wide){(int128)1 << 90}; }

Test(go_results, integers_come_back, .timeout = 60)
{
    cr_assert(weft_await(weft_async(give_bool)) == true);
    cr_assert(weft_await(weft_async(give_char)) == -3);
    cr_assert(weft_await(weft_async(give_short)) == 65000);
    cr_assert(weft_await(weft_async(give_int)) == -42);
    cr_assert(weft_await(weft_async(give_long)) == 1ll << 40);
    cr_assert(weft_await(weft_async(give_int128)) == -((int128)5 << 100));
    cr_assert(weft_await(weft_async(give_enum)) == GREEN);
    cr_assert_str_eq(weft_await(weft_async(give_pointer)), "text");
}

Test(go_results, real_and_complex_numbers_come_back, .timeout = 60)
{
    cr_assert(weft_await(weft_async(give_float)) == 1.5f);
    cr_assert(weft_await(weft_async(give_double)) == 2.25);
    cr_assert(weft_await(weft_async(give_long_double)) == 7.125L);
    cr_assert(weft_await(weft_async(give_quad)) == (__float128)1 / 4);
    _Complex float f = weft_await(weft_async(give_complex_float));
    _Complex double d = weft_await(weft_async(give_complex_double));
    cr_assert(crealf(f) == 1 && cimagf(f) == -1);
    cr_assert(creal(d) == 1.5 && cimag(d) == -2.5);
    vec4 v = weft_await(weft_async(give_vector));
    cr_assert(v[0] == 1 && v[1] == 2 && v[2] == 3 && v[3] == 4);
}

Test(go_results, structures_in_registers_come_back, .timeout = 60)
{
    cr_assert(weft_await(weft_async(give_one_int)).a == 7);
    cr_assert_eq(memcmp(weft_await(weft_async(give_three_chars)).c, "xyz", 3), 0);
    struct int_double id = weft_await(weft_async(give_int_double));
    struct double_int di = weft_await(weft_async(give_double_int));
    struct two_doubles dd = weft_await(weft_async(give_two_doubles));
    struct three_floats fff = weft_await(weft_async(give_three_floats));
    struct text t = weft_await(weft_async(give_text));
    cr_assert(id.a == 1 && id.b == 2.5);
    cr_assert(di.a == 3.5 && di.b == 4);
    cr_assert(dd.x == 1 && dd.y == -1);
    cr_assert(fff.x == 1 && fff.y == 2 && fff.z == 3);
    cr_assert(t.length == 4 && strcmp(t.start, "text") == 0);
    cr_assert(weft_await(weft_async(give_union)).f == 5.5f);
    cr_assert(weft_await(weft_async(give_wide)).v == (int128)1 << 90);
    cr_assert(weft_await(weft_async(give_boxed)).v == 3.5L);
}

Test(go_results, no_result_is_awaited_too, .timeout = 60)
{
    weft_future(void) f = weft_async(give_nothing);
    weft_await(f);
    cr_assert_eq(atomic_load(&arrived), 1);
}

Test(go_results, try_await_stores_each_kind, .timeout = 60)
{
    long double ld = 0;
    struct int_double id = {0, 0};
    int128 wide = 0;
    bool yes = false;
    cr_assert_eq(weft_try_await(weft_async(give_long_double), &ld), 0);
    cr_assert_eq(weft_try_await(weft_async(give_int_double), &id), 0);
    cr_assert_eq(weft_try_await(weft_async(give_int128), &wide), 0);
    cr_assert_eq(weft_try_await(weft_async(give_bool), &yes), 0);
    cr_assert_eq(weft_try_await(weft_async(give_nothing), NULL), 0);
    cr_assert(ld == 7.125L && id.a == 1 && id.b == 2.5 && wide == -((int128)5 << 100) && yes);
}

static long double compute(void)
{
    volatile long double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    return (a + (b + (c + (d + (e + (f + (g + h)))))));
}

static long double give_and_arrive(void)
{
    arrive();
    return 7.125L;
}

/* The x87 has eight registers; a result left in one of them is missing to those that come after. */
Test(go_results, long_doubles_that_nobody_wants_leave_no_trace, .timeout = 60)
{
    cr_assert_eq(weft_start(&(weft_config){.procs = 1}), 0);
    for (int i = 0; i < 50; i++)
        start(give_and_arrive);
    await_arrivals(50);
    for (int i = 0; i < 50; i++)
        start(give_boxed);
    cr_assert(weft_await(weft_async(compute)) == 36);
    for (int i = 0; i < 50; i++)
        cr_assert_eq(weft_try(give_long_double), 0);
    cr_assert(compute() == 36);
}

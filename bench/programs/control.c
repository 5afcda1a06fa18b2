/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User workloads of integer arithmetic and control flow: what compilers make of plain C. */
#include "ybench.h"

#include <string.h>

/* ---- integer: a sieve, Collatz sequences, and a random number generator ---------------------- */

enum { SIEVE_SIZE = 1 << 16, SIEVE_PRIMES = 6542, COLLATZ_STARTS = 3000, LCG_STEPS = 60000 };

static uint8_t sieve[SIEVE_SIZE];

static unsigned sieve_count(void)
{
    unsigned primes = 0;

    memset(sieve, 1, sizeof(sieve));
    for (unsigned i = 2; i < SIEVE_SIZE; i++) {
        if (!sieve[i])
            continue;
        primes++;
        for (unsigned k = 2 * i; k < SIEVE_SIZE; k += i)
            sieve[k] = 0;
    }
    return primes;
}

static unsigned collatz_longest(void)
{
    unsigned longest = 0;

    for (uint64_t start = 1; start < COLLATZ_STARTS; start++) {
        unsigned steps = 0;

        for (uint64_t n = start; n != 1; steps++)
            n = n & 1 ? 3 * n + 1 : n / 2;
        if (steps > longest)
            longest = steps;
    }
    return longest;
}

static uint64_t integer_run(uint64_t iterations)
{
    uint64_t state = 1, checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        unsigned primes = sieve_count();
        unsigned longest = collatz_longest();
        uint64_t divided = 0;

        for (unsigned k = 0; k < LCG_STEPS; k++)
            divided += lcg_next(&state) % (k + 3);
        verify_that(primes == SIEVE_PRIMES, "the sieve found %u primes, not %u", primes,
                    SIEVE_PRIMES);
        verify_that(longest == 216, "the longest Collatz sequence is %u, not 216", longest);
        checksum = checksum_add(checksum, divided);
    }
    return checksum_add(checksum, state);
}

const struct workload integer_workload = {
    .name = "integer",
    .set = SET_USER,
    .iterations = 150,
    .about = "sieve, Collatz sequences, multiply and divide",
    .run = integer_run,
};

/* ---- calls: recursion, where the return addresses are deep and regular ----------------------- */

static __attribute__((noinline)) unsigned fibonacci(unsigned n)
{
    unsigned before;

    if (n < 2)
        return n;
    before = fibonacci(n - 1);
    __asm__ volatile("" ::: "memory"); /* else the compiler turns the recursion into loops */
    return before + fibonacci(n - 2);
}

static __attribute__((noinline)) int takeuchi(int x, int y, int z)
{
    if (y >= x)
        return z;
    return takeuchi(takeuchi(x - 1, y, z), takeuchi(y - 1, z, x), takeuchi(z - 1, x, y));
}

static uint64_t calls_run(uint64_t iterations)
{
    uint64_t checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        unsigned fib = fibonacci(22);
        int tak = takeuchi(15, 10, 5);

        verify_that(fib == 17711, "fibonacci(22) is %u, not 17711", fib);
        verify_that(tak == 10, "takeuchi(15, 10, 5) is %d, not 10", tak);
        checksum = checksum_add(checksum, fib + (unsigned)tak);
    }
    return checksum;
}

const struct workload calls_workload = {
    .name = "calls",
    .set = SET_USER,
    .iterations = 1400,
    .about = "recursive functions (Fibonacci, Takeuchi)",
    .run = calls_run,
};

/* ---- indirect: a bytecode interpreter and calls through pointers ----------------------------- */

/* A stack machine whose every operation ends in an indirect jump of its own. */
enum opcode { OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_MUL, OP_SUB, OP_JUMP_IF, OP_HALT };

/* sum = 0; n = argument; do { sum = sum + n * n; n = n - 1; } while (n); */
enum { VAR_SUM, VAR_N, VAR_COUNT };
/* A line is a statement, which the formatter would not see. */
/* clang-format off */
static const uint8_t sum_of_squares[] = {
    OP_PUSH, 0, OP_STORE, VAR_SUM,
    OP_LOAD, VAR_SUM, OP_LOAD, VAR_N, OP_LOAD, VAR_N, OP_MUL, OP_ADD, OP_STORE, VAR_SUM,
    OP_LOAD, VAR_N, OP_PUSH, 1, OP_SUB, OP_STORE, VAR_N,
    OP_LOAD, VAR_N, OP_JUMP_IF, 4,
    OP_HALT,
};
/* clang-format on */

static __attribute__((noinline)) uint64_t interpret(const uint8_t *code, uint64_t n)
{
    static const void *const targets[] = {
        [OP_PUSH] = &&push, [OP_LOAD] = &&load, [OP_STORE] = &&store,     [OP_ADD] = &&add,
        [OP_MUL] = &&mul,   [OP_SUB] = &&sub,   [OP_JUMP_IF] = &&jump_if, [OP_HALT] = &&halt,
    };
    uint64_t variables[VAR_COUNT] = { [VAR_N] = n };
    uint64_t stack[8], *top = stack;
    const uint8_t *pc = code;

#define NEXT() goto *targets[*pc++]
    NEXT();
push:
    *top++ = *pc++;
    NEXT();
load:
    *top++ = variables[*pc++];
    NEXT();
store:
    variables[*pc++] = *--top;
    NEXT();
add:
    top--;
    top[-1] += top[0];
    NEXT();
mul:
    top--;
    top[-1] *= top[0];
    NEXT();
sub:
    top--;
    top[-1] -= top[0];
    NEXT();
jump_if:
    pc = *--top ? code + *pc : pc + 1;
    NEXT();
halt:
    return variables[VAR_SUM];
#undef NEXT
}

struct shape {
    uint64_t (*area)(const struct shape *shape);
    uint64_t size;
};

static uint64_t square_area(const struct shape *shape)
{
    return shape->size * shape->size;
}
static uint64_t strip_area(const struct shape *shape)
{
    return shape->size * 2;
}
static uint64_t point_area(const struct shape *shape)
{
    return shape->size != 0;
}
static uint64_t stairs_area(const struct shape *shape)
{
    return shape->size * (shape->size + 1) / 2;
}

enum { SHAPE_COUNT = 1000, INTERPRETED_N = 300 };
static struct shape shapes[SHAPE_COUNT];
static uint64_t shapes_area; /* what the calls must add up to */

static void indirect_prepare(void)
{
    static uint64_t (*const areas[])(const struct shape *) = {
        square_area,
        strip_area,
        stairs_area,
        point_area,
    };
    uint64_t state = 5;

    for (unsigned i = 0; i < SHAPE_COUNT; i++) {
        unsigned kind = lcg_next(&state) >> 62;
        uint64_t size = 1 + (lcg_next(&state) >> 60);
        const uint64_t expected[] = { size * size, size * 2, size * (size + 1) / 2, 1 };

        shapes[i] = (struct shape){ areas[kind], size };
        shapes_area += expected[kind];
    }
}

static uint64_t indirect_run(uint64_t iterations)
{
    const uint64_t n = INTERPRETED_N;
    uint64_t checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t squares = interpret(sum_of_squares, n);
        uint64_t area = 0;

        for (unsigned k = 0; k < SHAPE_COUNT; k++)
            area += shapes[k].area(&shapes[k]);
        verify_that(squares == n * (n + 1) * (2 * n + 1) / 6, "the interpreter computed %llu",
                    (unsigned long long)squares);
        verify_that(area == shapes_area, "the calls through pointers computed %llu, not %llu",
                    (unsigned long long)area, (unsigned long long)shapes_area);
        checksum = checksum_add(checksum, squares + area);
    }
    return checksum;
}

const struct workload indirect_workload = {
    .name = "indirect",
    .set = SET_USER,
    .iterations = 18000,
    .about = "bytecode interpreter (computed goto) and calls through pointers",
    .prepare = indirect_prepare,
    .run = indirect_run,
};

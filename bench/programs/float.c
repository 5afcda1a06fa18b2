/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User workloads of floating point: scalar SSE, vectors as wide as the CPU has, and x87.
 *
 * Every result is exact or correctly rounded (no transcendental instruction), and where the width
 * of vectors changes the order of sums these are exact, so that checksums are equal on all
 * engines. */
#include "ybench.h"

#include <math.h>
#include <string.h>

/* ---- scalar: bodies under gravity, in double precision --------------------------------------- */

enum { BODY_COUNT = 5, STEPS_PER_ITERATION = 1000 };

struct body {
    double position[3], velocity[3], mass;
};
static struct body bodies[BODY_COUNT];

static void scalar_start(void)
{
    /* A heavy centre and four light bodies on nearly circular orbits at distances 1, 2, 3, 4. */
    memset(bodies, 0, sizeof(bodies));
    bodies[0].mass = 40;
    for (unsigned i = 1; i < BODY_COUNT; i++) {
        bodies[i].position[i % 2] = i;
        bodies[i].velocity[1 - i % 2] = sqrt(40.0 / i);
        bodies[i].velocity[2] = 0.01 * i;
        bodies[i].mass = 0.001 * i;
    }
}

static double scalar_energy(void)
{
    double energy = 0;

    for (unsigned i = 0; i < BODY_COUNT; i++) {
        const double *v = bodies[i].velocity;

        energy += 0.5 * bodies[i].mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (unsigned k = i + 1; k < BODY_COUNT; k++) {
            double square = 0;

            for (unsigned axis = 0; axis < 3; axis++) {
                double d = bodies[i].position[axis] - bodies[k].position[axis];
                square += d * d;
            }
            energy -= bodies[i].mass * bodies[k].mass / sqrt(square);
        }
    }
    return energy;
}

static void scalar_step(double dt)
{
    for (unsigned i = 0; i < BODY_COUNT; i++) {
        struct body *a = &bodies[i];

        for (unsigned k = i + 1; k < BODY_COUNT; k++) {
            struct body *b = &bodies[k];
            double x = a->position[0] - b->position[0];
            double y = a->position[1] - b->position[1];
            double z = a->position[2] - b->position[2];
            double square = x * x + y * y + z * z;
            double pull = dt / (square * sqrt(square));

            a->velocity[0] -= x * b->mass * pull;
            a->velocity[1] -= y * b->mass * pull;
            a->velocity[2] -= z * b->mass * pull;
            b->velocity[0] += x * a->mass * pull;
            b->velocity[1] += y * a->mass * pull;
            b->velocity[2] += z * a->mass * pull;
        }
    }
    for (unsigned i = 0; i < BODY_COUNT; i++) {
        for (unsigned axis = 0; axis < 3; axis++)
            bodies[i].position[axis] += dt * bodies[i].velocity[axis];
    }
}

static uint64_t scalar_run(uint64_t iterations)
{
    uint64_t checksum = 0;

    scalar_start();
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t bits;

        for (unsigned step = 0; step < STEPS_PER_ITERATION; step++)
            scalar_step(0.0001);
        memcpy(&bits, &bodies[1].position[0], sizeof(bits));
        checksum = checksum_add(checksum, bits);
    }
    return checksum;
}

static void scalar_verify(uint64_t iterations, uint64_t checksum)
{
    double end = scalar_energy();

    (void)iterations;
    (void)checksum;
    scalar_start();
    double start = scalar_energy();
    verify_that(fabs(end / start - 1) < 0.01, "energy went from %g to %g", start, end);
}

const struct workload scalar_workload = {
    .name = "fp-scalar",
    .set = SET_USER,
    .iterations = 750,
    .about = "five bodies under gravity, double precision",
    .run = scalar_run,
    .verify = scalar_verify,
};

/* ---- vector: matrix product in single precision ---------------------------------------------- */

enum { MATRIX = 192 }; /* a multiple of every vector's length; three of them fit into L2 */

typedef float matrix[MATRIX][MATRIX] __attribute__((aligned(64)));
static matrix left, right, product;
static void (*multiply)(void);

/* The same loop for each vector length. Two rows at a time, four vectors wide: eight sums stay in
 * registers. The elements are small integers, whose sums are exact in any order. */
#define DEFINE_MULTIPLY(name, isa, bytes) \
    typedef float name##_vector __attribute__((vector_size(bytes))); \
    __attribute__((target(isa), noinline)) static void name(void) \
    { \
        enum { LANES = (bytes) / sizeof(float) }; \
        for (unsigned row = 0; row < MATRIX; row += 2) { \
            for (unsigned column = 0; column < MATRIX; column += 4 * LANES) { \
                name##_vector sum[2][4] = { 0 }; \
                for (unsigned k = 0; k < MATRIX; k++) { \
                    const name##_vector *from = (const name##_vector *)&right[k][column]; \
                    for (unsigned i = 0; i < 4; i++) { \
                        sum[0][i] += left[row][k] * from[i]; \
                        sum[1][i] += left[row + 1][k] * from[i]; \
                    } \
                } \
                memcpy(&product[row][column], sum[0], sizeof(sum[0])); \
                memcpy(&product[row + 1][column], sum[1], sizeof(sum[1])); \
            } \
        } \
    }

DEFINE_MULTIPLY(multiply_sse, "sse2", 16)
DEFINE_MULTIPLY(multiply_avx, "avx2", 32)
DEFINE_MULTIPLY(multiply_avx512, "avx512f", 64)
static_assert(MATRIX % (4 * 16) == 0, "the widest vectors, four at a time, fill a row");

static void vector_prepare(void)
{
    uint64_t state = 11;

    for (unsigned i = 0; i < MATRIX; i++) {
        for (unsigned k = 0; k < MATRIX; k++) {
            left[i][k] = (float)(lcg_next(&state) >> 60);
            right[i][k] = (float)(lcg_next(&state) >> 60);
        }
    }
    multiply = __builtin_cpu_supports("avx512f") ? multiply_avx512
               : __builtin_cpu_supports("avx2")  ? multiply_avx
                                                 : multiply_sse;
}

static uint64_t vector_run(uint64_t iterations)
{
    uint64_t checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        left[i % MATRIX][0] = (float)(i % 16);
        multiply();
        checksum = checksum_add(checksum, (uint64_t)product[i % MATRIX][7]);
    }
    return checksum;
}

/* For a vector v, (left * right) * v must be left * (right * v); integers this small are exact. */
static void vector_verify(uint64_t iterations, uint64_t checksum)
{
    static double inner[MATRIX];

    (void)iterations;
    (void)checksum;
    for (unsigned i = 0; i < MATRIX; i++) {
        inner[i] = 0;
        for (unsigned k = 0; k < MATRIX; k++)
            inner[i] += right[i][k] * (double)(k % 5 + 1);
    }
    for (unsigned i = 0; i < MATRIX; i++) {
        double expected = 0, found = 0;

        for (unsigned k = 0; k < MATRIX; k++) {
            expected += left[i][k] * inner[k];
            found += product[i][k] * (double)(k % 5 + 1);
        }
        verify_that(found == expected, "row %u of the matrix product is wrong", i);
    }
}

const struct workload vector_workload = {
    .name = "fp-vector",
    .set = SET_USER,
    .iterations = 100,
    .about = "matrix product with the widest vectors the CPU has (SSE, AVX, AVX-512)",
    .prepare = vector_prepare,
    .run = vector_run,
    .verify = vector_verify,
};

/* ---- x87: long double ------------------------------------------------------------------------ */

/* Pi by the arithmetic-geometric mean, and e by its series: adds, multiplies, divisions, roots,
 * loads of integers. */
static uint64_t x87_run(uint64_t iterations)
{
    static const long double pi = 3.14159265358979323846264338327950288L;
    static const long double euler = 2.71828182845904523536028747135266250L;
    static volatile long double one = 1; /* else the compiler computes it all once */
    long double drift = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        long double a = one, b = sqrtl(a / 2), rest = 0.25L, power = 1;
        long double sum = a, term = a;

        for (unsigned k = 0; k < 5; k++) {
            long double mean = (a + b) / 2;

            b = sqrtl(a * b);
            rest -= power * (a - mean) * (a - mean);
            power *= 2;
            a = mean;
        }
        for (int k = 1; k < 26; k++) {
            term /= k;
            sum += term;
        }
        long double found = (a + b) * (a + b) / (4 * rest);
        verify_that(fabsl(found - pi) < 1e-17L, "pi is %.20Lf", found);
        verify_that(fabsl(sum - euler) < 1e-17L, "e is %.20Lf", sum);
        drift += (found - sum) * (long double)(i + 1);
    }
    uint64_t mantissa;
    memcpy(&mantissa, &drift, sizeof(mantissa));
    return checksum_add(0, mantissa);
}

const struct workload x87_workload = {
    .name = "x87",
    .set = SET_USER,
    .iterations = 800000,
    .about = "pi and e in long double",
    .run = x87_run,
};

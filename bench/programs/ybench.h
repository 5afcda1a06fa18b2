/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The workloads of the benchmark, and what they share.
 *
 * The same static program runs natively and inside each guest, with the same iteration counts, so
 * that a ratio of two times compares the engines and nothing else. A workload is three functions:
 * prepare (not timed, once per process), run (timed), verify (not timed). All the random numbers
 * are from a fixed seed, so that run's checksum depends on the iteration count alone and must be
 * the same on every engine; verify checks what can be known without a second
 * machine. */
#ifndef YBENCH_H
#define YBENCH_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum workload_set {
    SET_USER,   /* spends its time in user mode */
    SET_KERNEL, /* spends its time in the guest's kernel and on the way there and back */
};

struct workload {
    const char *name;
    enum workload_set set;
    uint64_t iterations; /* about 100 ms natively on a CPU of 2025; less where that
                          * would take an emulator minutes */
    const char *about;
    void (*prepare)(void); /* may be NULL */
    uint64_t (*run)(uint64_t iterations);
    void (*verify)(uint64_t iterations, uint64_t checksum); /* may be NULL */
};

extern const struct workload integer_workload;
extern const struct workload calls_workload;
extern const struct workload indirect_workload;
extern const struct workload sort_workload;
extern const struct workload hash_workload;
extern const struct workload scalar_workload;
extern const struct workload vector_workload;
extern const struct workload x87_workload;
extern const struct workload memcpy_workload;
extern const struct workload chase_workload;
extern const struct workload syscall_workload;
extern const struct workload signal_workload;
extern const struct workload fault_workload;
extern const struct workload mprotect_workload;
extern const struct workload fork_workload;
extern const struct workload exec_workload;
extern const struct workload switch_workload;
extern const struct workload pipe_workload;

/* The argument with which the exec workload calls this program: it exits with EXEC_STATUS. */
#define EXEC_ARGUMENT "--exit-at-once"
#define EXEC_STATUS 7

/* Ends the program with status 1 and one sentence on standard error. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Ends the program unless `true_here`: an engine computed something wrong. */
#define verify_that(true_here, ...) \
    do { \
        if (!(true_here)) \
            die(__VA_ARGS__); \
    } while (0)

/* Knuth's 64-bit linear congruential generator; its low bits are poor, so users take the high. */
#define LCG_MULTIPLIER 6364136223846793005ull
#define LCG_INCREMENT 1442695040888963407ull

static inline uint64_t lcg_next(uint64_t *state)
{
    *state = *state * LCG_MULTIPLIER + LCG_INCREMENT;
    return *state;
}

/* Adds `value` to a running checksum such that order matters. */
static inline uint64_t checksum_add(uint64_t checksum, uint64_t value)
{
    return ((checksum << 7) | (checksum >> 57)) ^ (value * 0x9e3779b97f4a7c15ull);
}

#endif

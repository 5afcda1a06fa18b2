/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/timing.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static bool printing; /* set before threads start */

static const char *const phase_labels[TIMING_COUNT] = {
#define X(name, label, meaning) label,
    TIMING_PHASES(X)
#undef X
};

static uint64_t exec_ns; /* when exec happened, as CLOCK_MONOTONIC tells it */
static atomic_uint_fast64_t marks[TIMING_COUNT]; /* 0: not reached */

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* No interface tells when exec happened, and the process's start time has ticks of 10 ms. Between
 * exec and main() a process does nothing but load itself, so the CPU time it has used is how long
 * that took (with that of the fork before it). */
void timing_init(void)
{
    exec_ns = clock_read_ns(CLOCK_MONOTONIC) - clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void phase_print(enum timing_phase phase)
{
    uint64_t reached = atomic_load(&marks[phase]);
    fprintf(stderr, "timing: %-22s %8.2f ms\n", phase_labels[phase], (reached - exec_ns) / 1e6);
}

void timing_print(void)
{
    printing = true;
    for (unsigned phase = 0; phase < TIMING_COUNT; phase++) {
        if (timing_marked(phase))
            phase_print(phase);
    }
}

void timing_mark(enum timing_phase phase)
{
    uint_fast64_t unmarked = 0;
    if (timing_marked(phase))
        return;
    if (atomic_compare_exchange_strong(&marks[phase], &unmarked, clock_read_ns(CLOCK_MONOTONIC))
        && printing)
        phase_print(phase);
}

bool timing_marked(enum timing_phase phase)
{
    return atomic_load_explicit(&marks[phase], memory_order_relaxed);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel-heavy workloads of one process: entry and exit, signals, page tables. */
#include "ybench.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* ---- syscall: the shortest way into the kernel and back -------------------------------------- */

static uint64_t syscall_run(uint64_t iterations)
{
    long parent = syscall(SYS_getppid);

    for (uint64_t i = 0; i < iterations; i++)
        verify_that(syscall(SYS_getppid) == parent, "the parent changed");
    return iterations;
}

const struct workload syscall_workload = {
    .name = "syscall",
    .set = SET_KERNEL,
    .iterations = 700000,
    .about = "getppid",
    .run = syscall_run,
};

/* ---- signal: delivery to a handler and return from it ---------------------------------------- */

static volatile uint64_t signals_seen;

static void signal_count(int number)
{
    (void)number;
    signals_seen = signals_seen + 1;
}

static uint64_t signal_run(uint64_t iterations)
{
    struct sigaction action = { .sa_handler = signal_count };
    pid_t self = getpid();

    signals_seen = 0;
    if (sigaction(SIGUSR1, &action, NULL) < 0)
        die("sigaction: %s", strerror(errno));
    for (uint64_t i = 0; i < iterations; i++)
        syscall(SYS_tgkill, self, self, SIGUSR1);
    return signals_seen;
}

static void signal_verify(uint64_t iterations, uint64_t checksum)
{
    verify_that(checksum == iterations, "%llu of %llu signals arrived",
                (unsigned long long)checksum, (unsigned long long)iterations);
}

const struct workload signal_workload = {
    .name = "signal",
    .set = SET_KERNEL,
    .iterations = 45000,
    .about = "signal to itself, handler, return",
    .run = signal_run,
    .verify = signal_verify,
};

/* ---- fault: first touch of anonymous memory -------------------------------------------------- */

enum { FAULT_PAGES = 256 }; /* mapped and unmapped at a time; an iteration is one page */

static uint8_t *map_pages(size_t count)
{
    uint8_t *pages =
        mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        die("cannot map %zu pages: %s", count, strerror(errno));
    madvise(pages, count * PAGE, MADV_NOHUGEPAGE); /* may be unknown to the kernel: fine */
    return pages;
}

static uint64_t fault_run(uint64_t iterations)
{
    uint64_t touched = 0;

    while (touched < iterations) {
        uint8_t *pages = map_pages(FAULT_PAGES);

        for (unsigned i = 0; i < FAULT_PAGES; i++, touched++) {
            verify_that(pages[i * PAGE + 9] == 0, "a fresh page is not zero");
            pages[i * PAGE] = 1;
        }
        munmap(pages, FAULT_PAGES * PAGE);
    }
    return touched;
}

const struct workload fault_workload = {
    .name = "fault",
    .set = SET_KERNEL,
    .iterations = 26112,
    .about = "mmap, first read and write of each page, munmap",
    .run = fault_run,
};

/* ---- mprotect: a page changes between read-only and writable --------------------------------- */

static uint64_t mprotect_run(uint64_t iterations)
{
    volatile uint8_t *page = map_pages(1);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        page[0] = (uint8_t)i;
        if (mprotect((void *)page, PAGE, PROT_READ) < 0)
            die("mprotect: %s", strerror(errno));
        sum += page[0];
        if (mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE) < 0)
            die("mprotect: %s", strerror(errno));
    }
    munmap((void *)page, PAGE);
    return sum;
}

const struct workload mprotect_workload = {
    .name = "mprotect",
    .set = SET_KERNEL,
    .iterations = 37000,
    .about = "mprotect to read-only and back, with an access each",
    .run = mprotect_run,
};

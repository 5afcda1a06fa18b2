/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command line of the benchmark program: runs named workloads and prints one line for each run:
 *
 *      ybench NAME ITERATIONS NANOSECONDS
 * CHECKSUM */
#include "ybench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct workload *const workloads[] = {
    &integer_workload, &calls_workload,  &indirect_workload, &sort_workload,     &hash_workload,
    &scalar_workload,  &vector_workload, &x87_workload,      &memcpy_workload,   &chase_workload,
    &syscall_workload, &signal_workload, &fault_workload,    &mprotect_workload, &fork_workload,
    &exec_workload,    &switch_workload, &pipe_workload,
};
#define WORKLOAD_COUNT (sizeof(workloads) / sizeof(workloads[0]))

void die(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("ybench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        die("clock_gettime: %s", strerror(errno));
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const struct workload *workload_find(const char *name, size_t length)
{
    for (size_t i = 0; i < WORKLOAD_COUNT; i++) {
        if (strlen(workloads[i]->name) == length && memcmp(workloads[i]->name, name, length) == 0)
            return workloads[i];
    }
    die("no workload is called '%.*s'; --list names them", (int)length, name);
}

static uint64_t number_parse(const char *text, const char *what)
{
    char *end;

    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno || end == text || *end || number == 0 || text[0] == '-')
        die("%s '%s' is not a positive number", what, text);
    return number;
}

/* `text` is "name" or "name:iterations". */
static void workload_run(const char *text, uint64_t repeats)
{
    size_t length = strcspn(text, ":");
    const struct workload *work = workload_find(text, length);
    uint64_t iterations = work->iterations;

    if (text[length] == ':')
        iterations = number_parse(text + length + 1, "iteration count");
    if (work->prepare)
        work->prepare();
    for (uint64_t i = 0; i < repeats; i++) {
        uint64_t start = now_ns();
        uint64_t checksum = work->run(iterations);
        uint64_t spent = now_ns() - start;

        if (work->verify)
            work->verify(iterations, checksum);
        printf("ybench %s %llu %llu %016llx\n", work->name, (unsigned long long)iterations,
               (unsigned long long)spent, (unsigned long long)checksum);
        fflush(stdout);
    }
}

static void usage(void)
{
    puts("Usage: ybench [--repeat N] NAME[:ITERATIONS]...\n"
         "       ybench --list     name, set, default iterations, and what it does\n"
         "       ybench --clock    CLOCK_MONOTONIC in nanoseconds");
}

int main(int argc, char **argv)
{
    uint64_t repeats = 1;
    int arg = 1;

    if (argc == 2 && strcmp(argv[1], EXEC_ARGUMENT) == 0)
        return EXEC_STATUS;
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        usage();
        return argc < 2;
    }
    if (strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < WORKLOAD_COUNT; i++)
            printf("%s %s %llu %s\n", workloads[i]->name,
                   workloads[i]->set == SET_USER ? "user" : "kernel",
                   (unsigned long long)workloads[i]->iterations, workloads[i]->about);
        return 0;
    }
    if (strcmp(argv[1], "--clock") == 0) {
        printf("ybench-clock %llu\n", (unsigned long long)now_ns());
        return 0;
    }
    if (strcmp(argv[1], "--repeat") == 0) {
        if (argc < 4)
            die("--repeat needs a number and a workload after it");
        repeats = number_parse(argv[2], "repeat count");
        arg = 3;
    }
    for (; arg < argc; arg++)
        workload_run(argv[arg], repeats);
    return 0;
}

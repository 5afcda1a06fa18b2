/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel-heavy workloads of several processes: creation, execution, hand-over.
 *
 * All stay on one CPU, as they do in a guest that has only one; else the native figures would
 * include wake-ups of other
 * CPUs. */
#include "ybench.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void stay_on_one_cpu(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        die("cannot stay on CPU %d: %s", cpu, strerror(errno));
}

static pid_t fork_or_die(void)
{
    pid_t child = fork();

    if (child < 0)
        die("fork: %s", strerror(errno));
    return child;
}

static void expect_exit(pid_t child, int expected)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        die("waitpid: %s", strerror(errno));
    verify_that(WIFEXITED(status) && WEXITSTATUS(status) == expected,
                "a child ended with wait status %#x, not exit %d", (unsigned)status, expected);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static uint64_t fork_run(uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        pid_t child = fork_or_die();

        if (child == 0)
            _exit((int)(i & 0x7f));
        expect_exit(child, (int)(i & 0x7f));
    }
    return iterations;
}

const struct workload fork_workload = {
    .name = "fork",
    .set = SET_KERNEL,
    .iterations = 850,
    .about = "fork, exit, wait",
    .prepare = stay_on_one_cpu,
    .run = fork_run,
};

/* ---- exec ------------------------------------------------------------------------------------ */

static uint64_t exec_run(uint64_t iterations)
{
    static char name[] = "/proc/self/exe", argument[] = EXEC_ARGUMENT;
    char *argv[] = { name, argument, NULL }, *environment[] = { NULL };

    for (uint64_t i = 0; i < iterations; i++) {
        pid_t child = fork_or_die();

        if (child == 0) {
            execve(name, argv, environment);
            _exit(127);
        }
        expect_exit(child, EXEC_STATUS);
    }
    return iterations;
}

const struct workload exec_workload = {
    .name = "exec",
    .set = SET_KERNEL,
    .iterations = 140,
    .about = "fork, execute a static program, exit, wait",
    .prepare = stay_on_one_cpu,
    .run = exec_run,
};

/* ---- switch: two processes hand a turn to each other through a futex ------------------------- */

static void turn_wait(uint32_t *turn, uint32_t mine)
{
    for (;;) {
        uint32_t now = __atomic_load_n(turn, __ATOMIC_ACQUIRE);

        if (now == mine)
            return;
        syscall(SYS_futex, turn, FUTEX_WAIT, now, NULL, NULL, 0);
    }
}

static void turn_give(uint32_t *turn, uint32_t other)
{
    __atomic_store_n(turn, other, __ATOMIC_RELEASE);
    syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint64_t switch_run(uint64_t iterations)
{
    struct {
        uint32_t turn;
        uint64_t passes;
    } * shared;

    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("cannot map a shared page: %s", strerror(errno));
    pid_t child = fork_or_die();
    uint32_t mine = child == 0;

    for (uint64_t i = 0; i < iterations; i++) {
        turn_wait(&shared->turn, mine);
        shared->passes++;
        turn_give(&shared->turn, !mine);
    }
    if (child == 0)
        _exit(0);
    expect_exit(child, 0);
    uint64_t passes = shared->passes;
    munmap(shared, 4096);
    verify_that(passes == 2 * iterations, "%llu turns instead of %llu", (unsigned long long)passes,
                (unsigned long long)(2 * iterations));
    return passes;
}

const struct workload switch_workload = {
    .name = "switch",
    .set = SET_KERNEL,
    .iterations = 17000,
    .about = "two processes on one CPU hand over through a futex, there and back",
    .prepare = stay_on_one_cpu,
    .run = switch_run,
};

/* ---- pipe: a message goes to another process and comes back ---------------------------------- */

static void pass(int from, int to, uint64_t *message, uint64_t add)
{
    if (read(from, message, sizeof(*message)) != sizeof(*message))
        die("the pipe lost a message");
    *message += add;
    if (write(to, message, sizeof(*message)) != sizeof(*message))
        die("the pipe refused a message");
}

static uint64_t pipe_run(uint64_t iterations)
{
    uint64_t message = 0;
    int there[2], back[2];

    if (pipe(there) < 0 || pipe(back) < 0)
        die("pipe: %s", strerror(errno));
    pid_t child = fork_or_die();
    if (child == 0) {
        for (uint64_t i = 0; i < iterations; i++)
            pass(there[0], back[1], &message, 2);
        _exit(0);
    }
    if (write(there[1], &message, sizeof(message)) != sizeof(message))
        die("the pipe refused a message");
    for (uint64_t i = 1; i < iterations; i++)
        pass(back[0], there[1], &message, 1);
    if (read(back[0], &message, sizeof(message)) != sizeof(message))
        die("the pipe lost a message");
    expect_exit(child, 0);
    close(there[0]);
    close(there[1]);
    close(back[0]);
    close(back[1]);
    verify_that(message == 3 * iterations - 1, "the message came back as %llu",
                (unsigned long long)message);
    return message;
}

const struct workload pipe_workload = {
    .name = "pipe",
    .set = SET_KERNEL,
    .iterations = 18000,
    .about = "ping-pong of two processes on one CPU through two pipes",
    .prepare = stay_on_one_cpu,
    .run = pipe_run,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "native.h"

#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define DATA_BYTES (FUZZ_DATA_PAGES * FUZZ_PAGE)
#define CODE_BYTES (FUZZ_CODE_PAGES * FUZZ_PAGE)
#define HWCAP2_FSGSBASE_BIT 2u
#define STALL_SECONDS 3

uint64_t native_sp, native_fs, native_end_fs, native_end_gs;
ucontext_t *native_context;
void native_enter(const struct fuzz_state *start, const void *xsave_area, uint64_t xcr0,
                  const uint64_t selectors[2]);
void native_signal(int number, siginfo_t *info, void *context);

uint32_t native_ignored_flags;
static uint8_t *data_alias, *code_alias; /* writable views of the case's pages */
static struct fuzz_layout layout;
static uint8_t xsave_area[FUZZ_XSAVE_BYTES] __attribute__((aligned(64)));

static bool fail(const char *what)
{
    fprintf(stderr, "cpu fuzzer: %s: %s\n", what, strerror(errno));
    return false;
}

static bool map_twice(uint64_t address, size_t bytes, int protection, uint8_t **alias)
{
    int fd = memfd_create("cpu-fuzz", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, bytes) < 0)
        return fail("cannot create memory for the cases");
    *alias = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    void *fixed = mmap((void *)address, bytes, protection,
                       MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, 0);
    close(fd);
    if (*alias == MAP_FAILED || fixed != (void *)address)
        return fail("cannot map the pages of the cases");
    return true;
}

bool native_init(void)
{
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
        fprintf(stderr, "cpu fuzzer: this kernel does not let programs use wrfsbase\n");
        return false;
    }
    if (!map_twice(FUZZ_DATA, DATA_BYTES, PROT_READ | PROT_WRITE, &data_alias)
        || !map_twice(FUZZ_CODE, CODE_BYTES, PROT_READ | PROT_EXEC, &code_alias))
        return false;
    if (mprotect((void *)(FUZZ_DATA + FUZZ_READ_ONLY_PAGE * FUZZ_PAGE), FUZZ_PAGE, PROT_READ) < 0)
        return fail("cannot protect a page");
    memset(code_alias, 0xcc, CODE_BYTES);
    fuzz_layout_init(&layout);
    return true;
}

__attribute__((target("xsave"))) uint32_t native_xcr0(void)
{
    return _xgetbv(0) & (FUZZ_X87 | FUZZ_SSE | FUZZ_AVX | FUZZ_AVX512);
}

static void touch(void)
{
    /* so that the hardware's page tables have the pages when a case runs into their rights */
    for (unsigned i = 0; i < FUZZ_DATA_PAGES; i++)
        (void)*(volatile uint8_t *)(FUZZ_DATA + i * FUZZ_PAGE);
    for (unsigned i = 0; i < FUZZ_CODE_PAGES; i++)
        (void)*(volatile uint8_t *)(FUZZ_CODE + i * FUZZ_PAGE);
}

static void capture(struct fuzz_state *state, uint32_t xcr0)
{
    const greg_t *regs = native_context->uc_mcontext.gregs;
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };
    for (unsigned i = 0; i < 16; i++)
        state->gpr[i] = regs[order[i]];
    state->rip = regs[REG_RIP];
    state->rflags = regs[REG_EFL];
    state->vector = regs[REG_TRAPNO];
    state->error = regs[REG_ERR];
    state->cr2 = regs[REG_CR2];
    state->fs_base = native_end_fs;
    state->gs_base = native_end_gs;
    fuzz_from_xsave(state, &layout, xcr0, native_context->uc_mcontext.fpregs);
    fuzz_normalize(state, native_ignored_flags);
}

static void run_one(const struct sequence *test, uint32_t xcr0, struct fuzz_state *state,
                    const uint64_t selectors[2])
{
    fuzz_state_init(test->seed, state);
    fuzz_memory_init(test->seed, data_alias);
    memcpy(code_alias + test->code_offset, test->code, test->code_bytes);
    fuzz_to_xsave(state, &layout, xcr0, xsave_area);
    state->rip = FUZZ_CODE + test->code_offset;
    native_enter(state, xsave_area, xcr0, selectors);
    capture(state, xcr0);
    memset(code_alias + test->code_offset, 0xcc, test->code_bytes);
}

static void catch_signals(void)
{
    static uint8_t stack[65536] __attribute__((aligned(64)));
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE };
    stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction action = { .sa_sigaction = native_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    sigaltstack(&alternative, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

struct shared {
    volatile unsigned next; /* the case being run */
};

static _Noreturn void child(const struct sequence *cases, unsigned count, uint32_t xcr0,
                            struct shared *shared, uint64_t *hashes, const bool *lost,
                            struct outcome *outcomes)
{
    uint64_t selectors[2] = { 0, 0 };
    __asm__("movw %%cs, %w0; movw %%ss, %w1" : "=r"(selectors[0]), "=r"(selectors[1]));
    selectors[0] &= 0xffff;
    selectors[1] &= 0xffff;
    catch_signals();
    touch();
    memset(code_alias, 0xcc, CODE_BYTES);
    static struct fuzz_state state;
    for (unsigned i = shared->next; i < count; i++) {
        shared->next = i;
        if (lost[i])
            continue;
        run_one(&cases[i], xcr0, &state, selectors);
        hashes[i] = fuzz_hash(&state, data_alias);
        if (outcomes) {
            outcomes[i].state = state;
            memcpy(outcomes[i].data, data_alias, DATA_BYTES);
        }
    }
    shared->next = count;
    _exit(0);
}

/* Waits for the child; kills it when it stands still. */
static void watch(pid_t pid, struct shared *shared)
{
    unsigned last = ~0u, quiet_ms = 0;
    for (;;) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return;
        usleep(1000);
        if (shared->next != last) {
            last = shared->next;
            quiet_ms = 0;
        } else if (++quiet_ms > STALL_SECONDS * 1000) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return;
        }
    }
}

static void *share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail("cannot allocate results");
        exit(1);
    }
    return memory;
}

void native_run(const struct sequence *cases, unsigned count, uint32_t xcr0, uint64_t *hashes,
                bool *lost, struct outcome *outcomes)
{
    if (!count)
        return;
    struct shared *shared = share(sizeof(*shared));
    uint64_t *shared_hashes = share(count * sizeof(uint64_t));
    struct outcome *shared_outcomes = outcomes ? share(count * sizeof(*outcomes)) : NULL;
    memset(lost, 0, count * sizeof(bool));
    while (shared->next < count) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid < 0) {
            fail("cannot fork");
            exit(1);
        }
        if (pid == 0)
            child(cases, count, xcr0, shared, shared_hashes, lost, shared_outcomes);
        watch(pid, shared);
        if (shared->next < count)
            lost[shared->next] = true;
    }
    memcpy(hashes, shared_hashes, count * sizeof(uint64_t));
    if (outcomes)
        memcpy(outcomes, shared_outcomes, count * sizeof(*outcomes));
    munmap(shared, sizeof(*shared));
    munmap(shared_hashes, count * sizeof(uint64_t));
    if (outcomes)
        munmap(shared_outcomes, count * sizeof(*outcomes));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vector instructions with unusual memory operands, x87 environments and alignment checks: runs
 * each case of vector_cases.S in many situations and prints one line with a hash of all that came
 * of it. The same program runs natively and in a guest; the outputs must be equal (vector.py).
 *
 *     vector            a line per case
 *     vector TEXT       the cases that contain TEXT, with every detail */
#include <asm/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define ARENA 0x20000000 /* always there, and low, for 32-bit addresses */
#define COMPAT_STACK 0x21010000
#define FLAG_AC 0x40000
#define USER_CS 0x33 /* Linux' segment for 64-bit user code */

/* 5: needs AVX-512. Where processors of different makers differ, the translator follows AMD's;
 * these are left out on others. */
enum kind {
    GATHER2,
    GATHER5,
    MASK2,
    MASK5,
    PLAIN2,
    ALIGN,
    ALIGN5,
    COMPAT2,
    COMPAT5,
    EXTENT2,
    EXTENT5,
    BYTES2,
    ALIGNV,
    ALIGNV5
};

struct state {
    uint64_t regs[6]; /* rax rbx rcx rdx rsi rdi */
    uint64_t flags;
    uint64_t compat_stack; /* not 0: the code is 32-bit code */
    uint64_t opmask[8];
    uint64_t vector[32][8];
};

struct test_case {
    const void *code;
    const char *text;
    uint64_t kind;
};

extern const struct test_case case_table_start[], case_table_end[];
extern uint64_t case_rsp;
extern uint32_t case_avx512;
extern char case_resume[];
void case_run(struct state *state, const void *code);

/* ---- situations ---------------------------------------------------------------------------- */

/* Four pages; the third one changes. */
static uint8_t *arena;

#define LAST_BYTES 4 /* in `places`: LAST bytes before the absent page */
#define LAST 3

static const struct {
    const char *name;
    int offset;
    int third;  /* protection of the third page */
    bool high;  /* not canonical */
    bool fresh; /* the third page is not there until it is touched: restarts the instruction */
} places[] = {
    { "inside a page", 4096 + 512, PROT_READ | PROT_WRITE, false },
    { "across pages", 8192 - 20, PROT_READ | PROT_WRITE, false },
    { "across pages, vectors aligned", 8192 - 64, PROT_READ | PROT_WRITE, false },
    { "into an absent page", 8192 - 20, PROT_NONE, false },
    { "into an absent page, last bytes", 8192 - LAST, PROT_NONE, false },
    { "into an absent page, odd", 8192 - 37, PROT_NONE, false },
    { "in an absent page", 8192 + 128, PROT_NONE, false },
    { "from an absent page", 12288 - 20, PROT_NONE, false },
    { "into a read-only page", 8192 - 20, PROT_READ, false },
    { "at the end of a page before an absent one", 8192 - 4, PROT_NONE, false },
    { "at the end of a page before an absent one, 8", 8192 - 8, PROT_NONE, false },
    { "into a page not there yet", 8192 - 20, PROT_READ | PROT_WRITE, .fresh = true },
    { "from a page not there yet", 12288 - 20, PROT_READ | PROT_WRITE, .fresh = true },
    { "no canonical address", 0, PROT_NONE, true },
};

static const struct {
    const char *name;
    uint64_t bits;
} masks[] = {
    { "all", ~0ull },
    { "none", 0 },
    { "low", 0x000000000000000full },
    { "high", 0xfffffffffffffff0ull },
    { "some", 0xa5a55a5a0ff09669ull },
    { "one", 0x8ull },
};

/* ---- faults -------------------------------------------------------------------------------- */

static struct {
    int signal, code;
    uint64_t trap, error, address;
} fault;

static void handle(int signal, siginfo_t *info, void *opaque)
{
    ucontext_t *context = opaque;
    greg_t *gregs = context->uc_mcontext.gregs;
    __asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
    fault.signal = signal;
    fault.code = info->si_code;
    fault.trap = gregs[REG_TRAPNO];
    fault.error = gregs[REG_ERR];
    fault.address = (uint64_t)info->si_addr;
    if (signal == SIGILL || signal == SIGFPE)
        fault.address = 0;
    gregs[REG_RIP] = (greg_t)case_resume;
    gregs[REG_RSP] = case_rsp;
    gregs[REG_EFL] &= ~FLAG_AC;
    gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | USER_CS;
}

/* ---- one run ------------------------------------------------------------------------------- */

static uint64_t hash;
static bool verbose, amd;

static void add(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3ull;
}

static void fill_arena(void)
{
    uint32_t seed = 12345;
    for (unsigned i = 0; i < 4 * PAGE; i++) {
        seed = seed * 1103515245 + 12345;
        arena[i] = seed >> 16;
    }
}

static void fill_state(struct state *s, uint64_t place, uint64_t mask, bool wide_index)
{
    memset(s, 0, sizeof(*s));
    s->regs[0] = s->regs[5] = place;
    s->regs[3] = place - 64;
    s->flags = 0x202;
    for (unsigned n = 0; n < 32; n++)
        for (unsigned i = 0; i < 8; i++)
            s->vector[n][i] = (0x0123456789abcdefull + n * 0x1111111111111111ull) * (i * 2 + 3);
    static const int8_t indexes[16] = { 0, 3, -4, 7, 1, 3, 12, -9, 2, 20, 0, 5, -1, 6, 15, -30 };
    for (unsigned n = 2; n < 32; n += 10) /* 2, 12, 22 */
        for (unsigned i = 0; i < 16; i++) {
            if (wide_index && i < 8)
                s->vector[n][i] = (int64_t)indexes[i];
            else if (!wide_index)
                ((int32_t *)s->vector[n])[i] = indexes[i];
        }
    for (unsigned n = 3; n < 32; n += 10) /* 3, 13, 23 */
        for (unsigned i = 0; i < 64; i++) {
            uint8_t *byte = (uint8_t *)s->vector[n] + i;
            *byte = (*byte & 0x7f) | (mask >> i & 1) << 7;
            /* Elements of 4 and 8 bytes: their highest byte decides. */
            if (i % 8 == 7 && wide_index)
                *byte = (*byte & 0x7f) | (mask >> i / 8 & 1) << 7;
            else if (i % 4 == 3 && !wide_index)
                *byte = (*byte & 0x7f) | (mask >> i / 4 & 1) << 7;
        }
    for (unsigned k = 1; k < 8; k++)
        s->opmask[k] = k == 2 ? ~0ull : mask;
}

static void print_change(const struct state *before, const struct state *after)
{
    for (unsigned i = 0; i < 6; i++)
        if (before->regs[i] != after->regs[i])
            printf("    reg%u %llx\n", i, (unsigned long long)after->regs[i]);
    for (unsigned i = 1; i < 8; i++)
        if (before->opmask[i] != after->opmask[i])
            printf("    k%u %llx\n", i, (unsigned long long)after->opmask[i]);
    for (unsigned n = 0; n < 32; n++) {
        if (!memcmp(before->vector[n], after->vector[n], 64))
            continue;
        printf("    v%u", n);
        for (unsigned i = 8; i-- > 0;)
            printf(" %016llx", (unsigned long long)after->vector[n][i]);
        printf("\n");
    }
}

static void print_memory(void)
{
    static uint8_t now[4 * PAGE];
    memcpy(now, arena, sizeof(now));
    fill_arena();
    for (unsigned i = 0; i < 4 * PAGE; i++)
        if (now[i] != arena[i])
            printf("    [%u] %02x\n", i, now[i]);
}

static void run(const struct test_case *test, unsigned at, int offset, unsigned mask,
                bool wide_index, uint64_t flags)
{
    static struct state before, after;
    uint64_t place = (uint64_t)arena + places[at].offset + offset;
    if (places[at].high)
        place = 0x8000000000001000ull;
    mprotect(arena + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);
    fill_arena();
    mprotect(arena + 2 * PAGE, PAGE, places[at].third);
    if (places[at].fresh)
        madvise(arena + 2 * PAGE, PAGE, MADV_DONTNEED);
    fill_state(&before, place, masks[mask].bits, wide_index);
    before.flags |= flags;
    if (test->kind == COMPAT2 || test->kind == COMPAT5)
        before.compat_stack = COMPAT_STACK;
    syscall(SYS_arch_prctl, ARCH_SET_GS, place - PAGE);
    after = before;
    memset(&fault, 0, sizeof(fault));
    case_run(&after, test->code);
    before.flags = after.flags = 0;
    mprotect(arena + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE);

    /* What a processor leaves in the registers of a gather that faults is told only for the
     * finished elements; where in the page an x87 image faults, nowhere. */
    bool gather = test->kind == GATHER2 || test->kind == GATHER5 || before.compat_stack;
    if (amd || !gather || !fault.signal)
        add(&after, sizeof(after));
    if (test->kind == PLAIN2 || before.compat_stack)
        fault.address &= ~(uint64_t)(PAGE - 1);
    add(&fault, sizeof(fault));
    add(arena, 4 * PAGE);
    if (!verbose)
        return;
    printf("  %s %+d, mask %s%s: signal %d.%d trap %llu error %llx address %llx\n", places[at].name,
           offset, masks[mask].name, wide_index ? ", 64-bit indexes" : "", fault.signal, fault.code,
           (unsigned long long)fault.trap, (unsigned long long)fault.error,
           (unsigned long long)fault.address);
    print_change(&before, &after);
    print_memory();
}

static void run_case(const struct test_case *test)
{
    static const int misaligned[] = { 0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48 };
    unsigned place_count = sizeof(places) / sizeof(places[0]);
    unsigned mask_count = sizeof(masks) / sizeof(masks[0]);
    bool compat = test->kind == COMPAT2 || test->kind == COMPAT5;
    bool wide = test->kind == EXTENT5 || test->kind == COMPAT5 || test->kind == GATHER5
                || test->kind == MASK5 || test->kind == ALIGN5 || test->kind == ALIGNV5;
    bool aligned = test->kind == ALIGN || test->kind == ALIGN5 || test->kind == ALIGNV
                   || test->kind == ALIGNV5;
    if ((wide && !case_avx512) || (test->kind >= BYTES2 && !amd))
        return;
    hash = 0xcbf29ce484222325ull;
    if (verbose)
        printf("%s\n", test->text);
    if (test->kind == EXTENT2
        || test->kind == EXTENT5) { /* how many bytes before the absent page? */
        static const int bytes[] = { 1, 2, 4, 8, 10, 12, 16, 24, 32, 48, 64 };
        for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
            run(test, LAST_BYTES, LAST - bytes[i], 0, false, 0);
    } else if (aligned) {
        for (unsigned i = 0; i < sizeof(misaligned) / sizeof(misaligned[0]); i++)
            run(test, 0, misaligned[i], 0, false, FLAG_AC);
        run(test, 6, 1, 0, false, FLAG_AC); /* absent and misaligned */
    } else {
        for (unsigned at = 0; at < place_count - compat;
             at++) /* all 32-bit addresses are canonical */
            for (unsigned mask = 0; mask < (test->kind == PLAIN2 ? 1 : mask_count); mask++)
                for (unsigned index = 0; index < (test->kind == PLAIN2 ? 1 : 2); index++)
                    run(test, at, 0, mask, index, 0);
    }
    if (!verbose)
        printf("%016llx %s\n", (unsigned long long)hash, test->text);
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    static uint8_t stack[65536];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction action = { .sa_sigaction = handle,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    if (!__builtin_cpu_supports("avx2")) {
        printf("no AVX2\n");
        return 0;
    }
    case_avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
                  && __builtin_cpu_supports("avx512vbmi2");
    arena = mmap((void *)ARENA, 4 * PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    void *low = mmap((void *)(COMPAT_STACK - 4 * PAGE), 4 * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (arena == MAP_FAILED || low == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    verbose = argc > 1;
    amd = __builtin_cpu_is("amd");
    printf("AVX-512 %s, AMD %s\n", case_avx512 ? "yes" : "no", amd ? "yes" : "no");
    for (const struct test_case *test = case_table_start; test < case_table_end; test++)
        if (!verbose || strstr(test->text, argv[1]))
            run_case(test);
    return 0;
}

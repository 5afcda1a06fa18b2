/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several processors: INIT and STARTUP, locked operations, interrupts between processors, TLB
 * shootdown, code modified by another processor (SDM vol. 3, 8.1-8.4, 11.6). Run with -smp 4. */
#include "apic.h"

#define MAX 8
/* Few rounds where processors wait for each other: with fewer host CPUs than processors each costs
 * the scheduler's time slice. */
#define ROUNDS 100000u
#define CALLS 50u
#define REMAPPINGS 200u
#define VERSIONS 50u
#define REWRITES 1000000u
#define REWRITTEN_CALLS 20000u
#define IPI_CALL 0x61
#define IPI_WAKE 0x62
#define WINDOW 0x5000000000ull

extern char ap_code[], ap_code_end[];
extern volatile uint32_t ap_count;
void ap_main(unsigned index);

static unsigned processors = 1;
static volatile uint32_t alive[MAX + 1], ids[MAX + 1];
static void (*volatile job)(unsigned index);
static volatile uint32_t job_number, job_done;

static void barrier_wait(volatile uint32_t *counter, uint32_t want)
{
    while (*counter != want)
        asm volatile("pause");
}

void ap_main(unsigned index)
{
    apic_enable();
    ids[index] = apic_read(APIC_ID) >> 24;
    alive[index] = 1;
    for (uint32_t seen = 0;;) {
        while (job_number == seen)
            asm volatile("pause");
        seen = job_number;
        job(index);
        asm volatile("lock incl %0" : "+m"(job_done));
    }
}

/* Runs `work` on every processor, this one as 0, and waits. */
static void everywhere(void (*work)(unsigned index))
{
    job_done = 0;
    job = work;
    asm volatile("" : : : "memory");
    job_number++;
    work(0);
    barrier_wait(&job_done, processors - 1);
}

static void start(void)
{
    memcpy((void *)0x8000, ap_code, ap_code_end - ap_code);
    apic_write(APIC_ICR_HIGH, 0);
    apic_write(APIC_ICR_LOW, APIC_OTHERS | APIC_INIT | APIC_ASSERT);
    for (uint64_t end = rdtsc() + 30000000; rdtsc() < end;)
        ;
    for (unsigned i = 0; i < 2; i++) { /* the second one must change nothing */
        apic_write(APIC_ICR_LOW, APIC_OTHERS | APIC_STARTUP | APIC_ASSERT | 8);
        for (uint64_t end = rdtsc() + 3000000; rdtsc() < end;)
            ;
    }
    uint64_t end = rdtsc() + 2000000000ull;
    while (rdtsc() < end && ap_count < 3)
        asm volatile("pause");
    for (unsigned i = 1; i <= ap_count; i++)
        while (!alive[i])
            asm volatile("pause");
    processors = ap_count + 1;
    check("three application processors start", ap_count, 3);
    uint32_t mask = 1u << (apic_read(APIC_ID) >> 24);
    for (unsigned i = 1; i < processors; i++)
        mask |= 1u << ids[i];
    check("each with its own APIC id", mask, (1u << processors) - 1);
}

static volatile uint64_t counter, counter_16[2] __attribute__((aligned(16)));
static volatile uint32_t plain_lock, protected_value;

static void add_locked(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        asm volatile("lock incq %0" : "+m"(counter) : : "cc");
}
static void add_xadd(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t one = 1;
        asm volatile("lock xaddq %1, %0" : "+m"(counter), "+r"(one) : : "cc");
    }
}
static void add_cmpxchg(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        asm volatile("movq %0, %%rax; 1: leaq 1(%%rax), %%rdx; lock cmpxchgq %%rdx, %0; jne 1b"
                     : "+m"(counter)
                     :
                     : "rax", "rdx", "cc");
}
static void add_cmpxchg16b(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS / 4; i++)
        asm volatile(
            "movq %0, %%rax; movq %1, %%rdx; 1: leaq 1(%%rax), %%rbx; leaq 3(%%rdx), %%rcx;"
            "lock cmpxchg16b %0; jne 1b"
            : "+m"(counter_16[0]), "+m"(counter_16[1])
            :
            : "rax", "rbx", "rcx", "rdx", "cc");
}
static void add_under_lock(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        asm volatile(
            "1: movl $1, %%eax; xchgl %%eax, %0; testl %%eax, %%eax; jz 3f; 2: pause; cmpl $0, %0;"
            "jne 2b; jmp 1b; 3:"
            : "+m"(plain_lock)
            :
            : "eax", "cc", "memory");
        protected_value++;
        asm volatile("movl $0, %0" : "=m"(plain_lock) : : "memory");
    }
}
static void toggle_bits(unsigned index)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        asm volatile("lock btcq %1, %0" : "+m"(counter) : "r"((uint64_t)index) : "cc");
}

static void atomics(void)
{
    static const struct {
        const char *name;
        void (*work)(unsigned);
    } cases[] = { { "lock inc", add_locked },
                  { "lock xadd", add_xadd },
                  { "lock cmpxchg", add_cmpxchg } };
    for (unsigned i = 0; i < 3; i++) {
        counter = 0;
        everywhere(cases[i].work);
        check(cases[i].name, counter, (uint64_t)ROUNDS * processors);
    }
    if (has_cpuid(1, 0, 2, 13)) {
        everywhere(add_cmpxchg16b);
        check("lock cmpxchg16b: low", counter_16[0], (uint64_t)ROUNDS / 4 * processors);
        check("lock cmpxchg16b: high", counter_16[1], (uint64_t)ROUNDS / 4 * processors * 3);
    }
    everywhere(add_under_lock);
    check("xchg spin lock", protected_value, ROUNDS / 4 * processors);
    counter = 0;
    everywhere(toggle_bits);
    check("lock btc, an even number of times each", counter, 0);
}

/* Message passing: x86 keeps stores in order and loads in order. */
static volatile uint32_t message __attribute__((aligned(64))), ready __attribute__((aligned(64)));
static volatile uint32_t reordered;
static void pass_messages(unsigned index)
{
    if (index > 1)
        return;
    for (uint32_t i = 1; i <= ROUNDS / 2; i++)
        if (index == 0) {
            message = i;
            ready = i;
        } else {
            uint32_t r = ready, m = message;
            if (m < r)
                reordered++;
        }
}

static volatile uint32_t calls[MAX + 1];
static void on_call(struct frame *frame)
{
    asm volatile("lock incl %0" : "+m"(calls[0]));
    apic_write(APIC_EOI, 0);
}
static void enable_interrupts(unsigned index)
{
    if (index)
        asm volatile("sti");
}
static void halt_until_called(unsigned index)
{
    if (index == 1)
        asm volatile("sti; hlt");
}

static void interrupts(void)
{
    handlers[IPI_CALL] = handlers[IPI_WAKE] = on_call;
    everywhere(enable_interrupts);
    for (unsigned i = 0; i < CALLS; i++) {
        uint32_t want = calls[0] + processors - 1;
        apic_write(APIC_ICR_LOW, APIC_OTHERS | APIC_ASSERT | IPI_CALL);
        barrier_wait(&calls[0], want);
    }
    check("calls of all others", calls[0], CALLS * (processors - 1));
    calls[0] = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        apic_send(ids[1 + i % (processors - 1)], APIC_ASSERT | IPI_CALL);
        barrier_wait(&calls[0], i + 1);
    }
    check("calls of one", calls[0], CALLS);
    calls[0] = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        job_done = 0;
        job = halt_until_called;
        job_number++;
        uint32_t want = processors - 2;
        barrier_wait(&job_done, want);
        apic_send(ids[1],
                  APIC_ASSERT | IPI_WAKE); /* may come before or after hlt: hence sti; hlt */
        while (job_done != processors - 1) {
            for (volatile unsigned j = 0; j < 20000; j++)
                ;
            if (job_done != processors - 1)
                apic_send(ids[1], APIC_ASSERT | IPI_WAKE);
        }
    }
    check("out of hlt", calls[0] >= CALLS, true);
    everywhere(pass_messages);
    check("stores are seen in order", reordered, 0);
}

/* TLB shootdown: the others read through a page that this one remaps; after their acknowledged
 * invlpg nobody may see the old page. */
static volatile uint32_t stop, generation, acknowledged, stale;
static void on_shootdown(struct frame *frame)
{
    invlpg(WINDOW);
    asm volatile("lock incl %0" : "+m"(acknowledged));
    apic_write(APIC_EOI, 0);
}
static void read_window(unsigned index)
{
    if (!index)
        return;
    while (!stop) {
        uint32_t before = generation, value = load32((void *)WINDOW), after = generation;
        if (value < before || value > after + 1)
            asm volatile("lock incl %0" : "+m"(stale));
    }
}

static void shootdown(void)
{
    uint32_t *pages = pages_alloc(64);
    handlers[IPI_CALL] = on_shootdown;
    map_page(WINDOW, (word)pages, PTE_P | PTE_W);
    job_done = 0;
    job = read_window;
    job_number++;
    for (unsigned i = 1; i < REMAPPINGS; i++) {
        uint32_t *page = pages + (i & 63) * 1024;
        *(volatile uint32_t *)page = i;
        *(volatile uint64_t *)pte_of(WINDOW) = (word)page | PTE_P | PTE_W;
        invlpg(WINDOW);
        acknowledged = 0;
        apic_write(APIC_ICR_LOW, APIC_OTHERS | APIC_ASSERT | IPI_CALL);
        barrier_wait(&acknowledged, processors - 1);
        generation = i;
    }
    stop = 1;
    barrier_wait(&job_done, processors - 1);
    check("TLB shootdown: no stale reads in 200 remappings", stale, 0);
}

/* Cross-modifying code (SDM vol. 3, 8.1.3): write, signal, serialize, execute. */
static uint8_t *shared_code;
static volatile uint32_t code_version, code_seen[MAX + 1], wrong;
static void execute_shared(unsigned index)
{
    if (!index)
        return;
    for (uint32_t i = 1; i <= VERSIONS; i++) {
        uint32_t r[4];
        while (code_version < i)
            asm volatile("pause");
        cpuid(0, 0, r);
        if (((uint32_t(*)(void))shared_code)() != i)
            asm volatile("lock incl %0" : "+m"(wrong));
        code_seen[index] = i;
    }
}

static void cross_modification(void)
{
    shared_code = page_alloc();
    shared_code[0] = 0xb8;
    shared_code[5] = 0xc3;
    job_done = 0;
    job = execute_shared;
    job_number++;
    for (uint32_t i = 1; i <= VERSIONS; i++) {
        store32(shared_code + 1, i);
        code_version = i;
        for (unsigned j = 1; j < processors; j++)
            while (code_seen[j] < i)
                asm volatile("pause");
    }
    barrier_wait(&job_done, processors - 1);
    check("cross-modifying code", wrong, 0);
}

/* One processor rewrites what the others execute without waiting for them. The value a function
 * returns must never be older than what was announced before it was called, and what is replaced
 * byte by byte must run as it was before or after, wherever in it the others stand. */
static uint8_t *rewritten;
static bool all_called_enough(void)
{
    for (unsigned i = 1; i < processors; i++)
        if (calls[i] < REWRITTEN_CALLS)
            return false;
    return true;
}
static void execute_rewritten(unsigned index)
{
    uint32_t (*numbered)(void) = (uint32_t(*)(void))rewritten;
    uint32_t (*steps)(void) = (uint32_t(*)(void))(rewritten + 128);
    if (!index) {
        for (uint32_t i = 1; i <= REWRITES || !all_called_enough(); i++) {
            store32(rewritten + 3, i); /* aligned, see below */
            code_version = i;
            *(volatile uint8_t *)(rewritten + 128 + 1 + 2 * (i & 3)) ^= 0x08;
        }
        stop = 1;
        return;
    }
    for (; !stop; calls[index]++) {
        uint32_t r[4], announced = code_version;
        cpuid(0, 0, r);
        if (numbered() < announced)
            asm volatile("lock incl %0" : "+m"(wrong));
        for (unsigned i = 0; i < 8; i++) {
            uint32_t sum;
            asm volatile("xorl %%eax, %%eax; call *%1" : "=&a"(sum) : "r"(steps) : "cc", "memory");
            if (sum + 4 > 8 || sum & 1)
                asm volatile("lock incl %0" : "+m"(code_seen[0]));
        }
    }
    if (numbered() != code_version)
        asm volatile("lock incl %0" : "+m"(wrong));
}

static void rewrite_what_runs(void)
{
    static const uint8_t number[] = { 0x66, 0x90, 0xb8, 0, 0, 0, 0, 0xc3 }; /* at 1: aligned */
    static const uint8_t inc_or_dec[] = { 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xc3 };
    rewritten = (uint8_t *)page_alloc() + 1;
    memcpy(rewritten, number, sizeof(number));
    memcpy(rewritten + 128, inc_or_dec, sizeof(inc_or_dec));
    memset((void *)calls, 0, sizeof(calls));
    stop = wrong = code_version = code_seen[0] = 0;
    everywhere(execute_rewritten);
    check("code rewritten while others run it: none older than announced", wrong, 0);
    check("code rewritten while others run it: old or new", code_seen[0], 0);
}

/* A loop in which the others spin: a jump to itself becomes nops. */
static void spin_until_patched(unsigned index)
{
    if (index)
        asm volatile("1: .globl spin_spot; spin_spot: jmp 1b; nop");
}

static void patch_a_spinning_loop(void)
{
    extern char spin_spot[];
    job_done = 0;
    job = spin_until_patched;
    job_number++;
    for (volatile unsigned i = 0; i < 1000000; i++)
        ;
    check("the others spin", job_done, 0);
    *(volatile uint16_t *)spin_spot = 0x9090;
    barrier_wait(&job_done, processors - 1);
    check("a jump to itself patched by another processor", job_done, processors - 1);
}

void guest_main(void)
{
    apic_enable();
    start();
    if (processors < 2)
        return;
    atomics();
    interrupts();
    shootdown();
    cross_modification();
    rewrite_what_runs();
    patch_a_spinning_loop();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts: 8259 with 8254, local APIC with its timers, priorities, the shadow of sti, hlt, NMI,
 * and that an interrupt enters every kind of loop (SDM vol. 3, chapters 6 and 11). */
#include "apic.h"

#define LOW 0x50
#define HIGH 0x60
#define TIMER 0x70

static volatile unsigned count[256];
static volatile unsigned order[16], orders;
static volatile word last_ip, last_cs;
static volatile bool leave_loop; /* the handler moves RIP past the loop */
static volatile word loop_end;

static void note(struct frame *frame)
{
    count[frame->vector]++;
    if (orders < 16)
        order[orders++] = frame->vector;
    last_ip = frame->ip;
    last_cs = frame->cs;
    if (leave_loop) {
        frame->ip = loop_end;
        leave_loop = false;
    }
    if (frame->vector < 0x30 && frame->vector >= 0x20)
        outb(0x20, 0x20);
    else if (frame->vector != VECTOR_NMI)
        apic_write(APIC_EOI, 0);
}

static void self(unsigned vector)
{
    apic_send(0, vector | APIC_SELF | APIC_ASSERT);
}

static void reset(void)
{
    orders = 0;
    memset((void *)count, 0, sizeof(count));
}

/* Label 1 is where the interrupt has to be taken. */
#define SHADOW_CASE(name, code) \
    do { \
        word want_; \
        reset(); \
        self(LOW); \
        asm volatile("leaq 1f(%%rip), %0\n\t" code "\n\tcli" \
                     : "=&b"(want_) \
                     : "a"(read_flags() | FLAG_IF) \
                     : "memory", "cc", "ecx"); \
        check(name ": taken", count[LOW], 1); \
        check(name ": where", last_ip, want_); \
    } while (0)

static void shadow(void)
{
    SHADOW_CASE("sti: one more instruction", "sti; nop; 1: nop; nop");
    SHADOW_CASE("sti then a jump", "sti; jmp 1f; nop; 1: nop");
    SHADOW_CASE("sti then a store", "sti; movl %%ecx, -64(%%rsp); 1: nop");
    SHADOW_CASE("sti while IF is set already has no shadow", "push %%rax; popf; 1: sti; nop");
    SHADOW_CASE("popf: at once", "push %%rax; popf; 1: nop; nop");
    SHADOW_CASE("iret: at once", "movq %%rsp, %%rcx; push $0; push %%rcx; push %%rax; push $0x18; "
                                 "push %%rbx; iretq; 1: nop");
    SHADOW_CASE("sti; hlt wakes and goes on behind hlt", "sti; hlt; 1: nop");
    reset();
    self(LOW);
    asm volatile("sti; cli; nop" : : : "memory");
    check("sti; cli: nothing is taken", count[LOW], 0);
    asm volatile("sti; nop; cli" : : : "memory");
    check("sti; nop; cli: taken", count[LOW], 1);
    word ss = KERNEL_DATA;
    reset();
    write_cr8(15);
    self(LOW);
    asm volatile("sti; nop" : : : "memory");
    check("CR8 = 15 holds it back", count[LOW], 0);
    asm volatile("movw %w0, %%ss; nop; nop" : : "r"(ss));
    write_cr8(4);
    check("CR8 = 4 lets vector 0x50 through", count[LOW], 1);
    write_cr8(5);
    self(LOW);
    check("CR8 = 5 holds vector 0x50 back", count[LOW], 1);
    self(HIGH);
    check("CR8 = 5 lets vector 0x60 through", count[HIGH], 1);
    write_cr8(0);
    check("CR8 = 0 releases it", count[LOW], 2);
    check("TPR mirrors CR8", apic_read(APIC_TPR), 0);
    write_cr8(9);
    check("TPR is CR8 shifted", apic_read(APIC_TPR), 0x90);
    write_cr8(0);
    asm volatile("cli");
}

static void nested(struct frame *frame)
{
    count[frame->vector]++;
    order[orders++] = frame->vector;
    if (frame->vector == LOW) {
        self(HIGH);
        asm volatile("sti; nop; nop; cli" : : : "memory");
    } else if (count[HIGH] < 2) {
        self(LOW);
        asm volatile("sti; nop; nop; cli" : : : "memory");
    }
    order[orders++] = frame->vector | 0x1000;
    apic_write(APIC_EOI, 0);
}

static void priorities(void)
{
    reset();
    self(LOW);
    self(HIGH);
    self(LOW + 1);
    check("IRR shows the pending ones", apic_read(APIC_IRR + 0x20), 3u << (LOW & 31));
    asm volatile("sti; nop; nop; nop; nop; nop; cli" : : : "memory");
    check("three pending are taken", orders, 3);
    check("highest vector first", order[0] << 16 | order[1] << 8 | order[2],
          HIGH << 16 | (LOW + 1) << 8 | LOW);
    handlers[LOW] = handlers[HIGH] = nested;
    reset();
    self(LOW);
    asm volatile("sti; nop; nop; nop; cli" : : : "memory");
    check("a higher vector enters the handler of a lower, not the reverse",
          order[0] == LOW && order[1] == HIGH && order[2] == (HIGH | 0x1000)
              && order[3] == (LOW | 0x1000) && order[4] == LOW,
          true);
    asm volatile("sti; nop; nop; nop; nop; cli" : : : "memory");
    handlers[LOW] = handlers[HIGH] = note;
    reset();
    self(LOW);
    self(LOW);
    asm volatile("sti; nop; nop; nop; cli" : : : "memory");
    check("one vector pends once", count[LOW], 1);
}

static void timers(void)
{
    reset();
    apic_write(APIC_LVT_TIMER, TIMER);
    apic_write(APIC_TIMER_INITIAL, 100000);
    asm volatile("sti" : : : "memory");
    while (!count[TIMER])
        asm volatile("hlt" : : : "memory");
    check("APIC timer one-shot wakes hlt", count[TIMER], 1);
    check("APIC timer stands at zero", apic_read(APIC_TIMER_CURRENT), 0);
    apic_write(APIC_LVT_TIMER, TIMER | APIC_PERIODIC);
    apic_write(APIC_TIMER_INITIAL, 200000);
    while (count[TIMER] < 20)
        asm volatile("hlt" : : : "memory");
    check("APIC timer periodic", count[TIMER] >= 20, true);
    apic_write(APIC_TIMER_INITIAL, 0);
    unsigned before = count[TIMER];
    for (volatile unsigned i = 0; i < 1000000; i++)
        ;
    check("APIC timer stopped by count 0", count[TIMER] - before <= 1, true);
    asm volatile("cli");
    if (has_cpuid(1, 0, 2, 24)) {
        reset();
        apic_write(APIC_LVT_TIMER, TIMER | APIC_TSC_DEADLINE);
        asm volatile("mfence");
        uint64_t target = rdtsc() + 3000000;
        wrmsr(MSR_TSC_DEADLINE, target);
        check("TSC deadline reads back while armed", rdmsr(MSR_TSC_DEADLINE), target);
        asm volatile("sti" : : : "memory");
        while (!count[TIMER])
            asm volatile("hlt" : : : "memory");
        check("TSC deadline is not early", rdtsc() >= target, true);
        check("TSC deadline reads 0 after it fired", rdmsr(MSR_TSC_DEADLINE), 0);
        wrmsr(MSR_TSC_DEADLINE, 1);
        for (unsigned i = 0; i < 100000000 && count[TIMER] < 2; i++)
            asm volatile("pause");
        check("TSC deadline in the past fires at once", count[TIMER], 2);
        wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 40));
        wrmsr(MSR_TSC_DEADLINE, 0);
        check("TSC deadline disarmed by 0", rdmsr(MSR_TSC_DEADLINE), 0);
        wrmsr(MSR_TSC_DEADLINE, ~0ull);
        for (volatile unsigned i = 0; i < 1000000; i++)
            ;
        check("TSC deadline at the end of time does not fire", count[TIMER], 2);
        check("TSC deadline at the end of time reads back", rdmsr(MSR_TSC_DEADLINE), ~0ull);
        wrmsr(MSR_TSC_DEADLINE, 0);
        asm volatile("cli");
    } else {
        skip("TSC deadline", "CPUID offers no TSC deadline timer");
    }
    apic_write(APIC_LVT_TIMER, TIMER | APIC_MASKED);
}

static void pic_and_pit(void)
{
    reset();
    pic_init(1);
    pit_start(1193); /* 1 ms */
    asm volatile("sti" : : : "memory");
    while (count[0x20] < 20)
        asm volatile("hlt" : : : "memory");
    check("8254 through 8259 wakes hlt 20 times", count[0x20] >= 20, true);
    uint64_t start = rdtsc();
    while (count[0x20] < 30)
        ;
    check("8254 interrupts a polling loop", count[0x20] >= 30 && rdtsc() > start, true);
    asm volatile("cli" : : : "memory");
    outb(0x21, 0xff);
    unsigned before = count[0x20];
    asm volatile("sti" : : : "memory");
    for (volatile unsigned i = 0; i < 3000000; i++)
        ;
    asm volatile("cli" : : : "memory");
    check("8259 mask holds the line", count[0x20], before);
}

/* The loop must be left by an interrupt although it neither loads, stores nor calls. */
#define LOOP_CASE(name, code) \
    do { \
        reset(); \
        asm volatile("movq $7f, %0" : "=m"(loop_end)); \
        leave_loop = true; \
        apic_write(APIC_TIMER_INITIAL, 300000); \
        asm volatile("movq %%rsp, %%r12; sti; " code "; 7: cli; movq %%r12, %%rsp" \
                     : \
                     : \
                     : "memory", "cc", "rax", "rcx", "rdx", "rdi", "rsi", "r12"); \
        check("interrupt enters: " name, count[TIMER], 1); \
    } while (0)

static void loops(void)
{
    apic_write(APIC_LVT_TIMER, TIMER);
    LOOP_CASE("jmp to itself", "1: jmp 1b");
    LOOP_CASE("conditional jump",
              "xorl %%eax, %%eax; 1: incl %%eax; testl %%eax, %%eax; jmp 2f; 2: jmp 1b");
    LOOP_CASE("jnz with live flags", "movl $1, %%eax; testl %%eax, %%eax; 1: jnz 1b");
    LOOP_CASE("indirect jump to itself", "leaq 1f(%%rip), %%rax; 1: jmp *%%rax");
    LOOP_CASE("loop instruction", "1: movl $1000, %%ecx; 2: loop 2b; jmp 1b");
    LOOP_CASE("call and ret", "1: call 2f; jmp 1b; 2: ret");
    LOOP_CASE("ret to itself", "leaq 1f(%%rip), %%rax; 1: push %%rax; ret");
    LOOP_CASE("two blocks", "1: nop; jmp 2f; nop; 2: nop; jmp 1b");
    LOOP_CASE("rdtsc", "1: rdtsc; jmp 1b");
    LOOP_CASE("pause", "1: pause; jmp 1b");
    LOOP_CASE("vector instructions", "1: paddq %%xmm0, %%xmm1; jmp 1b");
    LOOP_CASE("rep stosb of 1 MiB again and again",
              "1: movl $scratch_area, %%edi; movl $0x100000, %%ecx; rep stosb; jmp 1b");
    LOOP_CASE("jrcxz", "xorl %%ecx, %%ecx; 1: jrcxz 1b");
    LOOP_CASE("self-modifying loop", "1: movb $0x11, 2f+1(%%rip); 2: movb $0, %%al; jmp 1b");
}
asm(".globl scratch_area; scratch_area = 0x2000000");

asm(".text\n user_spin: jmp user_spin\n user_spin_dec: movl $1000, %ecx; 1: decl %ecx; jnz 1b; jmp "
    "user_spin_dec\n");
extern char user_spin[], user_spin_dec[];

static void record_user(struct frame *frame)
{
    note(frame);
    handlers[TIMER] = NULL; /* the next one is recorded and ends run_user() */
    apic_write(APIC_TIMER_INITIAL, 100000);
}

static void user(void)
{
    const char *spins[] = { user_spin, user_spin_dec };
    for (unsigned i = 0; i < 2; i++) {
        reset();
        handlers[TIMER] = record_user;
        apic_write(APIC_TIMER_INITIAL, 100000);
        struct user_start start = { .ip = (word)USER_ADDRESS(spins[i]),
                                    .sp = (word)USER_ADDRESS(user_stack_top),
                                    .flags = 2 | FLAG_IF,
                                    .cs = USER_CODE,
                                    .ss = USER_DATA };
        enter_user(&start);
        apic_write(APIC_EOI, 0);
        check("interrupt enters CPL 3 code twice", trap.vector, TIMER);
        check("interrupt from CPL 3: saved cs", trap.cs << 16 | last_cs,
              USER_CODE << 16 | USER_CODE);
        check("interrupt from CPL 3: saved IF", trap.flags & FLAG_IF, FLAG_IF);
    }
    handlers[TIMER] = note;
}

static volatile unsigned nmi_depth, nmi_max;
static void nmi(struct frame *frame)
{
    count[frame->vector]++;
    nmi_depth++;
    if (nmi_depth > nmi_max)
        nmi_max = nmi_depth;
    if (count[VECTOR_NMI] == 1) { /* another one while NMIs are blocked */
        apic_send(apic_read(APIC_ID) >> 24, APIC_NMI);
        for (volatile unsigned i = 0; i < 100000; i++)
            ;
    }
    nmi_depth--;
}

static void non_maskable(void)
{
    reset();
    handlers[VECTOR_NMI] = nmi;
    apic_send(apic_read(APIC_ID) >> 24, APIC_NMI);
    for (volatile unsigned i = 0; i < 1000000 && count[VECTOR_NMI] < 2; i++)
        ;
    check("NMI comes with IF clear, and a second one after iret", count[VECTOR_NMI], 2);
    check("NMI does not nest", nmi_max, 1);
}

static void x2apic(void)
{
    if (!has_cpuid(1, 0, 2, 21)) {
        skip("x2APIC", "CPUID offers no x2APIC");
        return;
    }
    uint32_t id = apic_read(APIC_ID) >> 24;
    TRY("8: rdmsr", "c"(0x802));
    expect("#GP: x2APIC register in xAPIC mode", VECTOR_GP, 0);
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1u << 10);
    check("x2APIC: id", rdmsr(0x802), id);
    reset();
    handlers[LOW] = NULL; /* recorded */
    TRY("8: wrmsr", "c"(0x83f), "a"(0x100), "d"(0));
    expect("#GP: x2APIC self IPI with reserved bits", VECTOR_GP, 0);
    asm volatile("cli");
    wrmsr(0x83f, LOW);
    TRY("sti; nop; 8: nop; cli");
    expect("x2APIC: self IPI", LOW, 0);
    wrmsr(0x80b, 0);
    TRY("8: wrmsr", "c"(0x80b), "a"(1), "d"(0));
    expect("#GP: x2APIC EOI takes only 0", VECTOR_GP, 0);
    TRY("8: wrmsr", "c"(0x802), "a"(1), "d"(0));
    expect("#GP: x2APIC id is read-only", VECTOR_GP, 0);
    wrmsr(0x830, LOW | APIC_SELF);
    TRY("sti; nop; 8: nop; cli");
    expect("x2APIC: ICR with self shorthand", LOW, 0);
    wrmsr(0x80b, 0);
}

/* KVM's end of interrupt in memory (Linux, Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_EOI_EN): where the flag is set, clearing it is the end of interrupt. */
#define MSR_KVM_EOI 0x4b564d04
static volatile uint32_t eoi_flag __attribute__((aligned(4)));
static uint32_t flags_seen, flags_count;
static bool send_another;
static void end_by_flag(struct frame *frame)
{
    bool set = eoi_flag & 1;
    flags_seen |= set << flags_count++;
    if (send_another) {
        send_another = false;
        apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    }
    if (set)
        eoi_flag = 0;
    else
        apic_write(APIC_EOI, 0);
    (void)frame;
}
static void expect_flags(const char *name, unsigned taken, uint32_t seen)
{
    asm volatile("sti; nop; nop; nop; cli");
    check(name, (uint64_t)flags_count << 8 | flags_seen, taken << 8 | seen);
    flags_seen = flags_count = 0;
}
static void end_in_memory(void)
{
    uint32_t r[4] = { 0 };
    if (has_cpuid(1, 0, 2, 31))
        cpuid(0x40000001, 0, r);
    if (!(r[0] >> 6 & 1)) {
        skip("end of interrupt in memory", "CPUID does not offer it");
        return;
    }
    handlers[0x45] = handlers[0x46] = end_by_flag;
    TRY("8: wrmsr", "c"(MSR_KVM_EOI), "a"(3), "d"(0));
    expect("#GP: reserved bit of the MSR", VECTOR_GP, 0);
    wrmsr(MSR_KVM_EOI, (word)&eoi_flag | 1);
    check("MSR reads back", rdmsr(MSR_KVM_EOI), (word)&eoi_flag | 1);
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    expect_flags("ended by the flag", 1, 1);
    check("nothing is in service", apic_read(APIC_ISR + 0x20), 0);
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x46);
    expect_flags("two pending: the first is ended by the register", 2, 2);
    send_another = true;
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x46);
    asm volatile("sti; nop; nop; nop; cli");
    check("one that comes in the handler is not lost", flags_count, 2);
    flags_count = flags_seen = 0;
    for (unsigned i = 0; i < 1000; i++) {
        apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | (0x45 + (i & 1)));
        asm volatile("sti; nop; nop; nop; cli");
    }
    check("1000 of them", flags_count, 1000);
    flags_count = flags_seen = 0;
    wrmsr(MSR_KVM_EOI, 0);
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    expect_flags("no longer after the MSR is cleared", 1, 0);
    check("nothing is in service at the end", apic_read(APIC_ISR + 0x20), 0);
}

void guest_main(void)
{
    for (unsigned i = 0x20; i < 0x80; i++)
        handlers[i] = note;
    pic_init(0);
    apic_enable();
    shadow();
    priorities();
    timers();
    apic_write(APIC_LVT_LINT0, APIC_EXTINT);
    pic_and_pit();
    apic_write(APIC_LVT_LINT0, APIC_MASKED);
    loops();
    user();
    non_maskable();
    end_in_memory();
    x2apic();
}

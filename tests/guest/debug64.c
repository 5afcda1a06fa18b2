/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug registers and single step (SDM vol. 3, chapter 18). */
#include "guest.h"

#define DR6_RESET 0xffff0ff0ul
#define DR6_BS 0x4000
#define DR6_BD 0x2000
#define DR7_GD 0x2000
#define DR7_FIXED 0x400
#define WATCH(slot, type, length) (2ul << (slot)*2 | ((length) << 2 | (type)) << (16 + 4 * (slot)))
#define ON_EXECUTE 0
#define ON_WRITE 1
#define ON_ACCESS 3
#define LENGTH_1 0
#define LENGTH_2 1
#define LENGTH_8 2
#define LENGTH_4 3

static volatile uint64_t watched[8] __attribute__((aligned(64)));

/* Trace of #DBs taken by step(): saved RIPs and DR6. */
static word trace[64];
static unsigned traced;

static void step(struct frame *frame)
{
    if (traced < 64)
        trace[traced] = frame->ip;
    traced++;
    frame->flags |= FLAG_RF; /* past an instruction breakpoint (SDM vol. 3, 18.3.1.1) */
    write_dr6(DR6_RESET);
}

static void start_watch(unsigned slot, volatile void *address, unsigned type, unsigned length)
{
    word dr7 = read_dr7() | WATCH(slot, type, length);
    if (slot == 0)
        write_dr0((word)address);
    else if (slot == 1)
        write_dr1((word)address);
    else if (slot == 2)
        write_dr2((word)address);
    else
        write_dr3((word)address);
    write_dr6(DR6_RESET);
    write_dr7(dr7);
}

static void stop_watch(void)
{
    write_dr7(DR7_FIXED);
    write_dr6(DR6_RESET);
}

static void data_breakpoints(void)
{
    start_watch(0, watched, ON_WRITE, LENGTH_8);
    TRY("movq %%rcx, (%3); 8: nop", "D"(watched), "c"(5));
    expect("write: trap after the store", VECTOR_DB, 0);
    check("write: DR6.B0", trap.dr6 & 0xe00f, 1);
    check("write: the store is done", watched[0], 5);
    write_dr6(DR6_RESET);
    TRY("movq (%3), %%rcx; 8: nop", "D"(watched));
    expect_none("write watch ignores loads");
    TRY("movb $1, 7(%3); 8: nop", "D"(watched));
    expect("write: last byte of eight", VECTOR_DB, 0);
    TRY("movq %%rcx, -7(%3); 8: nop", "D"(watched + 1));
    expect("write: overlapping from below", VECTOR_DB, 0);
    TRY("movq %%rcx, (%3); 8: nop", "D"(watched + 1));
    expect_none("write: next to it");
    TRY("lock addq $1, (%3); 8: nop", "D"(watched));
    expect("write: locked add", VECTOR_DB, 0);
    TRY("movups %%xmm0, -8(%3); 8: nop", "D"(watched));
    expect("write: SSE store", VECTOR_DB, 0);
    extern char trap_entries[];
    gate_set(VECTOR_DB, trap_entries + 16 * VECTOR_DB, KERNEL_CODE64, 0x8e,
             1); /* not on this stack */
    TRY("movq %%rsp, %%rdx; leaq 8(%3), %%rsp; push %%rcx; 8: movq %%rdx, %%rsp", "D"(watched));
    expect("write: push", VECTOR_DB, 0);
    gate_set(VECTOR_DB, trap_entries + 16 * VECTOR_DB, KERNEL_CODE64, 0x8e, 0);
    stop_watch();
    start_watch(1, watched + 2, ON_ACCESS, LENGTH_4);
    TRY("movl (%3), %%eax; 8: nop", "D"(watched + 2));
    expect("access: load", VECTOR_DB, 0);
    check("access: DR6.B1", trap.dr6 & 0xe00f, 2);
    TRY("movl %%eax, 2(%3); 8: nop", "D"(watched + 2));
    expect("access: store that overlaps", VECTOR_DB, 0);
    TRY("movl 4(%3), %%eax; 8: nop", "D"(watched + 2));
    expect_none("access: behind it");
    TRY("movl (%3), %%eax; 8: nop", "D"((word)USER_ADDRESS(watched + 2)));
    expect_none("access: addresses are linear, another mapping does not count");
    stop_watch();
    start_watch(3, (volatile char *)watched + 1, ON_WRITE, LENGTH_1);
    start_watch(2, watched, ON_ACCESS, LENGTH_2);
    TRY("movw %%ax, (%3); 8: nop", "D"(watched));
    expect("two breakpoints at once", VECTOR_DB, 0);
    check("two breakpoints: DR6", trap.dr6 & 0xe00f, 0xc);
    stop_watch();
    TRY("movw %%ax, (%3); 8: nop", "D"(watched));
    expect_none("breakpoints off");
    start_watch(0, watched + 4, ON_WRITE, LENGTH_8);
    TRY("push %%rdi; movl $4, %%ecx; movl $7, %%eax; leaq -16(%3), %%rdi; cld; rep stosq; 8: pop "
        "%%rdi",
        "S"(watched + 4));
    check("rep stosq: #DB", trap.vector, VECTOR_DB);
    check("rep stosq: after the iteration that stored", trap.cx, 1);
    stop_watch();
}

static void instruction_breakpoints(void)
{
    extern char spot[], spot_2[];
    start_watch(0, spot, ON_EXECUTE, LENGTH_1);
    TRY("xorl %%eax, %%eax; nop; .globl spot; 8: spot: incl %%eax; nop");
    expect("execute: fault before the instruction", VECTOR_DB, 0);
    check("execute: DR6.B0", trap.dr6 & 0xe00f, 1);
    check("execute: not executed", trap.ax, 0);
    check("execute: saved RF is clear, the handler sets it", trap.flags & FLAG_RF, 0);
    stop_watch();
    /* resuming with RF set runs it once; the next turn faults again */
    handlers[VECTOR_DB] = step;
    traced = 0;
    start_watch(0, spot_2, ON_EXECUTE, LENGTH_1);
    word count;
    asm volatile("xorl %%eax, %%eax; movl $10, %%ecx; 1: .globl spot_2; spot_2: incl %%eax; decl "
                 "%%ecx; jnz 1b"
                 : "=a"(count)
                 :
                 : "ecx", "cc");
    check("execute: RF set by the handler lets it go on", count, 10);
    check("execute: once per turn", traced, 10);
    handlers[VECTOR_DB] = NULL;
    stop_watch();
}

static void general_detect(void)
{
    write_dr7(DR7_FIXED | DR7_GD);
    TRY("8: movq %%dr0, %%rax");
    expect("GD: access to a debug register faults", VECTOR_DB, 0);
    check("GD: DR6.BD", trap.dr6 & 0xe00f, DR6_BD);
    check("GD: cleared by the fault", read_dr7() & DR7_GD, 0);
    stop_watch();
    check("DR7 bit 10 reads as one", read_dr7(), DR7_FIXED);
    write_dr0(0x123456789abcull);
    check("DR0 keeps 64 bits", read_dr0(), 0x123456789abcull);
    write_dr0(0);
}

#define TRACE(name, count, code, ...) \
    do { \
        traced = 0; \
        handlers[VECTOR_DB] = step; \
        asm volatile("pushf; orl $0x100, (%%rsp); popf; " code \
                     "; pushf; andl $~0x100, (%%rsp); popf" \
                     : \
                     : __VA_ARGS__ \
                     : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc"); \
        handlers[VECTOR_DB] = NULL; \
        check("single step: " name, traced, count + 3); \
    } while (0)

static void single_step(void)
{
    static uint8_t buffer[64];
    word ss = KERNEL_DATA;
    TRACE("five instructions", 5,
          "nop; movl $1, %%eax; addl %%eax, %%eax; push %%rax; pop %%rax", );
    TRACE("jumps and calls", 6, "jmp 1f; nop; 1: call 2f; jmp 3f; 2: nop; ret; 3: nop", );
    TRACE("a loop of three turns", 7, "movl $3, %%ecx; 1: decl %%ecx; jnz 1b", );
    TRACE("rep stosb steps per iteration", 3 + 5,
          "leaq %0, %%rdi; movl $5, %%ecx; xorl %%eax, %%eax; rep stosb", "m"(buffer));
    TRACE("mov to ss holds it one instruction back", 3, "movw %w0, %%ss; nop; nop; nop", "r"(ss));
    TRACE("a memory operand", 2, "movq %0, %%rax; movq %%rax, %0", "m"(buffer));
    TRACE("cpuid", 4, "push %%rbx; xorl %%eax, %%eax; cpuid; pop %%rbx", );
    TRACE("pushf shows TF", 2, "pushf; pop %%rax", );
    check("single step: first saved RIP is behind the next instruction", traced >= 2, true);
    /* int n clears TF; the handler runs at full speed and iret resumes stepping */
    handlers[0x40] = step;
    traced = 0;
    handlers[VECTOR_DB] = step;
    asm volatile(
        "pushf; orl $0x100, (%%rsp); popf; nop; int $0x40; nop; pushf; andl $~0x100, (%%rsp); popf"
        :
        :
        : "memory", "cc");
    handlers[VECTOR_DB] = NULL;
    handlers[0x40] = NULL;
    check("single step: int n is not stepped into", traced, 1 + 1 + 1 + 3);
    write_dr6(DR6_RESET);
}

asm(".text\n user_step: pushf; orl $0x100, (%rsp); popf; nop; user_step_at: nop\n");
extern char user_step[], user_step_at[];

static void user(void)
{
    run_user(user_step);
    expect_user("single step at CPL 3", VECTOR_DB, 0, user_step_at);
    check("single step at CPL 3: DR6.BS", trap.dr6 & 0xe00f, DR6_BS);
    write_dr6(DR6_RESET);
    start_watch(0, USER_ADDRESS(user_step), ON_EXECUTE, LENGTH_1);
    run_user(user_step);
    expect_user("execute breakpoint at CPL 3", VECTOR_DB, 0, user_step);
    stop_watch();
}

void guest_main(void)
{
    check("DR6 after reset", read_dr6(), DR6_RESET);
    check("DR7 after reset", read_dr7(), DR7_FIXED);
    data_breakpoints();
    instruction_breakpoints();
    general_detect();
    single_step();
    user();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode: entry by iret, what IOPL guards, exceptions out of it, and back
 * (SDM vol. 3, chapter 21). */
#include "guest.h"

extern char v86_code[], v86_code_end[];
#define CASE(label) (label - v86_code)
extern char v86_int3[], v86_cli[], v86_sti[], v86_pushf[], v86_popf[], v86_int[], v86_iret[],
    v86_hlt[], v86_in[], v86_math[], v86_mov_cr[], v86_lgdt[], v86_segment[], v86_div[],
    v86_limit[], v86_lar[], v86_math_end[], v86_segment_end[], v86_pushf_end[], v86_int3_end[],
    v86_far[], v86_far_end[], v86_far_target[], v86_ud[], v86_stack[], v86_stack_end[],
    v86_pushf32[];

#define V86_CS 0x1000 /* code is copied to 0x10000 */

asm(".code16\n"
    "v86_code:\n"
    "v86_int3: int3\n v86_int3_end: nop\n"
    "v86_cli: cli\n v86_sti: sti\n"
    "v86_pushf: pushfw; popw %ax; int3\n v86_pushf_end: nop\n"
    "v86_pushf32: .byte 0x66; pushfw; popl %eax; int3; nop\n"
    "v86_popf: popfw\n v86_int: int $0x21\n v86_iret: iretw\n v86_hlt: hlt\n v86_in: inb $0x60, "
    "%al\n"
    "v86_math: movw $0x2000, %ax; movw %ax, %ds; movw 0x10, %bx; addw $1, %bx; movw %bx, 0x12;"
    "  movw %ds, %cx; int3\n v86_math_end: nop\n"
    "v86_mov_cr: movl %cr0, %eax\n v86_lgdt: lgdtw 0\n v86_lar: larw %ax, %bx\n"
    "v86_segment: movw $0x2001, %ax; movw %ax, %es; movw %es:0, %bx; movw $0xffff, %si;"
    "  movb %es:(%si), %dl; int3\n v86_segment_end: nop\n"
    "v86_div: divb %dh\n v86_limit: movw 0xffff, %ax\n v86_ud: ud2\n"
    "v86_far: lcall $0x1100, $v86_far_target - v86_code - 0x1000; int3\n v86_far_end: nop\n"
    "v86_stack: pushw $0x1234; popw %bx; pushaw; popaw; int3\n v86_stack_end: nop\n"
    ".balign 4096\n v86_far_target: movw %cs, %cx; lretw\n"
    "v86_code_end:\n.code32\n");

static struct {
    word sp, flags;
} start = { 0x1000, 0 };
static word v86_flags_saved, v86_ds_saved, v86_es_saved;

/* iret with VM set pops nine words (SDM vol. 2, IRET). The handler must not return to it. */
static void enter(const char *label, word flags, word dx)
{
    extern uint32_t tss[];
    (void)tss;
    memset(&trap, 0, sizeof(trap));
    asm volatile(
        "push %%ebp\n\tmovl $1f, resume_ip\n\tmovl %%esp, resume_sp\n\tmovl %%esp, tss + 4\n\t"
        "push $0; push $0; push $0x2000; push $0x2000; push $0x3000; push %[sp]; push %[flags];"
        "push $0x1000; push %[ip]; xorl %%eax, %%eax; xorl %%ebx, %%ebx; iret\n"
        "1: pop %%ebp"
        : "+d"(dx)
        : [sp] "S"(start.sp), [flags] "c"(flags | FLAG_VM | 2), [ip] "D"(CASE(label))
        : "eax", "ebx", "memory", "cc");
    v86_flags_saved = trap.flags;
}

static void expect_v86(const char *name, unsigned vector, unsigned error, const char *label)
{
    check(name, (uint64_t)trap.vector << 32 | trap.error << 16 | trap.ip,
          (uint64_t)vector << 32 | error << 16 | CASE(label));
}

/* Which data segments the processor saved and cleared on the way out of V86 mode. */
static void note_segments(struct frame *frame)
{
    v86_ds_saved = frame->ds;
    v86_es_saved = frame->es;
    handlers[VECTOR_BP] = NULL;
    void trap_handler(struct frame *);
    trap_handler(frame);
}

static void sensitive(word iopl)
{
    static const struct {
        const char *name;
        const char *label;
    } cases[] = { { "cli", v86_cli },
                  { "sti", v86_sti },
                  { "pushf", v86_pushf },
                  { "popf", v86_popf },
                  { "iret", v86_iret } };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enter(cases[i].label, iopl, 0);
        if (!iopl)
            expect_v86(cases[i].name, VECTOR_GP, 0, cases[i].label);
        else
            check(cases[i].name, trap.ip == (word)CASE(cases[i].label) && trap.vector == VECTOR_GP,
                  false);
    }
    enter(v86_int, iopl, 0);
    if (!iopl)
        expect_v86("int n with IOPL 0", VECTOR_GP, 0, v86_int);
    else
        expect_v86("int n with IOPL 3: gate with DPL 0", VECTOR_GP, 0x21 << 3 | 2, v86_int);
}

void guest_main(void)
{
    uint8_t *low = (uint8_t *)(V86_CS * 16);
    memcpy(low, v86_code, v86_code_end - v86_code);
    store32((void *)0x20010, 41);
    store32((void *)0x20000, 0);
    /* what iret with IOPL 3 pops: back to the int3 at offset 0 */
    store32((void *)0x31000, V86_CS << 16 | CASE(v86_int3));
    store32((void *)0x31004, FLAG_IOPL | 2);
    handlers[VECTOR_BP] = note_segments;
    enter(v86_int3, 0, 0);
    expect_v86("int3 leaves V86 mode", VECTOR_BP, 0, v86_int3_end);
    check("saved flags have VM", v86_flags_saved & FLAG_VM, FLAG_VM);
    check("saved cs", trap.cs & 0xffff, V86_CS);
    check("saved ss:sp", (trap.ss & 0xffff) << 16 | trap.sp, 0x30001000);
    check("saved ds, es", v86_ds_saved << 16 | v86_es_saved, 0x20002000);
    sensitive(0);
    sensitive(FLAG_IOPL);
    enter(v86_hlt, FLAG_IOPL, 0);
    expect_v86("hlt", VECTOR_GP, 0, v86_hlt);
    enter(v86_in, FLAG_IOPL, 0);
    expect_v86("in asks the I/O map even with IOPL 3", VECTOR_GP, 0, v86_in);
    enter(v86_mov_cr, 0, 0);
    expect_v86("mov from cr0", VECTOR_GP, 0, v86_mov_cr);
    enter(v86_lgdt, 0, 0);
    expect_v86("lgdt", VECTOR_GP, 0, v86_lgdt);
    enter(v86_lar, 0, 0);
    expect_v86("lar", VECTOR_UD, 0, v86_lar);
    enter(v86_ud, 0, 0);
    expect_v86("ud2", VECTOR_UD, 0, v86_ud);
    enter(v86_div, 0, 0);
    expect_v86("div by zero", VECTOR_DE, 0, v86_div);
    enter(v86_limit, 0, 0);
    expect_v86("word at offset 0xffff", VECTOR_GP, 0, v86_limit);
    enter(v86_math, 0, 0);
    expect_v86("segment arithmetic", VECTOR_BP, 0, v86_math_end);
    check("load and store at 0x20010", (trap.bx & 0xffff) << 16 | (load32((void *)0x20010) >> 16),
          42 << 16 | 42);
    check("mov from ds", trap.cx & 0xffff, 0x2000);
    enter(v86_segment, 0, 0);
    expect_v86("es override", VECTOR_BP, 0, v86_segment_end);
    check("es:0 at 0x20010", trap.bx & 0xffff, 41);
    enter(v86_far, 0, 0);
    expect_v86("far call and return", VECTOR_BP, 0, v86_far_end);
    check("far call: cs", trap.cx & 0xffff, 0x1100);
    enter(v86_stack, 0, 0);
    expect_v86("push, pop, pusha, popa", VECTOR_BP, 0, v86_stack_end);
    check("pop", trap.bx & 0xffff, 0x1234);
    enter(v86_pushf, FLAG_IOPL, 0);
    expect_v86("pushf with IOPL 3", VECTOR_BP, 0, v86_pushf_end);
    check("pushf with IOPL 3 shows IOPL", trap.ax & FLAG_IOPL, FLAG_IOPL);
}

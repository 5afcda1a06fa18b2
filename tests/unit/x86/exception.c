/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delivery of events: frames, stacks, error codes, double and triple faults in each mode. */
#include "setup.h"

#define FLAGS_KEPT (FLAG_FIXED | FLAG_CF)

static void check_frame(struct fake *f, const char *name, uint64_t sp, unsigned size,
                        const uint64_t *expected, unsigned count)
{
    bool same = f->cpu.regs[RSP] == sp;

    for (unsigned n = 0; n < count; n++)
        same = same && peek(f, sp + n * size, size) == expected[n];
    if (tap_ok(same, "%s: frame", name))
        return;
    tap_note("sp 0x%" G_GINT64_MODIFIER "x, expected 0x%" G_GINT64_MODIFIER "x", f->cpu.regs[RSP],
             sp);
    for (unsigned n = 0; n < count; n++)
        tap_note("[%u] 0x%" G_GINT64_MODIFIER "x, expected 0x%" G_GINT64_MODIFIER "x", n,
                 peek(f, sp + n * size, size), expected[n]);
}
#define FRAME(f, name, sp, size, ...) \
    do { \
        const uint64_t expected_[] = { __VA_ARGS__ }; \
        check_frame(f, name, sp, size, expected_, G_N_ELEMENTS(expected_)); \
    } while (0)

static void check_real(void)
{
    struct fake *f = fake_new("max");

    f->cpu.idt.limit = 0x3ff;
    poke(f, 0x10 * 4, 0x12345678, 4);
    f->cpu.seg[SEG_SS].base = 0x1000;
    f->cpu.seg[SEG_SS].selector = 0x100;
    f->cpu.regs[RSP] = 0xabcd0100;
    f->cpu.rflags |= FLAG_IF | FLAG_TF;
    f->cpu.rip = 0x1234;
    fake_deliver(f, 0x10, X86_EVENT_SOFT_INT, false, 0);
    tap_ok(f->cpu.rip == 0x5678 && f->cpu.seg[SEG_CS].selector == 0x1234
               && f->cpu.seg[SEG_CS].base == 0x12340,
           "real mode: the vector's handler is entered");
    tap_ok(f->cpu.regs[RSP] == 0xabcd00fa && peek(f, 0x10fa, 6) == 0x0302f0001236ull,
           "real mode: 16-bit frame, upper half of ESP untouched");
    tap_ok(!(f->cpu.rflags & (FLAG_IF | FLAG_TF)), "real mode: IF and TF are cleared");
    f->cpu.idt.limit = 0;
    tap_ok(fake_deliver(f, 0x10, X86_EVENT_SOFT_INT, false, 0) == X86_DELIVERY_TRIPLE_FAULT,
           "real mode: no vector table is a triple fault");
    fake_free(f);
}

static void check_protected(void)
{
    struct fake *f = setup_protected(0);

    f->cpu.rflags |= FLAG_CF | FLAG_IF;
    fake_deliver(f, VECTOR_GP, X86_EVENT_EXCEPTION, true, 0x18);
    FRAME(f, "same ring, 32-bit", KERNEL_STACK - 0x1000 - 16, 4, 0x18, CODE, SEL_CODE32,
          FLAGS_KEPT | FLAG_IF | FLAG_RF);
    tap_ok(f->cpu.rip == HANDLER + VECTOR_GP * 16 && !(f->cpu.rflags & FLAG_IF),
           "same ring: interrupt gate clears IF");
    fake_free(f);

    f = setup_protected(3);
    f->cpu.rflags |= FLAG_CF;
    fake_deliver(f, 0x20, X86_EVENT_INTERRUPT, false, 0);
    FRAME(f, "inner ring, 32-bit", KERNEL_STACK - 20, 4, CODE, SEL_USER_CODE32, FLAGS_KEPT,
          USER_STACK, SEL_USER_DATA);
    tap_ok(f->cpu.cpl == 0 && f->cpu.seg[SEG_SS].selector == SEL_DATA, "inner ring: SS from TSS");
    fake_free(f);

    f = setup_protected(3);
    fake_deliver(f, 0x30, X86_EVENT_SOFT_INT, false, 0);
    FRAME(f, "int n through a ring 0 gate is #GP", KERNEL_STACK - 24, 4, 0x30 * 8 + 2, CODE,
          SEL_USER_CODE32, FLAG_FIXED | FLAG_RF, USER_STACK, SEL_USER_DATA);
    fake_free(f);

    f = setup_protected(3);
    poke(f, IDT + 0x80 * 8, gate(SEL_CODE32, 0xffff1234, 0xe7), 8); /* 16-bit trap gate */
    f->cpu.rflags |= FLAG_IF;
    fake_deliver(f, 0x80, X86_EVENT_SOFT_INT, false, 0);
    FRAME(f, "16-bit gate", KERNEL_STACK - 10, 2, CODE + 2 - 0x40000, SEL_USER_CODE32,
          FLAG_FIXED | FLAG_IF, USER_STACK & 0xffff, SEL_USER_DATA);
    tap_ok(f->cpu.rip == 0x1234 && (f->cpu.rflags & FLAG_IF), "16-bit trap gate keeps IF");
    fake_free(f);
}

static void check_v86(void)
{
    static const uint8_t all[] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    struct fake *f = setup_protected(3);

    f->cpu.rflags |= FLAG_VM | FLAG_IOPL;
    for (unsigned n = 0; n < 6; n++)
        f->cpu.seg[all[n]] = (struct x86_segment){
            .base = 0x10000u * n, .limit = 0xffff, .attr = 0xf3, .selector = 0x1000u * n
        };
    f->cpu.regs[RSP] = 0x800;
    f->cpu.rip = 0x10;
    fake_deliver(f, 0x80, X86_EVENT_SOFT_INT, false, 0);
    FRAME(f, "out of virtual-8086 mode", KERNEL_STACK - 36, 4, 0x12, 0x1000,
          FLAG_FIXED | FLAG_VM | FLAG_IOPL, 0x800, 0x2000, 0, 0x3000, 0x4000, 0x5000);
    tap_ok(!(f->cpu.rflags & FLAG_VM) && f->cpu.cpl == 0
               && (f->cpu.seg[SEG_DS].attr & SEG_ATTR_UNUSABLE),
           "V86: data segments are null");
    tap_ok(fake_run(f, "cf") == NO_FAULT && (f->cpu.rflags & FLAG_VM) && f->cpu.rip == 0x12
               && f->cpu.seg[SEG_GS].base == 0x50000 && f->cpu.regs[RSP] == 0x800
               && f->cpu.cpl == 3,
           "V86: IRET goes back");
    f->cpu.rflags &= ~(uint64_t)FLAG_IOPL;
    tap_ok(fake_run(f, "cd 80") == VECTOR_GP, "V86: int n needs IOPL 3");
    f->cpu.cr4 |= CR4_VME;
    poke(f, 0x80 * 4, 0x20000099, 4);
    f->cpu.rflags |= FLAG_VIF;
    tap_ok(fake_run(f, "cd 80") == NO_FAULT && f->cpu.rip == 0x99
               && f->cpu.seg[SEG_CS].base == 0x20000 && !(f->cpu.rflags & FLAG_VIF)
               && peek(f, 0x20000 + 0x7fe, 2) == (FLAG_FIXED | FLAG_IF | FLAG_IOPL),
           "VME: int n is redirected, VIF shown as IF");
    fake_free(f);
}

static void check_long(void)
{
    struct fake *f = setup_long(3);

    f->cpu.cr2 = 0;
    f->cpu.fault_addr = 0xdead000;
    f->cpu.fault_vector = VECTOR_PF;
    f->cpu.fault_has_error = true;
    f->cpu.fault_error = 6;
    tap_ok(x86_deliver_fault(&f->cpu) == X86_DELIVERED && f->cpu.cr2 == 0xdead000, "#PF sets CR2");
    FRAME(f, "long mode, inner ring", KERNEL_STACK - 48, 8, 6, CODE, SEL_USER_CODE64,
          FLAG_FIXED | FLAG_RF, USER_STACK, SEL_USER_DATA);
    tap_ok(f->cpu.cpl == 0 && f->cpu.seg[SEG_SS].selector == 0
               && f->cpu.rip == HANDLER + VECTOR_PF * 16,
           "long mode: SS is null");
    f->cpu.regs[RSP] += 8;
    tap_ok(fake_run(f, "48 cf") == NO_FAULT && f->cpu.cpl == 3 && f->cpu.rip == CODE
               && f->cpu.regs[RSP] == USER_STACK && f->cpu.seg[SEG_SS].selector == SEL_USER_DATA,
           "IRETQ goes back");
    fake_free(f);

    f = setup_long(0);
    f->cpu.regs[RSP] = KERNEL_STACK - 3; /* aligned down */
    fake_deliver(f, VECTOR_BP, X86_EVENT_SOFT_EXCEPTION, false, 0);
    FRAME(f, "long mode, same ring", KERNEL_STACK - 16 - 40, 8, CODE + 2, SEL_CODE64, FLAG_FIXED,
          KERNEL_STACK - 3, SEL_DATA);
    fake_free(f);

    f = setup_long(0);
    poke(f, IDT + VECTOR_NMI * 16 + 4, 1, 1); /* IST 1 */
    fake_deliver(f, VECTOR_NMI, X86_EVENT_NMI, false, 0);
    FRAME(f, "IST", IST_STACK - 40, 8, CODE, SEL_CODE64, FLAG_FIXED, KERNEL_STACK - 0x1000,
          SEL_DATA);
    tap_ok(f->cpu.nmi_blocked, "NMI blocks NMI");
    fake_run(f, "48 cf");
    tap_ok(!f->cpu.nmi_blocked, "until IRET");
    fake_free(f);
}

static void check_double_faults(void)
{
    struct fake *f = setup_long(3);

    poke(f, IDT + VECTOR_GP * 16 + 5, 0x0e, 1); /* not present: #NP while delivering #GP */
    fake_deliver(f, VECTOR_GP, X86_EVENT_EXCEPTION, true, 0);
    tap_ok(f->cpu.rip == HANDLER + VECTOR_DF * 16 && peek(f, f->cpu.regs[RSP], 8) == 0,
           "#GP then #NP is a double fault");
    fake_free(f);

    f = setup_long(3);
    poke(f, IDT + VECTOR_UD * 16 + 5, 0x0e, 1);
    fake_deliver(f, VECTOR_UD, X86_EVENT_EXCEPTION, false, 0);
    tap_ok(f->cpu.rip == HANDLER + VECTOR_NP * 16
               && peek(f, f->cpu.regs[RSP], 8) == VECTOR_UD * 8 + 3,
           "#UD then #NP is an #NP, with EXT");
    tap_ok(f->cpu.delivering == X86_DELIVERING_NOTHING, "and nothing is left under way");
    fake_free(f);

    f = setup_long(3);
    poke(f, TSS + 4, 0x40000000000, 8); /* stack not mapped: #PF while delivering #PF, then #DF */
    tap_ok(fake_deliver(f, VECTOR_PF, X86_EVENT_EXCEPTION, true, 0) == X86_DELIVERY_TRIPLE_FAULT,
           "no stack at all is a triple fault");
    tap_ok(f->cpu.cpl == 3 && f->cpu.rip == CODE, "which leaves the state as it was");
    fake_free(f);

    f = setup_long(3);
    poke(f, TSS + 4, 0x40000000000, 8);
    poke(f, IDT + VECTOR_DF * 16 + 4, 1, 1);
    fake_deliver(f, VECTOR_PF, X86_EVENT_EXCEPTION, true, 0);
    tap_ok(f->cpu.rip == HANDLER + VECTOR_DF * 16 && f->cpu.cr2 == 0x40000000000 - 8,
           "#DF on its own stack is delivered");
    fake_free(f);

    f = setup_long(0);
    f->cpu.idt.limit = 0;
    tap_ok(fake_deliver(f, VECTOR_BP, X86_EVENT_SOFT_EXCEPTION, false, 0)
               == X86_DELIVERY_TRIPLE_FAULT,
           "no IDT is a triple fault");
    fake_free(f);
}

static void check_debug(void)
{
    struct fake *f = setup_long(0);

    f->cpu.dr[0] = 0x1002;
    f->cpu.dr[7] = 0x400 | 1 | 1 << 16 | 3 << 18; /* DR0: write, four bytes, so from 0x1000 */
    tap_ok(x86_breakpoints(&f->cpu, 0x1003, 1, X86_WATCH_WRITE) == 1
               && x86_breakpoints(&f->cpu, 0x1004, 1, X86_WATCH_WRITE) == 0
               && x86_breakpoints(&f->cpu, 0xffd, 8, X86_WATCH_WRITE) == 1
               && x86_breakpoints(&f->cpu, 0x1000, 1, X86_WATCH_READ) == 0,
           "breakpoint ranges");
    fake_run(f, "88 04 25 02 10 00 00"); /* mov [0x1002], al */
    tap_ok(f->cpu.debug_pending == 1, "a write is noticed");
    f->cpu.rflags |= FLAG_TF;
    x86_deliver_debug_trap(&f->cpu, f->cpu.debug_pending | DR6_BS);
    tap_ok(f->cpu.dr[6] == (DR6_FIXED | DR6_BS | 1) && !(f->cpu.rflags & FLAG_TF)
               && peek(f, f->cpu.regs[RSP] + 16, 8) == (FLAG_FIXED | FLAG_TF),
           "#DB reports it");
    f->cpu.dr[7] |= 1 << 13;
    tap_ok(fake_run(f, "0f 21 c0") == VECTOR_DB && f->cpu.fault_dr6 == DR6_BD,
           "general detect stops MOV from DR0");
    fake_free(f);
}

int main(void)
{
    check_real();
    check_protected();
    check_v86();
    check_long();
    check_double_faults();
    check_debug();
    return tap_done();
}

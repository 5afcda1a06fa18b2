/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far transfers, segment loads, task switches, fast system calls. */
#include "setup.h"

/* One instruction in ring 0 of protected mode: the fault and its error code, or NO_FAULT. AX holds
 * `ax`. */
static const struct {
    const char *name, *bytes;
    unsigned ring;
    uint64_t ax;
    int vector;
    uint32_t error;
} protected_rows[] = {
    { "mov ds, data", "8e d8", 0, SEL_DATA, NO_FAULT, 0 },
    { "mov ds, null", "8e d8", 0, 3, NO_FAULT, 0 },
    { "mov ds, beyond the GDT", "8e d8", 0, 0x100, VECTOR_GP, 0x100 },
    { "mov ds, TSS", "8e d8", 0, SEL_TSS, VECTOR_GP, SEL_TSS },
    { "mov ds, execute-only", "8e d8", 0, SEL_EXEC_ONLY, VECTOR_GP, SEL_EXEC_ONLY },
    { "mov ds, readable code", "8e d8", 0, SEL_CODE32, NO_FAULT, 0 },
    { "mov ds, absent", "8e d8", 0, SEL_ABSENT, VECTOR_NP, SEL_ABSENT },
    { "mov ds, LDT that is not there", "8e d8", 0, 4, VECTOR_GP, 4 },
    { "mov ds, ring 0 data from ring 3", "8e d8", 3, SEL_DATA, VECTOR_GP, SEL_DATA },
    { "mov ds, conforming code from ring 3", "8e d8", 3, SEL_CONFORMING, NO_FAULT, 0 },
    { "mov ss, null", "8e d0", 0, 0, VECTOR_GP, 0 },
    { "mov ss, data", "8e d0", 0, SEL_DATA, NO_FAULT, 0 },
    { "mov ss, read-only", "8e d0", 0, SEL_READONLY, VECTOR_GP, SEL_READONLY },
    { "mov ss, wrong RPL", "8e d0", 0, SEL_DATA | 1, VECTOR_GP, SEL_DATA },
    { "ltr in ring 3", "0f 00 d8", 3, SEL_TSS, VECTOR_GP, 0 },
    { "ltr of data", "0f 00 d8", 0, SEL_DATA, VECTOR_GP, SEL_DATA },
    { "ltr", "0f 00 d8", 0, SEL_TSS, NO_FAULT, 0 },
    { "lldt null", "0f 00 d0", 0, 0, NO_FAULT, 0 },
    { "lldt of a TSS", "0f 00 d0", 0, SEL_TSS, VECTOR_GP, SEL_TSS },
    { "lldt", "0f 00 d0", 0, SEL_LDT, NO_FAULT, 0 },
    { "far jump to null", "ea 00 00 04 00 00 00", 0, 0, VECTOR_GP, 0 },
    { "far jump to data", "ea 00 00 04 00 10 00", 0, 0, VECTOR_GP, SEL_DATA },
    { "far jump to ring 3 code", "ea 00 00 04 00 18 00", 0, 0, VECTOR_GP, 0x18 },
    { "far jump to absent code", "ea 00 00 04 00 60 00", 0, 0, VECTOR_NP, SEL_ABSENT },
    { "far jump beyond the limit", "ea 00 00 04 00 68 00", 0, 0, VECTOR_GP, 0 },
    { "far jump", "ea 00 00 04 00 08 00", 0, 0, NO_FAULT, 0 },
    { "cli in ring 3", "fa", 3, 0, VECTOR_GP, 0 },
    { "hlt in ring 3", "f4", 3, 0, VECTOR_GP, 0 },
    { "into without overflow", "ce", 0, 0, NO_FAULT, 0 },
    { "sysenter without a segment", "0f 34", 0, 0, VECTOR_GP, 0 },
    { "clac in ring 3", "0f 01 ca", 3, 0, VECTOR_UD, 0 },
};

static void check_protected_rows(void)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(protected_rows); n++) {
        struct fake *f = setup_protected(protected_rows[n].ring);
        struct x86_cpu before;
        int vector;

        poke(f, GDT + SEL_TSS + 5, 0x89, 1);
        f->cpu.regs[RAX] = protected_rows[n].ax;
        before = f->cpu;
        vector = fake_run(f, protected_rows[n].bytes);
        if (!tap_ok(vector == protected_rows[n].vector
                        && (vector == NO_FAULT || f->cpu.fault_error == protected_rows[n].error),
                    "%s", protected_rows[n].name))
            tap_note("vector %d, error 0x%x", vector, f->cpu.fault_error);
        if (vector != NO_FAULT)
            tap_ok(!memcmp(before.seg, f->cpu.seg, sizeof(before.seg))
                       && !memcmp(before.regs, f->cpu.regs, sizeof(before.regs))
                       && before.rip == f->cpu.rip,
                   "%s: nothing changed", protected_rows[n].name);
        fake_free(f);
    }
}

static void check_call_gates(void)
{
    struct fake *f = setup_protected(3);

    poke(f, GDT + SEL_GATE, gate(SEL_CODE32, 0x12340, 0xec) | 2ull << 32, 8); /* two parameters */
    poke(f, USER_STACK - 8, 0x2222222211111111, 8);
    f->cpu.regs[RSP] = USER_STACK - 8;
    tap_ok(fake_run(f, "9a 00 00 00 00 53 00") == NO_FAULT && f->cpu.cpl == 0
               && f->cpu.rip == 0x12340 && f->cpu.regs[RSP] == KERNEL_STACK - 24,
           "call gate into ring 0");
    tap_ok(peek(f, KERNEL_STACK - 24, 4) == CODE + 7
               && peek(f, KERNEL_STACK - 20, 4) == SEL_USER_CODE32
               && peek(f, KERNEL_STACK - 16, 4) == 0x11111111
               && peek(f, KERNEL_STACK - 12, 4) == 0x22222222
               && peek(f, KERNEL_STACK - 8, 4) == USER_STACK - 8
               && peek(f, KERNEL_STACK - 4, 4) == SEL_USER_DATA,
           "frame with parameters");
    tap_ok(fake_run(f, "ca 08 00") == NO_FAULT && f->cpu.cpl == 3 && f->cpu.regs[RSP] == USER_STACK
               && f->cpu.rip == CODE + 7 && f->cpu.seg[SEG_SS].selector == SEL_USER_DATA,
           "RET with release goes back");
    tap_ok(fake_run(f, "ea 00 00 00 00 53 00") == VECTOR_GP && f->cpu.fault_error == SEL_CODE32,
           "a jump through the gate does not change rings");
    fake_free(f);

    f = setup_long(3);
    poke(f, GDT + SEL_GATE, gate(SEL_CODE64, 0x12340, 0xec), 8);
    poke(f, CODE + 0x104, 0x53, 2);
    tap_ok(fake_run(f, "ff 1c 25 00 01 04 00") == NO_FAULT && f->cpu.cpl == 0
               && f->cpu.rip == 0x12340 && f->cpu.regs[RSP] == KERNEL_STACK - 32
               && peek(f, KERNEL_STACK - 8, 8) == SEL_USER_DATA
               && peek(f, KERNEL_STACK - 16, 8) == USER_STACK,
           "64-bit call gate");
    tap_ok(fake_run(f, "48 cb") == NO_FAULT && f->cpu.cpl == 3 && f->cpu.rip == CODE + 7,
           "64-bit far return");
    fake_free(f);
}

static void check_outer_return(void)
{
    struct fake *f = setup_protected(0);
    uint64_t sp = KERNEL_STACK - 0x100;

    f->cpu.regs[RSP] = sp;
    poke(f, sp, 0x1234, 4);
    poke(f, sp + 4, SEL_USER_CODE32, 4);
    poke(f, sp + 8, FLAG_FIXED | FLAG_IF | FLAG_IOPL | FLAG_VIP, 4);
    poke(f, sp + 12, USER_STACK, 4);
    poke(f, sp + 16, SEL_USER_DATA, 4);
    tap_ok(fake_run(f, "cf") == NO_FAULT && f->cpu.cpl == 3 && f->cpu.rip == 0x1234
               && f->cpu.regs[RSP] == USER_STACK,
           "IRET to ring 3");
    tap_ok((f->cpu.seg[SEG_DS].attr & SEG_ATTR_UNUSABLE) && f->cpu.seg[SEG_DS].selector == 0,
           "ring 0 data segments are dropped");
    tap_ok(f->cpu.rflags == (FLAG_FIXED | FLAG_IF | FLAG_IOPL | FLAG_VIP), "all flags loaded");
    fake_free(f);

    f = setup_protected(0);
    f->cpu.regs[RSP] = sp;
    poke(f, sp, 0x1234, 4);
    poke(f, sp + 4, SEL_USER_CODE32, 4);
    poke(f, sp + 16, SEL_DATA, 4); /* SS of the wrong ring */
    tap_ok(fake_run(f, "cf") == VECTOR_GP && f->cpu.fault_error == SEL_DATA && f->cpu.cpl == 0
               && f->cpu.regs[RSP] == sp,
           "IRET with a bad SS changes nothing");
    fake_free(f);

    f = setup_long(0);
    f->cpu.regs[RSP] = sp;
    poke(f, sp, 0x800000000000ull, 8);
    poke(f, sp + 8, SEL_CODE64, 8);
    tap_ok(fake_run(f, "48 cf") == VECTOR_GP && f->cpu.fault_error == 0,
           "IRETQ to a non-canonical address is #GP(0)");
    f->cpu.rflags |= FLAG_NT;
    tap_ok(fake_run(f, "48 cf") == VECTOR_GP, "IRETQ with NT is #GP");
    fake_free(f);
}

static void check_tasks(void)
{
    struct fake *f = setup_protected(0);

    poke(f, TSS2 + 0x20, 0x7000, 4); /* EIP */
    poke(f, TSS2 + 0x24, FLAG_FIXED | FLAG_ZF, 4);
    poke(f, TSS2 + 0x28, 0xaaaa, 4);     /* EAX */
    poke(f, TSS2 + 0x38, USER_STACK, 4); /* ESP */
    poke(f, TSS2 + 0x4c, SEL_USER_CODE32, 2);
    poke(f, TSS2 + 0x50, SEL_USER_DATA, 2);
    poke(f, TSS2 + 0x54, SEL_USER_DATA, 2);
    f->cpu.regs[RBX] = 0xb0b;
    tap_ok(fake_run(f, "9a 00 00 00 00 48 00") == NO_FAULT && f->cpu.rip == 0x7000
               && f->cpu.regs[RAX] == 0xaaaa && f->cpu.cpl == 3 && f->cpu.tr.selector == SEL_TSS2,
           "far call to a TSS switches tasks");
    tap_ok((f->cpu.rflags & FLAG_NT) && (f->cpu.rflags & FLAG_ZF) && (f->cpu.cr0 & CR0_TS)
               && peek(f, TSS2, 2) == SEL_TSS,
           "nested: NT, back link, TS");
    tap_ok(peek(f, TSS + 0x34, 4) == 0xb0b && peek(f, TSS + 0x20, 4) == CODE + 7
               && peek(f, GDT + SEL_TSS2 + 5, 1) == 0x8b,
           "old task saved, new TSS busy");
    poke(f, GDT + SEL_TSS + 5, 0x8b, 1);
    tap_ok(fake_run(f, "cf") == NO_FAULT && f->cpu.rip == CODE + 7 && f->cpu.regs[RBX] == 0xb0b
               && f->cpu.cpl == 0 && f->cpu.tr.selector == SEL_TSS,
           "IRET returns to it");
    tap_ok(!(peek(f, TSS2 + 0x24, 4) & FLAG_NT) && peek(f, GDT + SEL_TSS2 + 5, 1) == 0x89,
           "and leaves the other available");

    poke(f, IDT + VECTOR_DF * 8, gate(SEL_TSS2, 0, 0x85), 8);
    fake_deliver(f, VECTOR_DF, X86_EVENT_EXCEPTION, true, 0x77);
    tap_ok(f->cpu.tr.selector == SEL_TSS2 && f->cpu.rip == 0x7000 + 1, "task gate");
    tap_ok(peek(f, f->cpu.regs[RSP], 4) == 0x77, "error code on the new task's stack");
    fake_free(f);

    f = setup_protected(0);
    poke(f, TSS2 + 0x20, 0x7000, 4);
    poke(f, TSS2 + 0x4c, SEL_DATA, 2); /* CS is not code */
    tap_ok(fake_run(f, "ea 00 00 00 00 48 00") == VECTOR_TS && f->cpu.fault_error == SEL_DATA
               && f->cpu.rip == 0x7000,
           "a bad CS is #TS in the new task");
    fake_free(f);

    f = setup_protected(0);
    poke(f, GDT + SEL_TSS2, descriptor(TSS2, 0x66, 0x89), 8);
    tap_ok(fake_run(f, "ea 00 00 00 00 48 00") == VECTOR_TS && f->cpu.fault_error == SEL_TSS2
               && f->cpu.rip == CODE,
           "a short TSS is #TS in the old");
    fake_free(f);
}

static void check_system_calls(void)
{
    struct fake *f = setup_long(3);

    f->cpu.star = (uint64_t)(SEL_USER_CODE32) << 48 | (uint64_t)SEL_CODE64 << 32;
    f->cpu.lstar = 0x123456;
    f->cpu.sfmask = FLAG_IF | FLAG_TF;
    f->cpu.rflags |= FLAG_IF | FLAG_CF | FLAG_RF;
    tap_ok(fake_run(f, "0f 05") == NO_FAULT && f->cpu.rip == 0x123456
               && f->cpu.regs[RCX] == CODE + 2
               && f->cpu.regs[R11] == (FLAG_FIXED | FLAG_IF | FLAG_CF)
               && f->cpu.rflags == (FLAG_FIXED | FLAG_CF) && f->cpu.cpl == 0,
           "SYSCALL");
    tap_ok(fake_run(f, "48 0f 07") == NO_FAULT && f->cpu.rip == CODE + 2 && f->cpu.cpl == 3
               && f->cpu.seg[SEG_CS].selector == 0x2b && f->cpu.seg[SEG_SS].selector == 0x23
               && f->cpu.rflags == (FLAG_FIXED | FLAG_IF | FLAG_CF),
           "SYSRET");
    tap_ok(fake_run(f, "48 0f 07") == VECTOR_GP, "SYSRET in ring 3 is #GP");
    f->cpu.efer &= ~(uint64_t)EFER_SCE;
    tap_ok(fake_run(f, "0f 05") == VECTOR_UD, "SYSCALL is #UD unless enabled");
    fake_free(f);

    f = setup_protected(3);
    f->cpu.sysenter_cs = SEL_CODE32;
    f->cpu.sysenter_eip = 0x4321;
    f->cpu.sysenter_esp = KERNEL_STACK;
    f->cpu.rflags |= FLAG_IF;
    tap_ok(fake_run(f, "0f 34") == NO_FAULT && f->cpu.rip == 0x4321 && f->cpu.cpl == 0
               && f->cpu.regs[RSP] == KERNEL_STACK && !(f->cpu.rflags & FLAG_IF),
           "SYSENTER");
    f->cpu.regs[RDX] = 0x99;
    f->cpu.regs[RCX] = USER_STACK;
    tap_ok(fake_run(f, "0f 35") == NO_FAULT && f->cpu.rip == 0x99 && f->cpu.cpl == 3
               && f->cpu.seg[SEG_CS].selector == (SEL_USER_CODE32 | 3),
           "SYSEXIT");
    fake_free(f);
}

static void check_real(void)
{
    struct fake *f = fake_new("max");

    f->cpu.seg[SEG_CS].base = 0x1000;
    tap_ok(fake_run(f, "ea 34 12 00 20") == NO_FAULT && f->cpu.rip == 0x1234
               && f->cpu.seg[SEG_CS].base == 0x20000,
           "real-mode far jump");
    f->cpu.seg[SEG_DS].limit = 0xffffffffu; /* as protected mode left it */
    f->cpu.regs[RAX] = 0x3000;
    tap_ok(fake_run(f, "8e d8") == NO_FAULT && f->cpu.seg[SEG_DS].base == 0x30000
               && f->cpu.seg[SEG_DS].limit == 0xffffffffu,
           "unreal mode keeps limits");
    f->cpu.regs[RSP] = 0x100;
    tap_ok(fake_run(f, "9a 00 10 00 40") == NO_FAULT && f->cpu.regs[RSP] == 0xfc
               && peek(f, 0xfc, 4) == 0x2000123b,
           "real-mode far call");
    tap_ok(fake_run(f, "cb") == NO_FAULT && f->cpu.seg[SEG_CS].base == 0x20000, "and return");
    fake_free(f);
}

int main(void)
{
    check_protected_rows();
    check_call_gates();
    check_outer_return();
    check_tasks();
    check_system_calls();
    check_real();
    return tap_done();
}

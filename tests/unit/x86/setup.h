/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A usual operating system's tables in a fake machine: GDT, IDT, TSS, identity paging; and the
 * processor put into protected or long mode with them. */
#ifndef YADO_TESTS_X86_SETUP_H
#define YADO_TESTS_X86_SETUP_H

#include "fake.h"

enum {
    GDT = 0x10000,
    IDT = 0x11000,
    TSS = 0x12000,
    TSS2 = 0x13000,
    PML4 = 0x14000,
    LDT = 0x16000,
    KERNEL_STACK = 0x20000,
    IST_STACK = 0x28000,
    USER_STACK = 0x30000,
    CODE = 0x40000,
    HANDLER = 0x50000,
};
enum {
    SEL_CODE32 = 0x08,
    SEL_DATA = 0x10,
    SEL_USER_CODE32 = 0x18 | 3,
    SEL_USER_DATA = 0x20 | 3,
    SEL_CODE64 = 0x28,
    SEL_USER_CODE64 = 0x30 | 3,
    SEL_TSS = 0x38,
    SEL_TSS2 = 0x48,
    SEL_GATE = 0x50,
    SEL_ABSENT = 0x60,
    SEL_CODE16 = 0x68,
    SEL_READONLY = 0x70,
    SEL_LDT = 0x78,
    SEL_CONFORMING = 0x88,
    SEL_TASK_GATE = 0x90,
    SEL_EXEC_ONLY = 0x98,
    SEL_END = 0xa0,
};
#define ATTR_CODE32 0xc09bu
#define ATTR_DATA 0xc093u
#define ATTR_CODE64 0xa09bu
#define ATTR_DPL3 0x60u

static void setup_tables(struct fake *f, bool wide)
{
    static const struct {
        uint16_t selector;
        uint32_t attr;
    } flat[] = {
        { SEL_CODE32, ATTR_CODE32 },
        { SEL_DATA, ATTR_DATA },
        { SEL_USER_CODE32, ATTR_CODE32 | ATTR_DPL3 },
        { SEL_USER_DATA, ATTR_DATA | ATTR_DPL3 },
        { SEL_CODE64, ATTR_CODE64 },
        { SEL_USER_CODE64, ATTR_CODE64 | ATTR_DPL3 },
        { SEL_ABSENT, ATTR_CODE32 & ~0x80u },
        { SEL_READONLY, 0xc091 },
        { SEL_CONFORMING, 0xc09f },
        { SEL_EXEC_ONLY, 0xc099 },
    };

    for (unsigned n = 0; n < G_N_ELEMENTS(flat); n++)
        poke(f, GDT + (flat[n].selector & ~7), descriptor(0, ~0u, flat[n].attr), 8);
    poke(f, GDT + SEL_CODE16, descriptor(0x40000, 0xffff, 0x9b), 8);
    poke(f, GDT + SEL_TSS, descriptor(TSS, wide ? 0x67 : 0x2067, 0x89), 8);
    poke(f, GDT + SEL_LDT, descriptor(LDT, 0xff, 0x82), 8);
    if (!wide)
        poke(f, GDT + SEL_TSS2, descriptor(TSS2, 0x67, 0x89), 8);
    f->cpu.gdt = (struct x86_table){ GDT, SEL_END - 1 };
    f->cpu.idt = (struct x86_table){ IDT, wide ? 0xfff : 0x7ff };
    f->cpu.tr = (struct x86_segment){
        .base = TSS, .limit = wide ? 0x67 : 0x2067, .attr = 0x8b, .selector = SEL_TSS
    };
    f->cpu.ldt.attr = SEG_ATTR_UNUSABLE;
}

static void setup_segment(struct x86_segment *s, uint16_t selector, uint32_t attr)
{
    *s = (struct x86_segment){ .limit = ~0u, .attr = attr, .selector = selector };
}

/* Flat segments of ring `cpl`, code of the given attributes. */
static void setup_ring(struct fake *f, unsigned cpl, uint16_t cs, uint32_t cs_attr)
{
    uint32_t dpl = cpl << SEG_ATTR_DPL_SHIFT;
    uint16_t data = cpl ? SEL_USER_DATA : SEL_DATA;

    for (unsigned n = 0; n < SEG_COUNT; n++)
        setup_segment(&f->cpu.seg[n], data, ATTR_DATA | dpl);
    setup_segment(&f->cpu.seg[SEG_CS], cs, cs_attr | dpl);
    f->cpu.cpl = cpl;
    f->cpu.rip = CODE;
    f->cpu.regs[RSP] = cpl ? USER_STACK : KERNEL_STACK - 0x1000;
}

/* 32-bit protected mode without paging; ring 0 or 3. */
G_GNUC_UNUSED
static struct fake *setup_protected(unsigned cpl)
{
    struct fake *f = fake_new("max");

    setup_tables(f, false);
    f->cpu.cr0 |= CR0_PE;
    poke(f, TSS + 4, KERNEL_STACK, 4);
    poke(f, TSS + 8, SEL_DATA, 2);
    poke(f, TSS + 0x66, 0x88, 2); /* I/O bitmap, after the 32 bytes of interrupt redirection */
    setup_ring(f, cpl, cpl ? SEL_USER_CODE32 : SEL_CODE32, ATTR_CODE32);
    for (unsigned n = 0; n < 256; n++)
        poke(f, IDT + n * 8, gate(SEL_CODE32, HANDLER + n * 16, n == 3 || n == 0x80 ? 0xee : 0x8e),
             8);
    return f;
}

/* Long mode with the first gibibytes mapped one to one for everybody; ring 0 or 3, 64-bit code. */
G_GNUC_UNUSED
static struct fake *setup_long(unsigned cpl)
{
    struct fake *f = fake_new("max");

    setup_tables(f, true);
    poke(f, PML4, (PML4 + 0x1000) | 7, 8);
    poke(f, PML4 + 0x1000, 0x87, 8);
    poke(f, PML4 + 0x1008, 0x40000087, 8);
    f->cpu.cr0 |= CR0_PE | CR0_PG | CR0_WP;
    f->cpu.cr3 = PML4;
    f->cpu.cr4 = CR4_PAE;
    f->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    poke(f, TSS + 4, KERNEL_STACK, 8);
    poke(f, TSS + 0x24, IST_STACK, 8);
    setup_ring(f, cpl, cpl ? SEL_USER_CODE64 : SEL_CODE64, ATTR_CODE64);
    for (unsigned n = 0; n < 256; n++)
        poke(f, IDT + n * 16, gate(SEL_CODE64, HANDLER + n * 16, n == 3 || n == 0x80 ? 0xee : 0x8e),
             8);
    return f;
}

#endif

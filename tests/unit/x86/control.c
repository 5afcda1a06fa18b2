/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, mode switches, MSRs, XCR0 and the XSAVE family. */
#include "setup.h"

/* `bytes` run in ring 0 of 64-bit (or 32-bit) code with RAX, RCX, RDX set; vector or NO_FAULT. */
static const struct {
    const char *name, *bytes;
    bool wide;
    uint64_t ax, cx, dx;
    int vector;
} rows[] = {
    { "CR0: upper half", "0f 22 c0", true, 1ull << 32, 0, 0, VECTOR_GP },
    { "CR0: PG without PE", "0f 22 c0", true, CR0_PG, 0, 0, VECTOR_GP },
    { "CR0: NW without CD", "0f 22 c0", true, CR0_PG | CR0_PE | CR0_NW, 0, 0, VECTOR_GP },
    { "CR0: paging off in 64-bit code", "0f 22 c0", true, CR0_PE, 0, 0, VECTOR_GP },
    { "CR0: undefined bits are ignored", "0f 22 c0", true, CR0_PG | CR0_PE | 0x80, 0, 0, NO_FAULT },
    { "CR3: beyond physical memory", "0f 22 d8", true, 1ull << 51, 0, 0, VECTOR_GP },
    { "CR3: bit 63 without PCIDE", "0f 22 d8", true, 1ull << 63, 0, 0, VECTOR_GP },
    { "CR4: reserved bit", "0f 22 e0", true, CR4_PAE | 1u << 15, 0, 0, VECTOR_GP },
    { "CR4: PAE off in long mode", "0f 22 e0", true, 0, 0, 0, VECTOR_GP },
    { "CR4: VMXE is not there", "0f 22 e0", true, CR4_PAE | 1u << 13, 0, 0, VECTOR_GP },
    { "CR4: PCIDE in long mode", "0f 22 e0", true, CR4_PAE | CR4_PCIDE, 0, 0, NO_FAULT },
    { "CR4: PCIDE outside", "0f 22 e0", false, CR4_PCIDE, 0, 0, VECTOR_GP },
    { "CR8: four bits", "44 0f 22 c0", true, 16, 0, 0, VECTOR_GP },
    { "CR8", "44 0f 22 c0", true, 15, 0, 0, NO_FAULT },
    { "DR7: upper half", "0f 23 f8", true, 1ull << 32, 0, 0, VECTOR_GP },
    { "DR4 is DR6", "0f 23 e0", true, 0, 0, 0, NO_FAULT },
    { "XSETBV without OSXSAVE", "0f 01 d1", true, 7, 0, 0, VECTOR_UD },
    { "EFER: LME under paging", "0f 30", true, EFER_SCE | EFER_NXE, 0xc0000080, 0, VECTOR_GP },
    { "EFER: reserved bit", "0f 30", true, EFER_LME | EFER_LMA | 2, 0xc0000080, 0, VECTOR_GP },
    { "EFER: SVME is not there", "0f 30", true, EFER_LME | EFER_LMA | 1u << 12, 0xc0000080, 0,
      VECTOR_GP },
    { "EFER", "0f 30", true, EFER_LME | EFER_LMA | EFER_SCE, 0xc0000080, 0, NO_FAULT },
    { "LSTAR: not canonical", "0f 30", true, 0, 0xc0000082, 0x8000, VECTOR_GP },
    { "FS base", "0f 30", true, 0x1234, 0xc0000100, 0x7fff, NO_FAULT },
    { "PAT: bad type", "0f 30", true, 0x00070402, 0x277, 0x00070406, VECTOR_GP },
    { "PAT", "0f 30", true, 0x00070106, 0x277, 0x00070106, NO_FAULT },
    { "MTRR default type 2", "0f 30", true, 0xc02, 0x2ff, 0, VECTOR_GP },
    { "MTRRcap is read-only", "0f 30", true, 0, 0xfe, 0, VECTOR_GP },
    { "MC0_STATUS clears", "0f 30", true, 0, 0x401, 0, NO_FAULT },
    { "MC0_STATUS does not set", "0f 30", true, 1, 0x401, 0, VECTOR_GP },
    { "an unknown MSR is #GP", "0f 32", true, 0, 0x12345678, 0, VECTOR_GP },
    { "KVM's clock goes to the engine", "0f 32", true, 0, 0x4b564d01, 0, NO_FAULT },
    { "TSC_AUX: 32 bits", "0f 30", true, 0, 0xc0000103, 1, VECTOR_GP },
    { "RDPMC has no counters", "0f 33", true, 0, 0, 0, VECTOR_GP },
    { "INVPCID type 4", "66 0f 38 82 0c 25 00 00 20 00", true, 0, 4, 0, VECTOR_GP },
    { "INVPCID type 2", "66 0f 38 82 0c 25 00 00 20 00", true, 0, 2, 0, NO_FAULT },
    { "WRFSBASE unless enabled", "f3 48 0f ae d0", true, 0, 0, 0, VECTOR_UD },
    { "UD2", "0f 0b", true, 0, 0, 0, VECTOR_UD },
    { "AAM by zero", "d4 00", false, 0, 0, 0, VECTOR_DE },
    { "DIV overflow", "f7 f1", true, 0, 1, 1, VECTOR_DE },
    { "DIV by zero", "f7 f1", true, 1, 0, 0, VECTOR_DE },
    { "IDIV of the smallest by -1", "48 f7 f9", true, 1ull << 63, ~0ull, ~0ull, VECTOR_DE },
    { "IDIV", "48 f7 f9", true, -100ull, 7, ~0ull, NO_FAULT },
};

static void check_rows(void)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
        struct fake *f = rows[n].wide ? setup_long(0) : setup_protected(0);
        int vector;

        f->cpu.regs[RAX] = rows[n].ax;
        f->cpu.regs[RCX] = rows[n].cx;
        f->cpu.regs[RDX] = rows[n].dx;
        vector = fake_run(f, rows[n].bytes);
        if (!tap_ok(vector == rows[n].vector, "%s", rows[n].name))
            tap_note("vector %d", vector);
        fake_free(f);
    }
}

/* From reset to 64-bit code and back, as boot loaders do it. */
static void check_mode_switches(void)
{
    struct fake *f = fake_new("max");

    setup_tables(f, true);
    f->cpu.seg[SEG_CS] = (struct x86_segment){ .limit = 0xffff, .attr = 0x9b };
    f->cpu.rip = 0x1000;
    f->cpu.regs[RAX] = f->cpu.cr0 | CR0_PE;
    tap_ok(fake_run(f, "0f 22 c0") == NO_FAULT && f->next == X86_JUMP && x86_protected(&f->cpu)
               && f->cpu.cpl == 0,
           "protected mode");
    tap_ok(fake_run(f, "66 ea 00 20 00 00 08 00") == NO_FAULT
               && (f->cpu.seg[SEG_CS].attr & SEG_ATTR_DB),
           "32-bit code");
    poke(f, PML4, (PML4 + 0x1000) | 7, 8);
    poke(f, PML4 + 0x1000, 0x87, 8);
    f->cpu.regs[RAX] = CR4_PAE;
    fake_run(f, "0f 22 e0");
    f->cpu.regs[RAX] = PML4;
    fake_run(f, "0f 22 d8");
    f->cpu.regs[RCX] = 0xc0000080;
    f->cpu.regs[RAX] = EFER_LME;
    f->cpu.regs[RDX] = 0;
    fake_run(f, "0f 30");
    f->cpu.regs[RAX] = f->cpu.cr0 | CR0_PG;
    tap_ok(fake_run(f, "0f 22 c0") == NO_FAULT && x86_long_mode(&f->cpu) && !x86_code64(&f->cpu),
           "compatibility mode");
    tap_ok(fake_run(f, "ea 00 30 00 00 28 00") == NO_FAULT && x86_code64(&f->cpu)
               && f->cpu.rip == 0x3000,
           "64-bit code");
    poke(f, 0x5000, 0x4000, 4);
    poke(f, 0x5004, SEL_CODE32, 2);
    f->cpu.regs[RAX] = 0x5000;
    tap_ok(fake_run(f, "ff 28") == NO_FAULT && !x86_code64(&f->cpu), "back to 32-bit code");
    f->cpu.regs[RAX] = f->cpu.cr0 & ~(uint64_t)CR0_PG;
    tap_ok(fake_run(f, "0f 22 c0") == NO_FAULT && !x86_long_mode(&f->cpu), "out of long mode");
    f->cpu.regs[RAX] = f->cpu.cr0 & ~(uint64_t)CR0_PE;
    tap_ok(fake_run(f, "0f 22 c0") == NO_FAULT && !x86_protected(&f->cpu), "out of protected mode");
    fake_free(f);
}

static void check_flags(void)
{
    struct fake *f = setup_long(0);

    tap_ok(fake_run(f, "fb") == NO_FAULT && f->cpu.int_shadow && (f->cpu.rflags & FLAG_IF)
               && f->next == X86_JUMP,
           "STI casts a shadow");
    f->cpu.int_shadow = false;
    fake_run(f, "fb");
    tap_ok(!f->cpu.int_shadow, "but not when IF is already set");
    fake_run(f, "9c");
    tap_ok(peek(f, f->cpu.regs[RSP], 8) == (FLAG_FIXED | FLAG_IF), "PUSHF");
    poke(f, f->cpu.regs[RSP], ~0ull, 8);
    fake_run(f, "9d");
    tap_ok(f->cpu.rflags
               == (FLAG_FIXED | FLAGS_ARITHMETIC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT
                   | FLAG_AC | FLAG_ID),
           "POPF in ring 0");
    fake_free(f);

    f = setup_long(3);
    poke(f, f->cpu.regs[RSP], ~0ull, 8);
    fake_run(f, "9d");
    tap_ok(f->cpu.rflags
               == (FLAG_FIXED | FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID),
           "POPF in ring 3");
    f->cpu.cr4 |= CR4_UMIP;
    tap_ok(fake_run(f, "0f 01 04 25 00 00 20 00") == VECTOR_GP, "SGDT under UMIP");
    f->cpu.cr4 &= ~(uint64_t)CR4_UMIP;
    tap_ok(fake_run(f, "0f 01 04 25 00 00 20 00") == NO_FAULT && peek(f, 0x200002, 8) == GDT,
           "SGDT without it");
    fake_free(f);
}

static void check_tsc(void)
{
    struct fake *f = setup_long(0);
    uint64_t before;

    f->cpu.regs[RCX] = 0x10;
    f->cpu.regs[RDX] = 0;
    f->cpu.regs[RAX] = 5000;
    fake_run(f, "0f 30");
    fake_run(f, "0f 31");
    tap_ok(f->cpu.regs[RAX] == 5000 && f->cpu.tsc_adjust == 4000, "TSC written");
    before = f->cpu.tsc_offset;
    f->cpu.regs[RCX] = 0x3b;
    f->cpu.regs[RAX] = 4100;
    fake_run(f, "0f 30");
    tap_ok(f->cpu.tsc_offset == before + 100, "TSC_ADJUST moves the TSC");
    f->cpu.tsc_aux = 7;
    fake_run(f, "0f 01 f9");
    tap_ok(f->cpu.regs[RCX] == 7 && f->cpu.regs[RAX] == 5100, "RDTSCP");
    fake_free(f);
}

static void check_xsave(void)
{
    struct fake *f = setup_long(0);
    uint64_t area = 0x200fc0; /* crosses a page */
    uint8_t before[512], image[4096] __attribute__((aligned(64)));
    uint32_t mxcsr = 0x1f80;

    f->cpu.fpu_in_host = true; /* the test's own registers are the guest's */
    f->cpu.cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
    f->cpu.xcr0 = f->cpu.model->features[FEATURE_XCR0];
    f->cpu.regs[RDI] = area;
    tap_ok(fake_run(f, "0f ae 07") == NO_FAULT && peek(f, area, 2) == 0x37f
               && (peek(f, area + 24, 4) & ~0x3full) == mxcsr,
           "FXSAVE");
    memcpy(before, f->ram + area, sizeof(before));
    poke(f, area + 24, 0x3f80, 4); /* rounding mode */
    tap_ok(fake_run(f, "0f ae 0f") == NO_FAULT, "FXRSTOR");
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    poke(f, area + 24, 0x1f80, 4);
    fake_run(f, "0f ae 0f");
    tap_ok(mxcsr == 0x3f80, "loads MXCSR");
    poke(f, area + 24, 0x80000000u, 4);
    tap_ok(fake_run(f, "0f ae 0f") == VECTOR_GP, "whose reserved bits are #GP");
    f->cpu.regs[RDI] = area + 8;
    tap_ok(fake_run(f, "0f ae 07") == VECTOR_GP, "and so is a misaligned image");

    f->cpu.regs[RDI] = area;
    f->cpu.regs[RAX] = f->cpu.regs[RDX] = ~0u;
    memset(f->ram + area, 0, 4096);
    tap_ok(fake_run(f, "48 0f ae 27") == NO_FAULT, "XSAVE64");
    tap_ok(!(peek(f, area + 512, 8) & ~f->cpu.xcr0) && peek(f, area + 520, 8) == 0,
           "XSTATE_BV within XCR0");
    memcpy(image, f->ram + area, sizeof(image));
    tap_ok(fake_run(f, "48 0f ae 2f") == NO_FAULT, "XRSTOR64");
    memset(f->ram + area, 0, 4096);
    fake_run(f, "48 0f ae 27");
    tap_ok(!memcmp(image + 32, f->ram + area + 32, 128), "what was restored is saved again");
    poke(f, area + 512, 1ull << 40, 8);
    tap_ok(fake_run(f, "48 0f ae 2f") == VECTOR_GP, "a component not in XCR0 is #GP");
    poke(f, area + 512, 1, 8);
    poke(f, area + 528, 1, 8);
    tap_ok(fake_run(f, "48 0f ae 2f") == VECTOR_GP, "a reserved header byte is #GP");
    f->cpu.cr0 |= CR0_TS;
    tap_ok(fake_run(f, "48 0f ae 27") == VECTOR_NM, "TS makes it #NM");
    f->cpu.cr0 &= ~(uint64_t)CR0_TS;
    poke(f, area + 528, 0, 8);
    if (f->cpu.model->features[FEATURE_XSAVE_EAX] & 2) {
        tap_ok(fake_run(f, "48 0f c7 27") == NO_FAULT
                   && peek(f, area + 520, 8) == (f->cpu.xcr0 | 1ull << 63),
               "XSAVEC64");
        tap_ok(fake_run(f, "48 0f ae 2f") == NO_FAULT, "XRSTOR64 of the compacted form");
    }
    f->cpu.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    tap_ok(fake_run(f, "48 0f ae 27") == VECTOR_UD, "without OSXSAVE it is #UD");
    f->cpu.fpu_in_host = false;
    fake_free(f);
}

static void check_reset(void)
{
    struct fake *f = setup_long(3);

    f->cpu.delivering = X86_DELIVERING_DOUBLE_FAULT;
    f->cpu.pat = 0;
    x86_cpu_reset(&f->cpu, true);
    tap_ok(f->cpu.rip == 0xfff0 && f->cpu.seg[SEG_CS].base == 0xffff0000u && !f->cpu.efer
               && !f->cpu.cr4 && (f->cpu.cr0 & ~0x60000000ull) == 0x10 && f->cpu.cpl == 0
               && !f->cpu.delivering && f->cpu.pat == 0,
           "INIT");
    x86_cpu_reset(&f->cpu, false);
    tap_ok(f->cpu.cr0 == 0x60000010 && f->cpu.pat == 0x0007040600070406ull, "power-on");
    fake_free(f);
}

int main(void)
{
    check_rows();
    check_mode_switches();
    check_flags();
    check_tsc();
    check_xsave();
    check_reset();
    return tap_done();
}

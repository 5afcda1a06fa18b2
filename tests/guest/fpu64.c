/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 and vector state: XSAVE family, FXSAVE, XCR0, lazy switching with CR0.TS, exceptions
 * (SDM vol. 1, chapters 8, 11 and 13). */
#include "apic.h"

static uint8_t area[4096] __attribute__((aligned(64))), other[4096] __attribute__((aligned(64)));
static uint8_t pattern[64] __attribute__((aligned(64))), got[64] __attribute__((aligned(64)));
static uint64_t xcr0;

static uint64_t xgetbv(uint32_t index)
{
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return low | (uint64_t)high << 32;
}
static void xsave(void *to, uint64_t mask)
{
    asm volatile("xsave (%0)"
                 :
                 : "r"(to), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                 : "memory");
}
static void xrstor(const void *from, uint64_t mask)
{
    asm volatile("xrstor (%0)"
                 :
                 : "r"(from), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                 : "memory");
}
static bool same(unsigned n)
{
    return !memcmp(pattern, got, n);
}

static void legacy(void)
{
    uint16_t control, status;
    asm volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(control), "=m"(status));
    check("fninit: control and status", (uint64_t)control << 16 | status, 0x037f0000);
    asm volatile("movups %1, %%xmm15; fld1; fldpi; fxsave64 %0" : "=m"(area) : "m"(pattern));
    check("fxsave: FTW, two registers valid", area[4], 0xc0);
    check("fxsave: xmm15", !memcmp(area + 160 + 15 * 16, pattern, 16), true);
    check("fxsave: st0 is pi", load32(area + 32 + 4), 0xc90fdaa2);
    check("fxsave: MXCSR and mask", load32(area + 24), 0x1f80);
    asm volatile("fninit; pxor %%xmm15, %%xmm15; fxrstor64 %1; movups %%xmm15, %0; fxsave64 %2"
                 : "=m"(got), "+m"(area), "=m"(other));
    check("fxrstor: xmm15", same(16), true);
    check("fxrstor: x87", !memcmp(area, other, 6) && !memcmp(area + 32, other + 32, 32), true);
    store32(area + 24, 0x10000);
    TRY("8: fxrstor64 (%%rcx)", "c"(area));
    expect("#GP: fxrstor with a reserved MXCSR bit", VECTOR_GP, 0);
    TRY("8: fxsave64 (%%rcx)", "c"(area + 8));
    expect("#GP: fxsave misaligned", VECTOR_GP, 0);
    asm volatile("fninit");
}

static void xcr(void)
{
    uint32_t r[4];
    check("CPUID.OSXSAVE follows CR4: clear", has_cpuid(1, 0, 2, 27), 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check("CPUID.OSXSAVE follows CR4: set", has_cpuid(1, 0, 2, 27), 1);
    cpuid(0xd, 0, r);
    xcr0 = r[0];
    check("XCR0 after reset", xgetbv(0), 1);
    TRY("8: xsetbv", "c"(0), "a"(0), "d"(0));
    expect("#GP: XCR0 without x87", VECTOR_GP, 0);
    TRY("8: xsetbv", "c"(0), "a"(5), "d"(0));
    expect("#GP: XCR0 with AVX without SSE", VECTOR_GP, 0);
    TRY("8: xsetbv", "c"(0), "a"(1), "d"(0x80000000));
    expect("#GP: XCR0 reserved bit", VECTOR_GP, 0);
    TRY("8: xsetbv", "c"(1), "a"(1), "d"(0));
    expect("#GP: XCR1", VECTOR_GP, 0);
    if (xcr0 & 4) {
        TRY("8: vpxor %%xmm0, %%xmm0, %%xmm0");
        expect("#UD: AVX with XCR0.AVX clear", VECTOR_UD, 0);
    }
    TRY("8: xsetbv", "c"(0), "a"(xcr0), "d"(0));
    expect_none("xsetbv with everything CPUID offers");
    check("xgetbv", xgetbv(0), xcr0);
    cpuid(0xd, 0, r);
    check("CPUID d.0: size for XCR0 is at least 576", r[1] >= 576 && r[1] <= r[2] && r[1] <= 4096,
          true);
    unsigned end = 576;
    for (unsigned i = 2; i < 32; i++)
        if (xcr0 >> i & 1) {
            uint32_t c[4];
            cpuid(0xd, i, c);
            check("CPUID d.n: component inside the area",
                  c[0] && c[1] >= 576 && c[0] + c[1] <= r[1], true);
            if (c[0] + c[1] > end)
                end = c[0] + c[1];
        }
    check("CPUID d.0: size is the end of the last component", r[1], end);
}

static unsigned component_offset(unsigned i)
{
    uint32_t r[4];
    cpuid(0xd, i, r);
    return r[1];
}

static void save_restore(void)
{
    asm volatile("fninit; movups %0, %%xmm3" : : "m"(pattern));
    memset(area, 0, sizeof(area));
    xsave(area, 2);
    check("xsave: XSTATE_BV has only what was asked", load32(area + 512) & ~2u, 0);
    check("xsave: xmm3", !memcmp(area + 160 + 48, pattern, 16), true);
    asm volatile("pxor %%xmm3, %%xmm3" :);
    xrstor(area, 2);
    asm volatile("movups %%xmm3, %0" : "=m"(got));
    check("xrstor: xmm3", same(16), true);
    store32(area + 512, 0);
    xrstor(area, 2);
    asm volatile("movups %%xmm3, %0" : "=m"(got));
    check("xrstor: component not in XSTATE_BV is initialized",
          *(uint64_t *)got | *(uint64_t *)(got + 8), 0);
    store32(area + 512, 1u << 30);
    TRY("8: xrstor (%%rdi)", "D"(area), "a"(7), "d"(0));
    expect("#GP: xrstor with a component not in XCR0", VECTOR_GP, 0);
    store32(area + 512, 0);
    store32(area + 528, 1);
    TRY("8: xrstor (%%rdi)", "D"(area), "a"(7), "d"(0));
    expect("#GP: xrstor with reserved header bytes", VECTOR_GP, 0);
    store32(area + 528, 0);
    TRY("8: xsave (%%rdi)", "D"(area + 16), "a"(7), "d"(0));
    expect("#GP: xsave misaligned", VECTOR_GP, 0);
    if (!(xcr0 & 4))
        return;
    asm volatile("vmovups %0, %%ymm5" : : "m"(pattern));
    memset(area, 0xff, sizeof(area));
    memset(area + 512, 0, 64);
    xsave(area, 7);
    check("xsave: ymm5 high half", !memcmp(area + component_offset(2) + 5 * 16, pattern + 16, 16),
          true);
    asm volatile("vzeroall");
    xrstor(area, 7);
    asm volatile("vmovups %%ymm5, %0" : "=m"(got));
    check("xrstor: ymm5", same(32), true);
    if (has_cpuid(0xd, 1, 0, 0)) {
        memset(other, 0, sizeof(other));
        asm volatile("vzeroall; fninit");
        asm volatile("xsaveopt (%0)" : : "r"(other), "a"(7), "d"(0) : "memory");
        check("xsaveopt: AVX in initial state is not in XSTATE_BV", load32(other + 512) & 4, 0);
    }
    if (has_cpuid(0xd, 1, 0, 1)) {
        asm volatile("vmovups %0, %%ymm5" : : "m"(pattern));
        memset(other, 0, sizeof(other));
        asm volatile("xsavec (%0)" : : "r"(other), "a"(6), "d"(0) : "memory");
        check("xsavec: XCOMP_BV", *(uint64_t *)(other + 520), 1ull << 63 | 6);
        check("xsavec: ymm5 high half right behind the header",
              !memcmp(other + 576 + 80, pattern + 16, 16), true);
        asm volatile("vzeroall");
        xrstor(other, 6);
        asm volatile("vmovups %%ymm5, %0" : "=m"(got));
        check("xrstor of the compacted format", same(32), true);
    }
    if (has_cpuid(0xd, 1, 0, 3)) {
        memset(other, 0, sizeof(other));
        asm volatile("xsaves (%0); vzeroall; xrstors (%0)"
                     :
                     : "r"(other), "a"(7), "d"(0)
                     : "memory");
        asm volatile("vmovups %%ymm5, %0" : "=m"(got));
        check("xsaves, xrstors", same(32), true);
    }
}

/* XSAVES and XRSTORS, of user state alone. (SDM vol. 1, 13.11 and 13.12) */
static void supervisor_forms(void)
{
    if (!has_cpuid(0xd, 1, 0, 3)) {
        TRY("8: xsaves (%%rdi)", "D"(other), "a"(7), "d"(0));
        expect("#UD: xsaves is not offered", VECTOR_UD, 0);
        return;
    }
    uint32_t r[4];
    cpuid(0xd, 1, r);
    check("CPUID d.1: XSS bits: user state only", r[2] | r[3], 0);
    check("MSR XSS", rdmsr(0xda0), 0);
    TRY("8: wrmsr", "c"(0xda0), "a"(1), "d"(0));
    expect("#GP: XSS with user state", VECTOR_GP, 0);
    asm volatile("movups %0, %%xmm4" : : "m"(pattern));
    memset(other, 0, 576);
    asm volatile("xsaves (%0)" : : "r"(other), "a"(3), "d"(0) : "memory");
    check("xsaves: XCOMP_BV", *(uint64_t *)(other + 520), 1ull << 63 | 3);
    check("xsaves: xmm4", !memcmp(other + 160 + 64, pattern, 16), true);
    asm volatile("pxor %%xmm4, %%xmm4; xrstors (%0)" : : "r"(other), "a"(3), "d"(0));
    asm volatile("movups %%xmm4, %0" : "=m"(got));
    check("xrstors: xmm4", same(16), true);
    TRY("8: xsaves (%%rdi)", "D"(other + 32), "a"(3), "d"(0));
    expect("#GP: xsaves misaligned", VECTOR_GP, 0);
    memset(area, 0, sizeof(area));
    xsave(area, 3);
    TRY("8: xrstors (%%rdi)", "D"(area), "a"(3), "d"(0));
    expect("#GP: xrstors of the standard format", VECTOR_GP, 0);
    *(uint64_t *)(other + 520) |= 1ull << 40;
    TRY("8: xrstors (%%rdi)", "D"(other), "a"(3), "d"(0));
    expect("#GP: xrstors with a layout bit that is not in XCR0", VECTOR_GP, 0);
    write_cr4(read_cr4() & ~(word)CR4_OSXSAVE);
    TRY("8: xrstors (%%rdi)", "D"(other), "a"(3), "d"(0));
    expect("#UD: xrstors without CR4.OSXSAVE", VECTOR_UD, 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    extern char user_xsaves[];
    run_user(user_xsaves);
    expect_user("#GP: xsaves at CPL 3", VECTOR_GP, 0, user_xsaves);
}
asm(".text\n user_xsaves: xsaves (%rsp)\n");

/* Images with components that the processor has, but XCR0 does not allow now. */
static void narrowed(void)
{
    if ((xcr0 & 0xe4) != 0xe4)
        return;
    memset(area, 0, sizeof(area));
    xsave(area, xcr0);
    store32(area + 512, xcr0);
    asm volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
    TRY("8: xrstor (%%rdi)", "D"(area), "a"(3), "d"(0));
    expect("#GP: xrstor of AVX-512 state with XCR0 7", VECTOR_GP, 0);
    store32(area + 512, 7);
    TRY("8: xrstor (%%rdi)", "D"(area), "a"(-1), "d"(-1));
    expect_none("xrstor of the rest");
    if (has_cpuid(0xd, 1, 0, 1)) {
        asm volatile("xsavec (%0)" : : "r"(other), "a"(-1), "d"(-1) : "memory");
        check("xsavec with XCR0 7: XCOMP_BV", *(uint64_t *)(other + 520), 1ull << 63 | 7);
        store32(other + 520, 0xe7);
        TRY("8: xrstor (%%rdi)", "D"(other), "a"(3), "d"(0));
        expect("#GP: xrstor of a layout with AVX-512 state with XCR0 7", VECTOR_GP, 0);
    }
    if (has_cpuid(0xd, 1, 0, 2))
        check("XGETBV of XCR1 with XCR0 7", xgetbv(1) & ~7ull, 0);
    asm volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"(0));
    if (!has_cpuid(0xd, 1, 0, 2))
        return;
    asm volatile("vzeroall"); /* x87 state may always count as in use */
    check("XGETBV of XCR1: AVX in its initial state", xgetbv(1) & 4, 0);
    asm volatile("vmovups %0, %%ymm5; fldpi" : : "m"(pattern));
    check("XGETBV of XCR1: x87, SSE and AVX in use", xgetbv(1) & 7, 7);
    asm volatile("fninit");
}

/* Stores under a mask to a device: only what the mask lets through is written, also if it is what
 * the device would read as, and nothing is read. The APIC's EOI register ends the interrupt in
 * service by any write; it has no other. */
static void handler_without_eoi(struct frame *frame)
{
    (void)frame;
}
static uint32_t in_service(void)
{
    return apic_read(APIC_ISR + 0x20);
}
static void masked_to_device(void)
{
    static const uint32_t on[8] __attribute__((aligned(32))) = { 0x80000000 };
    static const uint32_t off[8] __attribute__((aligned(32))) = { 0 };
    void *eoi = (void *)(word)(APIC_BASE + APIC_EOI);
    if (!(xcr0 & 4))
        return;
    apic_enable();
    handlers[0x45] = handler_without_eoi;
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    asm volatile("sti; nop; nop; cli");
    check("an interrupt is in service", in_service(), 1u << 5);
    asm volatile("vpxor %%xmm1, %%xmm1, %%xmm1; vmovups %1, %%xmm2; vmaskmovps %%xmm1, %%xmm2, (%0)"
                 :
                 : "r"(eoi), "m"(off)
                 : "memory");
    check("vmaskmovps with no element writes nothing", in_service(), 1u << 5);
    asm volatile("vmovups %1, %%xmm2; vmaskmovps %%xmm1, %%xmm2, (%0)"
                 :
                 : "r"(eoi), "m"(on)
                 : "memory");
    check("vmaskmovps writes its element, a zero", in_service(), 0);
    if ((xcr0 & 0xe0) != 0xe0)
        return;
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x45);
    asm volatile("sti; nop; nop; cli");
    check("an interrupt is in service", in_service(), 1u << 5);
    asm volatile("kxorq %%k1, %%k1, %%k1; vmovdqu32 %%zmm1, (%0)%{%%k1%}" : : "r"(eoi) : "memory");
    check("AVX-512 store with an empty mask writes nothing", in_service(), 1u << 5);
    asm volatile("kmovd %1, %%k1; vmovdqu32 %%zmm1, (%0)%{%%k1%}" : : "r"(eoi), "r"(1) : "memory");
    check("AVX-512 store writes the element in its mask", in_service(), 0);
}

static void avx512(void)
{
    if ((xcr0 & 0xe0) != 0xe0) {
        skip("AVX-512 state", "CPUID offers no AVX-512");
        return;
    }
    asm volatile(".byte 0x62, 0x61, 0x7c, 0x48, 0x10, 0x39"
                 :
                 : "c"(pattern)); /* vmovups zmm31, [rcx] */
    asm volatile(".byte 0xc4, 0xe1, 0xfb, 0x92, 0xd9"
                 :
                 : "c"(0x123456789abcdefull)); /* kmovq k3, rcx */
    memset(area, 0, sizeof(area));
    xsave(area, 0xe7);
    check("xsave: zmm31", !memcmp(area + component_offset(7) + 15 * 64, pattern, 64), true);
    check("xsave: k3", *(uint64_t *)(area + component_offset(5) + 24), 0x123456789abcdef);
    asm volatile(".byte 0x62, 0x01, 0x04, 0x40, 0x57, 0xff" :); /* vxorps zmm31, zmm31, zmm31 */
    xrstor(area, 0xe7);
    asm volatile(".byte 0x62, 0x61, 0x7c, 0x48, 0x11, 0x39" : : "c"(got) : "memory");
    check("xrstor: zmm31", same(64), true);
    uint64_t mask;
    asm volatile(".byte 0xc4, 0xe1, 0xfb, 0x93, 0xcb" : "=c"(mask)); /* kmovq rcx, k3 */
    check("xrstor: k3", mask, 0x123456789abcdef);
}

/* Two "tasks" share the registers through #NM, as kernels did. */
static void restore_lazily(struct frame *frame)
{
    asm volatile("clts");
    xrstor(area, xcr0);
    (void)frame;
}

static void lazy(void)
{
    asm volatile("movups %0, %%xmm9" : : "m"(pattern));
    xsave(area, xcr0);
    asm volatile("pxor %%xmm9, %%xmm9" :);
    handlers[VECTOR_NM] = restore_lazily;
    write_cr0(read_cr0() | CR0_TS);
    asm volatile("movups %%xmm9, %0" : "=m"(got));
    check("#NM handler restores the state", same(16), true);
    handlers[VECTOR_NM] = NULL;
    write_cr0(read_cr0() | CR0_TS);
    TRY("8: xsave (%%rdi)", "D"(other), "a"(7), "d"(0));
    expect("#NM: xsave with CR0.TS", VECTOR_NM, 0);
    if (xcr0 & 4) {
        TRY("8: vpxor %%xmm0, %%xmm0, %%xmm0");
        expect("#NM: AVX with CR0.TS", VECTOR_NM, 0);
    }
    asm volatile("clts");
}

/* Values survive interrupts, faults and mode switches: everything the engine does between. */
static void survival(void)
{
    asm volatile("movups %0, %%xmm7; fninit; fldl %0" : : "m"(pattern));
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t r[4];
        cpuid(0, 0, r);
        TRY("8: movq (%%rcx), %%rax", "c"(0x7000000000ull));
    }
    double back;
    asm volatile("movups %%xmm7, %0; fstpl %1" : "=m"(got), "=m"(back));
    check("xmm7 survives 2000 page faults", same(16), true);
    check("st0 survives 2000 page faults", !memcmp(&back, pattern, 8), true);
}

static void exceptions(void)
{
    uint32_t mxcsr = 0x1f80 & ~0x200u, flags;
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    TRY("movl $1, %%eax; cvtsi2ss %%eax, %%xmm1; pxor %%xmm0, %%xmm0; 8: divss %%xmm0, %%xmm1");
    expect("#XM: divss by zero unmasked", VECTOR_XM, 0);
    asm volatile("stmxcsr %0" : "=m"(flags));
    check("#XM: MXCSR.ZE is set", flags & 0x3f, 4);
    mxcsr = 0x1f80;
    asm volatile("ldmxcsr %0" : : "m"(mxcsr));
    uint16_t control = 0x37f & ~1;
    TRY("fninit; fldcw %3; fld1; fchs; 8: fsqrt; nop", "m"(control));
    expect_none("x87: the faulting instruction itself is not interrupted");
    TRY("8: fld1");
    expect("#MF: invalid operation, at the next x87 instruction", VECTOR_MF, 0);
    uint16_t status;
    asm volatile("fnstsw %0" : "=m"(status));
    check("#MF: status", status & 0x81, 0x81);
    asm volatile("fnclex; fninit");
}

/* What an unmasked exception found before the result keeps an x87 instruction from storing, and one
 * found after it (precision) does not: also where the operand crosses a page. (SDM vol. 1, 8.5) */
static void unmasked_stores(void)
{
    static const double values[] = { 1e30, 1.5, 1e300, 1e-300 };
    uint8_t *pages = pages_alloc(2), *across = pages + PAGE_SIZE - 3, *inside = pages + 64;
    uint16_t control = 0x340, status[2]; /* all unmasked */
#define STORE_TWICE(store) \
    asm volatile("fninit; fldl %2; fldcw %3; " store " (%4); fnstsw %0;" \
                 "fninit; fldl %2; fldcw %3; " store " (%5); fnstsw %1; fninit" \
                 : "=m"(status[0]), "=m"(status[1]) \
                 : "m"(values[i]), "m"(control), "r"(inside), "r"(across) \
                 : "memory")
    for (unsigned i = 0; i < 4; i++) {
        memset(pages, 0x5a, 2 * PAGE_SIZE);
        if (i < 2)
            STORE_TWICE("fistpll");
        else
            STORE_TWICE("fstps");
        check("x87 store with an unmasked exception: same status across a page", status[1],
              status[0]);
        check("x87 store with an unmasked exception: same memory across a page",
              !memcmp(inside, across, 8), true);
        check("x87 store: only a precision exception leaves the result", inside[0] != 0x5a, i == 1);
    }
#undef STORE_TWICE
}

void guest_main(void)
{
    if (!has_cpuid(1, 0, 2, 26)) {
        skip("XSAVE", "CPUID offers no XSAVE");
        return;
    }
    for (unsigned i = 0; i < 64; i++)
        pattern[i] = i * 37 + 11;
    legacy();
    xcr();
    save_restore();
    supervisor_forms();
    avx512();
    narrowed();
    masked_to_device();
    lazy();
    survival();
    exceptions();
    unmasked_stores();
}

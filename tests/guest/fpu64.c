/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 and vector state: XSAVE family, FXSAVE, XCR0, lazy switching with CR0.TS, exceptions
 * (SDM vol. 1, chapters 8, 11 and 13). */
#include "guest.h"

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
    avx512();
    lazy();
    survival();
    exceptions();
    unmasked_stores();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers and CPUID: what is offered works, what is not raises #GP
 * (SDM vol. 4; vol. 2, CPUID). */
#include "guest.h"

asm(".text\n user_rdtsc: rdtsc; int3\n");
extern char user_rdtsc[];

static void registers(void)
{
    static const struct {
        const char *name;
        uint32_t index;
        uint64_t value;
    } writable[] = {
        { "LSTAR", MSR_LSTAR, 0xffffffff81000000 },
        { "CSTAR", MSR_CSTAR, 0xffffffff81000100 },
        { "SFMASK", MSR_SFMASK, 0x47700 },
        { "KERNEL_GS_BASE", MSR_KERNEL_GS_BASE, 0xffff888000000000 },
        { "SYSENTER_CS", 0x174, 0x10 },
        { "SYSENTER_ESP", 0x175, 0xffffc90000000000 },
        { "SYSENTER_EIP", 0x176, 0xffffffff81000200 },
        { "PAT", 0x277, 0x0407010600070106 },
        { "MTRR physical base 0", 0x200, 0x80000006 },
        { "MTRR fixed 64K", 0x250, 0x0606060606060606 },
    };
    for (unsigned i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
        uint64_t old = rdmsr(writable[i].index);
        wrmsr(writable[i].index, writable[i].value);
        check(writable[i].name, rdmsr(writable[i].index), writable[i].value);
        wrmsr(writable[i].index, old);
    }
    static const struct {
        const char *name;
        uint32_t index;
        uint64_t value;
    } refused[] = {
        { "#GP: PAT with a reserved type", 0x277, 0x0000000000000002 },
        { "#GP: EFER reserved bit", MSR_EFER, 1ull << 40 },
        { "#GP: SYSENTER_EIP non-canonical", 0x176, 1ull << 62 },
        { "#GP: KERNEL_GS_BASE non-canonical", MSR_KERNEL_GS_BASE, 1ull << 62 },
        { "#GP: APIC base reserved bit", MSR_APIC_BASE, 0xfee00901 },
        { "#GP: unknown MSR", 0xdead, 0 },
        { "#GP: unknown MSR of the second range", 0xc0001fff, 0 },
    };
    for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        TRY("8: wrmsr", "c"(refused[i].index), "a"((uint32_t)refused[i].value),
            "d"((uint32_t)(refused[i].value >> 32)));
        expect(refused[i].name, VECTOR_GP, 0);
    }
    check("APIC base: enabled, bootstrap processor", rdmsr(MSR_APIC_BASE) & 0xfffff900, 0xfee00900);
    uint64_t first = rdtsc(), second = rdmsr(0x10), third = rdtsc();
    check("TSC by MSR lies between two rdtsc", first <= second && second <= third, true);
    if (has_cpuid(7, 0, 1, 1)) {
        wrmsr(0x3b, 1ull << 40);
        check("TSC_ADJUST reads back", rdmsr(0x3b), 1ull << 40);
        check("TSC_ADJUST moves the TSC", rdtsc() - third > 1ull << 39, true);
        wrmsr(0x3b, 0);
    }
    uint64_t target = 1ull << 50;
    wrmsr(0x10, target);
    uint64_t now = rdtsc();
    check("TSC can be written", now >= target && now - target < 1ull << 36, true);
    write_cr4(read_cr4() | 4); /* TSD */
    run_user(user_rdtsc);
    expect_user("#GP: rdtsc at CPL 3 with CR4.TSD", VECTOR_GP, 0, user_rdtsc);
    write_cr4(read_cr4() & ~4ul);
    run_user(user_rdtsc);
    check("rdtsc at CPL 3", trap.vector, VECTOR_BP);
}

static void offered(void)
{
    uint32_t r[4], again[4];
    cpuid(0, 0, r);
    check("CPUID: highest leaf", r[0] >= 0xd && r[0] < 0x100, true);
    cpuid(0x80000000, 0, r);
    check("CPUID: highest extended leaf", r[0] >= 0x80000008 && r[0] < 0x80000100, true);
    cpuid(1, 0, r);
    cpuid(1, 7, again);
    check("CPUID 1 ignores the subleaf", r[2] ^ again[2] ^ (r[3] ^ again[3]), 0);
    check("CPUID: FPU, TSC, MSR, PAE, CX8, APIC, PGE, CMOV, PAT, MMX, FXSR, SSE, SSE2",
          r[3] & 0x07812171, 0x07812171);
    check("CPUID: initial APIC id", r[1] >> 24, 0);
    check("CPUID: hypervisor bit", r[2] >> 31, 1);
    cpuid(0x40000000, 0, r);
    check("CPUID: KVM's signature, for its paravirtual features", r[1], 0x4b4d564b);
    cpuid(0x80000001, 0, r);
    check("CPUID: long mode, NX, syscall", r[3] & 0x20100800, 0x20100800);
    cpuid(0x80000008, 0, r);
    check("CPUID: address widths",
          (r[0] & 0xff) >= 36 && (r[0] & 0xff) <= 52 && (r[0] >> 8 & 0xff) >= 48, true);
    cpuid(0xb, 0, r);
    check("CPUID b: level type thread", r[2] >> 8 & 0xff, 1);
    if (!has_cpuid(7, 0, 1, 20)) {
        TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | CR4_SMAP));
        expect("#GP: CR4.SMAP not offered", VECTOR_GP, 0);
    }
    if (!has_cpuid(7, 0, 2, 16)) {
        TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | 1u << 12));
        expect("#GP: CR4.LA57 not offered", VECTOR_GP, 0);
    }
    if (!has_cpuid(1, 0, 2, 5)) {
        TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | 1u << 13));
        expect("#GP: CR4.VMXE not offered", VECTOR_GP, 0);
    }
    if (!has_cpuid(7, 0, 2, 3)) {
        TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | 1u << 22));
        expect("#GP: CR4.PKE not offered", VECTOR_GP, 0);
    }
    static const struct {
        const char *name;
        uint32_t leaf, index, bit;
        uint8_t bytes, code[6];
    } instructions[] = {
        { "popcnt", 1, 2, 23, 4, { 0xf3, 0x0f, 0xb8, 0xc0 } },
        { "movbe", 1, 2, 22, 5, { 0x0f, 0x38, 0xf0, 0x04, 0x24 } },
        { "crc32", 1, 2, 20, 5, { 0xf2, 0x0f, 0x38, 0xf1, 0xc0 } },
        { "rdrand", 1, 2, 30, 3, { 0x0f, 0xc7, 0xf0 } },
        { "bmi1 andn", 7, 1, 3, 5, { 0xc4, 0xe2, 0x78, 0xf2, 0xc0 } },
        { "bmi2 rorx", 7, 1, 8, 6, { 0xc4, 0xe3, 0x7b, 0xf0, 0xc0, 1 } },
        { "adx adcx", 7, 1, 19, 5, { 0x66, 0x0f, 0x38, 0xf6, 0xc0 } },
        { "rdseed", 7, 1, 18, 3, { 0x0f, 0xc7, 0xf8 } },
        { "sha", 7, 1, 29, 4, { 0x0f, 0x38, 0xc9, 0xc0 } },
        { "clflushopt", 7, 1, 23, 5, { 0x66, 0x0f, 0xae, 0x3c, 0x24 } },
        { "clwb", 7, 1, 24, 5, { 0x66, 0x0f, 0xae, 0x34, 0x24 } },
        { "aes", 1, 2, 25, 5, { 0x66, 0x0f, 0x38, 0xdc, 0xc0 } },
        { "pclmulqdq", 1, 2, 1, 6, { 0x66, 0x0f, 0x3a, 0x44, 0xc0, 0 } },
        { "lzcnt", 0x80000001, 2, 5, 4, { 0xf3, 0x0f, 0xbd, 0xc0 } },
        { "rdtscp", 0x80000001, 3, 27, 3, { 0x0f, 0x01, 0xf9 } },
        { "prefetchw", 0x80000001, 2, 8, 4, { 0x0f, 0x0d, 0x0c, 0x24 } },
    };
    uint8_t *code = page_alloc();
    for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
        if (!has_cpuid(instructions[i].leaf, 0, instructions[i].index, instructions[i].bit))
            continue;
        memcpy(code, instructions[i].code, instructions[i].bytes);
        code[instructions[i].bytes] = 0xc3;
        TRY("8: call *%%rcx", "c"(code));
        expect_none(instructions[i].name);
    }
}

void guest_main(void)
{
    registers();
    offered();
}

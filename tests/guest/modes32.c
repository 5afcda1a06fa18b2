/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every mode and the way there and back: protected 32 and 16, real, unreal, PAE, compatibility,
 * 64-bit. */
#include "guest.h"

extern uint64_t mode_result[8];
extern char low_code[], low_code_end[];
extern uint32_t low_result_offset;
void run_long(uint32_t cr3);

static uint32_t identity_tables(void)
{
    uint64_t *pml4 = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc();
    pml4[0] = (word)pdpt | 3;
    pdpt[0] = (word)pd | 3;
    for (unsigned i = 0; i < 32; i++)
        pd[i] = (uint64_t)i << 21 | 0x83;
    return (word)pml4;
}

static void long_mode(uint32_t cr3)
{
    memset(mode_result, 0x5a, sizeof(mode_result));
    run_long(cr3);
    check("EFER: LME set, LMA clear before paging", mode_result[0] & 0x500, 0x100);
    check("EFER: LMA set by CR0.PG", mode_result[0] >> 32 & 0x500, 0x500);
    check("compatibility mode: opcode 40 is inc", (uint32_t)mode_result[1], 0);
    check("compatibility mode: addresses wrap at 4 GiB", mode_result[1] >> 32, 0x600df00d);
    check("64-bit mode: r15", mode_result[2], 0x123456789abcdef0);
    check("64-bit mode: opcode 40 is a prefix, results zero-extend", mode_result[3], 0xffffffff);
    check("64-bit mode: RIP-relative", mode_result[4], 0);
    check("far call to compatibility mode", (uint32_t)mode_result[5], 0x1001 + KERNEL_CODE32);
    check("far call to compatibility mode: stack", mode_result[6], 0);
    check("back in protected mode: LMA clear, LME set", (uint32_t)mode_result[7] & 0x500, 0x100);
    check("back in protected mode: CR0.PG", read_cr0() & CR0_PG, 0);
}

static void low_modes(void)
{
    uint8_t *low = (uint8_t *)0x8000;
    gdt_set(0x50, 0, 0xffff, 0x09b);
    gdt_set(0x58, 0, 0xffff, 0x093);
    memcpy(low, low_code, low_code_end - low_code);
    store32((void *)0x12340, 0xabcd);
    store32((void *)0x200000, 0x900df00d);
    ((void (*)(void))low)();
    const uint8_t *result = low + low_result_offset;
    check("protected 16: carry out of 16 bits", load32(result) & 0xffff, 0xffff);
    check("protected 16: operand size prefix", load32(result + 4), 0x12345678);
    check("real: PE clear in smsw", load32(result + 8) & 1, 0);
    check("real: cs", load32(result + 8) >> 16, 0);
    check("real: segment times 16", load32(result + 12) & 0xffff, 0xabcd);
    check("unreal: load above 64 KiB through fs", load32(result + 16), 0x900df00d);
    check("unreal: limit survives a load of fs", load32(result + 20), 0x900df00d);
    check("real: iret restores IF", load32(result + 24) & 0xffff, 0x200);
    check("real: int clears IF", load32(result + 24) >> 16, 0x1100);
    check("real: #GP at the segment limit", load32(result + 28) & 0xffff, 1);
    check("real: #GP pushes no error code", load32(result + 28) >> 16, 0);
    check("back in protected mode", read_cr0() & CR0_PE, CR0_PE);
}

void guest_main(void)
{
    uint32_t cr3 = identity_tables();
    long_mode(cr3);
    low_modes();
    long_mode(cr3);
    low_modes();
    for (unsigned i = 0; i < 200; i++) {
        run_long(cr3);
        ((void (*)(void))0x8000)();
    }
    check("200 more rounds", load32((uint8_t *)0x8000 + low_result_offset + 16), 0x900df00d);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System management mode from protected mode with and without paging, and from real mode with a
 * large segment; and a save area no processor can load, which must end the machine's run. */
#include "smm.h"

extern char smm_low[], smm_low_end[];
extern uint32_t smm_low_result_offset;

static uint32_t area(unsigned offset)
{
    return load32((void *)(SMBASE_AT_RESET + offset));
}

static void protected_mode(void)
{
    uint32_t cs;
    smm_send();
    asm volatile("mov %%cs, %0" : "=r"(cs));
    check("protected mode: back", read_cr0() & CR0_PE, CR0_PE);
    check("protected mode: cs", cs, KERNEL_CODE32);
    check("protected mode: area: CR0", area(SAVED_CR0), read_cr0());
    check("protected mode: area: EFER", area(SAVED_EFER), 0);
    check("protected mode: area: ds", area(SAVED_DS) & 0xffff, KERNEL_DATA);
    check("protected mode: area: ds attributes", area(SAVED_DS) >> 16, 0xc093);
    check("protected mode: area: ds limit", area(SAVED_DS + 4), 0xffffffff);
}

/* 4 MiB pages, one to one, but for a window that shows the first of them at 1 GiB. */
static void paging(void)
{
    uint32_t *directory = page_alloc();
    for (unsigned i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x83;
    directory[256] = 0x83;
    write_cr4(read_cr4() | CR4_PSE);
    write_cr3((word)directory);
    write_cr0(read_cr0() | CR0_PG);
    store32((void *)0x7000, 0x1234567);
    smm_send();
    check("paging: back", read_cr0() & CR0_PG, CR0_PG);
    check("paging: the mapping is there", load32((void *)0x40007000), 0x1234567);
    check("paging: the handler ran without", SMM_MAIL->cr0 & CR0_PG, 0);
    write_cr0(read_cr0() & ~CR0_PG);
}

static void real_mode(void)
{
    uint8_t *low = (uint8_t *)0x8000;
    gdt_set(0x50, 0, 0xffff, 0x09b);
    gdt_set(0x58, 0, 0xffff, 0x093);
    memcpy(low, smm_low, smm_low_end - smm_low);
    store32((void *)0x200000, 0x900df00d);
    SMM_MAIL->count = 0;
    ((void (*)(void))low)();
    const uint8_t *result = low + smm_low_result_offset;
    check("real mode: one SMI", SMM_MAIL->count, 1);
    check("real mode: back", load32(result) & 0xffff, 0);
    check("real mode: es", load32(result) >> 16, 0x1234);
    check("real mode: fs keeps its limit of 4 GiB", load32(result + 4), 0x900df00d);
    check("real mode: area: PE clear", area(SAVED_CR0) & CR0_PE, 0);
    check("real mode: area: es base", area(SAVED_CS - 8), 0x12340);
}

void guest_main(void)
{
    apic_enable();
    if (!smm_works()) {
        skip("system management mode", "there is none here");
        return;
    }
    protected_mode();
    paging();
    real_mode();
}

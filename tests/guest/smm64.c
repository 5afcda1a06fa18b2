/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System management mode from 64-bit code: entry and save area, RSM, a new SMBASE, what waits for
 * the mode's end (SDM vol. 3, chapter 32; AMD APM vol. 2, chapter 10). */
#include "smm.h"

static uint32_t smbase = SMBASE_AT_RESET;

static uint64_t area(unsigned offset)
{
    return *(volatile uint64_t *)(uint64_t)(smbase + offset);
}

static void entry(void)
{
    SMM_MAIL->count = 0;
    write_dr7(0x455);
    word flags = read_flags() | FLAG_CF;
    uint64_t before = 0x1122334455667788, after[4];
    asm volatile("push %5; popf; movq %4, %%r12; movq %4, %%r15; movq %4, %%xmm6; movl %6, (%7);"
                 "8: movq %%r12, %0; movq %%r15, %1; movq %%xmm6, %2; pushf; popq %3"
                 : "=m"(after[0]), "=m"(after[1]), "=m"(after[2]), "=r"(after[3])
                 : "r"(before), "r"(flags), "r"(APIC_ASSERT | APIC_SMI),
                   "r"((word)(APIC_BASE + APIC_ICR_LOW))
                 : "r12", "r15", "memory", "cc");
    check("one SMI", SMM_MAIL->count, 1);
    check("handler: cs", SMM_MAIL->cs, SMBASE_AT_RESET >> 4);
    check("handler: CR0.PE, EM, TS, PG are clear", SMM_MAIL->cr0 & 0x8000000d, 0);
    check("handler: CR4", SMM_MAIL->cr4, 0);
    check("handler: EFER", SMM_MAIL->efer, 0);
    check("handler: flags", SMM_MAIL->flags, 2);
    check("handler: DR7", SMM_MAIL->dr7, 0x400);
    check("handler: MSR SMBASE", SMM_MAIL->smbase_msr, SMBASE_AT_RESET);
    check("after RSM: r12, r15", after[0] == before && after[1] == before, true);
    check("after RSM: xmm6", after[2], before);
    check("after RSM: flags", after[3] & ~0x8d5ull, flags & ~0x8d5ull);
    check("after RSM: carry flag", after[3] & FLAG_CF, FLAG_CF);
    check("after RSM: DR7", read_dr7(), 0x455);
    write_dr7(0x400);
    check("area: r12", area(SAVED_RAX - 8 * 12), before);
    check("area: flags", area(SAVED_RFLAGS) & FLAG_CF, FLAG_CF);
    check("area: CR0", area(SAVED_CR0), read_cr0());
    check("area: CR3", area(SAVED_CR3), read_cr3());
    check("area: CR4", (uint32_t)area(SAVED_CR4), read_cr4());
    check("area: EFER", area(SAVED_EFER), rdmsr(MSR_EFER));
    check("area: cs", (uint16_t)area(SAVED_CS), KERNEL_CODE64);
    check("area: cs attributes say 64-bit code", area(SAVED_CS) >> 16 & 0x609b, 0x209b);
    check("area: tr", (uint16_t)area(SAVED_TR), TSS_SELECTOR);
    check("area: GDT", area(SAVED_GDTR_BASE), (word)gdt);
    check("area: revision: SMBASE can be moved", (uint32_t)area(SAVED_REVISION) & 0x20000, 0x20000);
    check("area: SMBASE", (uint32_t)area(SAVED_SMBASE), SMBASE_AT_RESET);
}

static uint64_t rbx_after_smi(uint64_t rbx)
{
    asm volatile("movl %1, (%2)"
                 : "+b"(rbx)
                 : "r"(APIC_ASSERT | APIC_SMI), "r"((word)(APIC_BASE + APIC_ICR_LOW))
                 : "memory");
    return rbx;
}

static void changes(void)
{
    SMM_MAIL->argument = 0x600df00d;
    SMM_MAIL->command = SMM_SET_RBX;
    check("a register changed in the area", rbx_after_smi(0x1234), 0x600df00d);
    smbase = 0x50000;
    smm_install(smbase);
    SMM_MAIL->argument = smbase;
    SMM_MAIL->command = SMM_RELOCATE;
    smm_send();
    check("relocation: this handler still runs at the old place", SMM_MAIL->cs, 0x3000);
    memset((void *)0x38000, 0, 256);
    SMM_MAIL->count = 0;
    smm_send();
    check("relocation: the next one at the new", SMM_MAIL->cs, 0x5000);
    check("relocation: its area", area(SAVED_CR3), read_cr3());
    check("relocation: SMBASE in its area", (uint32_t)area(SAVED_SMBASE), smbase);
}

static unsigned nmis;
static void on_nmi(struct frame *frame)
{
    nmis++;
    check("NMI: after the handler", SMM_MAIL->count, 1);
    (void)frame;
}
static unsigned ticks;
static void on_tick(struct frame *frame)
{
    ticks++;
    apic_write(APIC_EOI, 0);
    (void)frame;
}

static void waiting(void)
{
    SMM_MAIL->count = 0;
    SMM_MAIL->argument = APIC_ASSERT | APIC_SMI;
    SMM_MAIL->command = SMM_SEND;
    smm_send();
    for (unsigned i = 0; i < 1000 && SMM_MAIL->count < 2; i++)
        asm volatile("pause");
    check("an SMI in the handler comes after it", SMM_MAIL->count, 2);

    handlers[2] = on_nmi;
    SMM_MAIL->count = 0;
    SMM_MAIL->argument = APIC_ASSERT | APIC_NMI;
    SMM_MAIL->command = SMM_SEND;
    smm_send();
    for (unsigned i = 0; i < 1000 && !nmis; i++)
        asm volatile("pause");
    check("an NMI in the handler comes after it", nmis, 1);
    apic_write(APIC_ICR_LOW, APIC_ASSERT | APIC_NMI);
    check("NMIs are open again", nmis, 2);
    handlers[2] = NULL;

    /* An interrupt that is there already, so that a processor put to sleep wakes up. */
    handlers[0x40] = on_tick;
    SMM_MAIL->count = 0;
    SMM_MAIL->command = SMM_HALT_AGAIN;
    apic_write(APIC_ICR_LOW, APIC_SELF | APIC_ASSERT | 0x40);
    asm volatile("sti; nop");
    check("interrupts come outside", ticks, 1);
    apic_write(APIC_LVT_TIMER, 0x40);
    apic_write(APIC_TIMER_INITIAL, 3000000);
    smm_send();
    asm volatile("cli");
    check("halted again by the area's flag, until an interrupt", ticks, 2);
    check("the flag was clear", SMM_MAIL->count, 1);
}

static void many(void)
{
    SMM_MAIL->count = 0;
    for (unsigned i = 0; i < 2000; i++)
        if (rbx_after_smi(i) != i) {
            check("2000 SMIs", i, 2000);
            return;
        }
    check("2000 SMIs", SMM_MAIL->count, 2000);
}

void guest_main(void)
{
    apic_enable();
    TRY("8: rsm");
    expect("#UD: RSM outside", VECTOR_UD, 0);
    TRY("8: rdmsr", "c"(0x9e));
    expect("#GP: MSR SMBASE outside", VECTOR_GP, 0);
    if (!smm_works()) {
        skip("system management mode", "there is none here");
        return;
    }
    entry();
    changes();
    waiting();
    many();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 errors with CR0.NE clear: IRQ 13, port 0xf0, IGNNE# (SDM vol. 1, appendix D.2). Needs the pc
 * board. */
#include "apic.h"

#define IRQ13 0x2d

static unsigned interrupts;
static word interrupted;
static bool clears; /* the handler clears the error */
static void on_irq13(struct frame *frame)
{
    interrupts++;
    interrupted = frame->ip;
    outb(0xf0, 0);
    if (clears)
        asm volatile("fnclex");
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

static uint16_t status(void)
{
    uint16_t value;
    asm volatile("fnstsw %0" : "=a"(value));
    return value;
}
static uint16_t control(void)
{
    uint16_t value;
    asm volatile("fnstcw %0" : "=m"(value));
    return value;
}

/* Divides by zero with the exception unmasked, and waits at the label `ferr_wait`. */
static void divide(void)
{
    static const uint16_t unmasked = 0x37b;
    asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; nop; sti;"
                 ".globl ferr_wait; ferr_wait: fwait; cli"
                 :
                 : "m"(unmasked)
                 : "memory");
}

void guest_main(void)
{
    extern char ferr_wait[];
    apic_enable();
    apic_write(APIC_LVT_LINT0, APIC_EXTINT);
    pic_init(1u << 13 | 1u << 2);
    handlers[IRQ13] = on_irq13;

    write_cr0(read_cr0() | CR0_NE | CR0_MP);
    uint16_t unmasked = 0x37b;
    TRY("fninit; fldcw %3; fld1; fldz; fdivrp; 8: fwait; nop", "m"(unmasked));
    expect("#MF with CR0.NE set", VECTOR_MF, 0);
    asm volatile("fnclex");
    check("no IRQ 13", interrupts, 0);

    write_cr0(read_cr0() & ~(word)CR0_NE);
    TRY("fninit; fldcw %3; fld1; fldz; fdivrp; sti; 8: fwait; cli", "m"(unmasked));
    if (trap.vector == VECTOR_MF) {
        skip("x87 errors with CR0.NE clear", "the processor raises #MF all the same");
        return;
    }
    expect_none("no exception with CR0.NE clear");
    check("IRQ 13", interrupts, 1);
    check("IRQ 13 at the waiting instruction", interrupted, fault_ip);
    check("the error is still there", status() & 0x84, 0x84);
    asm volatile("fwait; fld1; fwait");
    check("IGNNE#: waiting instructions go on", interrupts, 1);
    check("IGNNE#: the control word is kept", control(), 0x37b);
    check("IGNNE#: the error stays", status() & 0x84, 0x84);
    uint16_t other = 0x27a;
    asm volatile("fldcw %0" : : "m"(other));
    check("IGNNE#: fldcw", control(), 0x27a);

    asm volatile("fnclex");
    divide();
    check("with the error IGNNE# went: IRQ 13 again", interrupts, 2);
    check("where the processor waited", interrupted, (word)ferr_wait);
    clears = true;
    asm volatile("fninit");
    divide();
    check("a handler that clears the error", interrupts, 3);
    check("no error any more", status() & 0xbf, 0);
    for (unsigned i = 0; i < 100; i++)
        divide();
    check("100 times", interrupts, 103);

    clears = false;
    asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fnclex; sti; fwait; cli" : : "m"(unmasked));
    check("an error cleared before anything waits", interrupts, 103);
}

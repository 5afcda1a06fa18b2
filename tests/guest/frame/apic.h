/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC by memory (SDM vol. 3, 11.4), 8259 pair and 8254, as far as the guests need them. */
#ifndef YADO_GUEST_APIC_H
#define YADO_GUEST_APIC_H

#include "guest.h"

#define APIC_BASE 0xfee00000u
#define APIC_ID 0x20
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_ISR 0x100
#define APIC_IRR 0x200
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define APIC_MASKED 0x10000
#define APIC_PERIODIC 0x20000
#define APIC_TSC_DEADLINE 0x40000
#define APIC_EXTINT 0x700
#define APIC_NMI 0x400
#define APIC_INIT 0x500
#define APIC_STARTUP 0x600
#define APIC_ASSERT 0x4000
#define APIC_SELF 0x40000
#define APIC_OTHERS 0xc0000
#define MSR_TSC_DEADLINE 0x6e0

static inline uint32_t apic_read(unsigned reg)
{
    return load32((void *)(word)(APIC_BASE + reg));
}
static inline void apic_write(unsigned reg, uint32_t value)
{
    store32((void *)(word)(APIC_BASE + reg), value);
}
static inline void apic_enable(void)
{
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_TIMER_DIVIDE, 0xb); /* by 1 */
}
static inline void apic_send(uint32_t destination, uint32_t command)
{
    apic_write(APIC_ICR_HIGH, destination << 24);
    apic_write(APIC_ICR_LOW, command);
    while (apic_read(APIC_ICR_LOW) & 0x1000)
        ;
}

/* 8259 pair at vectors 0x20-0x2f, all lines masked but those given (8259A data sheet, ICW1-4). */
static inline void pic_init(uint16_t enabled)
{
    outb(0x20, 0x11);
    outb(0x21, 0x20);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0xa0, 0x11);
    outb(0xa1, 0x28);
    outb(0xa1, 2);
    outb(0xa1, 1);
    outb(0x21, ~enabled);
    outb(0xa1, ~enabled >> 8);
}

/* 8254 counter 0 (1.193182 MHz) in mode 2, rate generator. */
static inline void pit_start(uint16_t count)
{
    outb(0x43, 0x34);
    outb(0x40, count & 0xff);
    outb(0x40, count >> 8);
}

#endif

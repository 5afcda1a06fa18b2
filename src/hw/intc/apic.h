/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt controllers in user space, as an engine sees them: the local APIC of each vCPU, and
 * behind its LINT0 the 8259 pair.
 *
 * Threads: functions that take a struct lapic are for its vCPU's thread only, except those marked
 * "any thread". An interrupt that becomes deliverable is announced by vcpu_request() with
 * VCPU_INTERRUPT, VCPU_NMI, VCPU_INIT or VCPU_SIPI; the request says "look", lapic_has_interrupt()
 * says whether there is something. */
#ifndef YADO_HW_INTC_APIC_H
#define YADO_HW_INTC_APIC_H

#include "engine/engine.h"

struct lapic;
struct ioapic;
struct pic;

/* Creates the local APIC of `vcpu` in its power-on state; any thread, before the vCPU runs. The
 * caller stores it in vcpu->apic and frees it after the vCPU's thread has ended. */
struct lapic *lapic_create(struct vm *vm, struct vcpu *vcpu);
void lapic_free(struct lapic *apic);

/* For TSC-deadline mode: when, on clock_now_ns()'s scale, will this guest TSC value be reached (now
 * or earlier: any value not after now)? Without it, writes to IA32_TSC_DEADLINE are refused. */
void lapic_set_tsc_conversion(struct lapic *apic,
                              uint64_t (*tsc_to_clock_ns)(struct vcpu *vcpu, uint64_t guest_tsc));

/* Power-on state, or with `init` the state after INIT (identity and base stay). */
void lapic_reset(struct lapic *apic, bool init);

/* Is an interrupt deliverable now, given the processor priority (RFLAGS.IF is the caller's)? Takes
 * no lock. Any thread may ask; on other threads the answer is a snapshot. */
bool lapic_has_interrupt(struct lapic *apic);

/* Takes the interrupt: marks it in service (or runs the 8259's INTA cycle) and returns its vector;
 * -1 if there is none any more. */
int lapic_acknowledge(struct lapic *apic);

/* The task priority register, all 8 bits; CR8 is its bits 7:4. Lowering it may announce an
 * interrupt. */
uint8_t lapic_tpr_get(struct lapic *apic);
void lapic_tpr_set(struct lapic *apic, uint8_t tpr);

/* MSRs 0x1b (IA32_APIC_BASE), 0x6e0 (IA32_TSC_DEADLINE), 0x800-0x8ff (x2APIC). False: #GP. */
bool lapic_msr_read(struct lapic *apic, uint32_t msr, uint64_t *value);
bool lapic_msr_write(struct lapic *apic, uint32_t msr, uint64_t value);

/* For PV EOI and tests: end of interrupt for the highest in service. */
void lapic_eoi(struct lapic *apic);

/* PV EOI: may the end of `vector`, just acknowledged, be noticed later? It is the only one in
 * service, none is pending behind it, and nobody but this APIC has to know. */
bool lapic_eoi_may_wait(struct lapic *apic, uint8_t vector);
/* `collect` runs, on the vCPU's thread, before the guest's accesses to registers: ends what the
 * guest has ended without telling. */
void lapic_set_eoi_collector(struct lapic *apic, void (*collect)(struct vcpu *vcpu));

/* --- messages between controllers; any thread ----------------------------------------------- */

enum apic_delivery { /* Intel SDM vol. 3, 11.6.1; the values of ICR and redirection entries */
                     APIC_FIXED = 0,
                     APIC_LOWEST = 1,
                     APIC_SMI = 2,
                     APIC_NMI = 4,
                     APIC_INIT = 5,
                     APIC_SIPI = 6,
                     APIC_EXTINT = 7,
};

struct apic_message {
    uint32_t destination;
    bool logical;
    bool level;       /* level triggered: the EOI is broadcast to the I/O APIC */
    bool from_x2apic; /* 32-bit destination, broadcast is all ones; else 8-bit, 0xff */
    uint8_t vector;
    enum apic_delivery delivery;
};
/* True if at least one local APIC took it. */
bool apic_deliver(struct vm *vm, const struct apic_message *message);

/* A message signalled interrupt (Intel SDM vol. 3, 11.11). With the engine's own controllers in
 * use this does nothing; the engine has its own way in. */
void apic_deliver_msi(struct vm *vm, uint64_t address, uint32_t data);

/* The 8259's INTR wire of the boot CPU's LINT0 changed. */
void lapic_lint0_changed(struct vm *vm, bool level);

/* A level-triggered interrupt with this vector was ended by a local APIC. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level);

void pic_set_irq(struct pic *pic, unsigned irq, bool level);
/* The INTR wire; takes no lock. */
bool pic_has_interrupt(struct pic *pic);
/* The INTA cycle: the vector, the spurious one (IRQ 7's or 15's) if the request has gone. */
uint8_t pic_acknowledge(struct pic *pic);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Raising exceptions, and delivering every kind of event through the IDT or IVT.
 *
 * How the engine uses it. Instructions in C raise with x86_raise*(), which fill cpu->fault_* and
 * unwind to the engine's loop. The loop then calls
 *     x86_deliver_fault(cpu)
 * and, for interrupts, x86_deliver(cpu, vector, X86_EVENT_INTERRUPT, ...). Delivery itself may
 * fault and unwind: the loop just calls x86_deliver_fault() again; cpu->delivering remembers what
 * was under way, so that the second call makes it a double fault, or reports the third as
 * X86_DELIVERY_TRIPLE_FAULT. On X86_DELIVERED cpu->rip is the handler; mode, CPL and flags may have
 * changed. (Intel SDM vol. 3, chapter 6) */
#ifndef YADO_X86_EXCEPTION_H
#define YADO_X86_EXCEPTION_H

#include "x86/cpu.h"

/* Never return. At the time of the call no guest-visible state of the instruction has changed and
 * cpu->rip is its address. */
void x86_raise(struct x86_cpu *cpu, uint8_t vector) __attribute__((noreturn, cold));
void x86_raise_error(struct x86_cpu *cpu, uint8_t vector, uint32_t error)
    __attribute__((noreturn, cold));
void x86_raise_pf(struct x86_cpu *cpu, uint64_t addr, uint32_t error) __attribute__((noreturn));
/* #DB now, as a fault, with these DR6 bits. */
void x86_raise_debug(struct x86_cpu *cpu, uint32_t dr6) __attribute__((noreturn, cold));

enum x86_event {
    X86_EVENT_INTERRUPT, /* from the 8259 or local APIC */
    X86_EVENT_NMI,
    X86_EVENT_EXCEPTION, /* a fault: return address is cpu->rip, RF is set in the saved flags */
    X86_EVENT_TRAP,      /* #DB after an instruction: return address is cpu->rip */
    X86_EVENT_SOFT_INT,  /* int n */
    X86_EVENT_SOFT_EXCEPTION, /* int3, into */
    X86_EVENT_ICEBP,          /* int1: no gate DPL check */
};

enum x86_delivery { X86_DELIVERED, X86_DELIVERY_TRIPLE_FAULT };

/* What cpu->delivering says. The names are the classes of the double fault rules (Intel SDM
 * vol. 3, table 6-5). */
enum x86_delivering {
    X86_DELIVERING_NOTHING,
    X86_DELIVERING_BENIGN,
    X86_DELIVERING_CONTRIBUTORY,
    X86_DELIVERING_PAGE_FAULT,
    X86_DELIVERING_DOUBLE_FAULT,
};

/* Delivers an event. `next_rip` is the return address of software events; the others use cpu->rip.
 * May raise (unwind) a nested fault. */
enum x86_delivery x86_deliver(struct x86_cpu *cpu, uint8_t vector, enum x86_event event,
                              bool has_error, uint32_t error, uint64_t next_rip);

/* Delivers the fault recorded in cpu->fault_*. */
enum x86_delivery x86_deliver_fault(struct x86_cpu *cpu);

/* Delivers #DB as a trap after an instruction, with these DR6 bits (single step: 1 << 14). */
enum x86_delivery x86_deliver_debug_trap(struct x86_cpu *cpu, uint32_t dr6);

#define DR6_FIXED 0xffff0ff0u
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)

/* DR7's R/W field: what a breakpoint watches. */
enum x86_watch { X86_WATCH_EXEC = 0, X86_WATCH_WRITE = 1, X86_WATCH_IO = 2, X86_WATCH_READ = 3 };

/* DR6 bits B0-B3 of the enabled breakpoints hit by an access to [addr, addr + size); EXEC, IO, or
 * READ or WRITE for data. */
uint32_t x86_breakpoints(const struct x86_cpu *cpu, uint64_t addr, unsigned size,
                         enum x86_watch watch);

/* Are any breakpoints of this kind enabled? READ stands for all data breakpoints. */
bool x86_breakpoints_enabled(const struct x86_cpu *cpu, enum x86_watch watch);

#endif

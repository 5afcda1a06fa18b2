/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What src/x86 and the translator write into the log about a processor, in the form of QEMU's log.
 * Each of them is called only after x86_log_on() said so. On the vCPU's thread. */
#ifndef YADO_X86_LOG_H
#define YADO_X86_LOG_H

#include "util/log.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/paging.h"

/* Is one of these categories on? If so, the guest's vector registers are put into memory: the
 * functions below are ordinary code, which spoils the host's. */
static inline bool x86_log_on(struct x86_cpu *cpu, unsigned categories)
{
    if (!log_enabled(categories))
        return false;
    x86_quiesce(cpu);
    return true;
}

/* int: an event about to be delivered. */
void x86_log_event(struct x86_cpu *cpu, uint8_t vector, enum x86_event event, uint32_t error);

/* cpu_reset: the state that a reset, or a triple fault, ends. */
void x86_log_reset(struct x86_cpu *cpu, const char *what);

/* cpu: the registers, under `head`, a line. */
void x86_log_state(struct x86_cpu *cpu, const char *head);

/* mmu: what a page walk found, with the entries it went through. */
void x86_log_walk(struct x86_cpu *cpu, uint64_t linear, enum x86_access access, bool good,
                  const struct x86_walk *walk);
void x86_log_control(struct x86_cpu *cpu, unsigned number, uint64_t value);

/* pcall: a far transfer, before it is carried out. */
void x86_log_far(struct x86_cpu *cpu, const char *what, uint16_t selector, uint64_t offset);

#endif

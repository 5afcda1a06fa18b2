/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic whose flags the host CPU computes: the operation itself is executed, so
 * results and flags (defined or not) are the hardware's. Internal to src/x86. */
#ifndef YADO_X86_ALU_H
#define YADO_X86_ALU_H

#include "x86/operand.h"

/* What LAHF puts into AH and SETO into AL, as RFLAGS bits. (No PUSHF: the red zone.) */
static inline uint64_t flags_from_ax(uint64_t ax)
{
    return ((ax >> 8) & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) | (ax & 1 ? FLAG_OF : 0);
}

static inline void flags_set(struct x86_cpu *cpu, uint64_t flags)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_ARITHMETIC) | flags;
}

/* Flags of comparing `a` with `b`. */
static inline uint64_t flags_compare(uint64_t a, uint64_t b, unsigned size)
{
    uint64_t ax;

    switch (size) {
    case 1:
        __asm__("cmpb %b2, %b1\n\tlahf\n\tseto %%al" : "=&a"(ax) : "r"(a), "r"(b) : "cc");
        break;
    case 2:
        __asm__("cmpw %w2, %w1\n\tlahf\n\tseto %%al" : "=&a"(ax) : "r"(a), "r"(b) : "cc");
        break;
    case 4:
        __asm__("cmpl %k2, %k1\n\tlahf\n\tseto %%al" : "=&a"(ax) : "r"(a), "r"(b) : "cc");
        break;
    default:
        __asm__("cmpq %2, %1\n\tlahf\n\tseto %%al" : "=&a"(ax) : "r"(a), "r"(b) : "cc");
    }
    return flags_from_ax(ax);
}

#endif

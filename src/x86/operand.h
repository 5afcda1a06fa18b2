/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What handlers of instructions share: operands, registers of any width, the next rip.
 * Internal to src/x86. */
#ifndef YADO_X86_OPERAND_H
#define YADO_X86_OPERAND_H

#include "x86/access.h"
#include "x86/exception.h"
#include "x86/execute.h"

static inline uint64_t width_mask(unsigned size)
{
    return size >= 8 ? ~0ull : (1ull << size * 8) - 1;
}
static inline uint64_t sign_bit(unsigned size)
{
    return 1ull << (size * 8 - 1);
}
static inline int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - size * 8;

    return (int64_t)(value << shift) >> shift;
}

static inline uint64_t reg_get(const struct x86_cpu *cpu, unsigned reg, unsigned size)
{
    return cpu->regs[reg] & width_mask(size);
}

/* As hardware writes registers: 32-bit results clear the upper half, smaller ones keep the rest. */
static inline void reg_set(struct x86_cpu *cpu, unsigned reg, uint64_t value, unsigned size)
{
    if (size == 8)
        cpu->regs[reg] = value;
    else if (size == 4)
        cpu->regs[reg] = (uint32_t)value;
    else
        cpu->regs[reg] = (cpu->regs[reg] & ~width_mask(size)) | (value & width_mask(size));
}

static inline uint64_t rip_wrap(const struct x86_cpu *cpu, uint64_t rip)
{
    return x86_code64(cpu) ? rip : (uint32_t)rip;
}
static inline uint64_t rip_next(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return rip_wrap(cpu, cpu->rip + insn->length);
}
static inline enum x86_next insn_done(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->rip = rip_next(cpu, insn);
    return X86_NEXT;
}
/* As insn_done, where the translator must look at the state afresh. */
static inline enum x86_next insn_done_jump(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->rip = rip_next(cpu, insn);
    return X86_JUMP;
}

/* Offset of the memory operand in its segment, truncated to the address size. */
static inline uint64_t operand_offset(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = insn->disp;

    if (insn->base == X86_REG_RIP)
        offset += cpu->rip + insn->length;
    else if (insn->base != X86_NO_REG)
        offset += cpu->regs[insn->base];
    if (insn->index != X86_NO_REG)
        offset += cpu->regs[insn->index] * insn->scale;
    return offset & width_mask(insn->addr_width);
}

/* Linear address of the memory operand, checked for an access of `size` bytes. */
static inline uint64_t operand_linear(struct x86_cpu *cpu, const struct x86_insn *insn,
                                      unsigned size, bool write)
{
    return x86_seg_check(cpu, insn->segment, operand_offset(cpu, insn), size, write);
}

uint64_t x86_operand_read(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n);
void x86_operand_write(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n,
                       uint64_t value);

/* #GP(0) unless CPL is 0. */
static inline void need_cpl0(struct x86_cpu *cpu)
{
    if (unlikely(cpu->cpl != 0))
        x86_raise_error(cpu, VECTOR_GP, 0);
}
/* #UD in real and virtual-8086 mode. */
static inline void need_protected(struct x86_cpu *cpu)
{
    if (unlikely(!x86_protected(cpu) || (cpu->rflags & FLAG_VM)))
        x86_raise(cpu, VECTOR_UD);
}
static inline unsigned x86_iopl(const struct x86_cpu *cpu)
{
    return (cpu->rflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT;
}
static inline bool x86_no_segments(const struct x86_cpu *cpu) /* real or virtual-8086 mode */
{
    return !x86_protected(cpu) || (cpu->rflags & FLAG_VM);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Execution of single instructions in C: everything privileged, sensitive or rare, and, as a
 * fallback for whatever the translator declines, all integer instructions.
 *
 * The translator decodes with Zydis once, keeps the compact form made by x86_insn_make(), and calls
 * x86_execute() each time the instruction is reached. At the call all general registers and all of
 * cpu->rflags are current and cpu->rip is the instruction's address; afterwards the same holds.
 * An exception unwinds (exception.h) with nothing of the instruction done, except that a repeated
 * string instruction has its finished iterations in the registers. */
#ifndef YADO_X86_EXECUTE_H
#define YADO_X86_EXECUTE_H

#include <Zydis/Zydis.h>

#include "x86/cpu.h"

enum x86_next {
    X86_NEXT,  /* rip is the next instruction; nothing that code depends on has changed */
    X86_JUMP,  /* go on at cpu->rip, looking at mode, CPL, flags and pending events afresh */
    X86_AGAIN, /* a repeated string instruction stopped part way; rip is still its own */
};

enum x86_operand_kind {
    X86_OPERAND_NONE,
    X86_OPERAND_REG,  /* reg: enum x86_reg */
    X86_OPERAND_HIGH, /* AH, CH, DH, BH: reg 0..3 */
    X86_OPERAND_MEM,  /* the instruction's one memory operand */
    X86_OPERAND_IMM,
    X86_OPERAND_SEG, /* reg: enum x86_seg */
    X86_OPERAND_CR,
    X86_OPERAND_DR,
    X86_OPERAND_POINTER, /* selector in imm2, offset in imm */
    X86_OPERAND_OTHER,   /* vector, x87, mask registers … */
};
struct x86_operand {
    uint8_t kind, reg, size; /* size in bytes */
};

#define X86_NO_REG 0xff
#define X86_REG_RIP 0xfe

#define X86_PREFIX_LOCK 1u
#define X86_PREFIX_REP 2u
#define X86_PREFIX_REPNE 4u
#define X86_PREFIX_REX_W 8u

#define X86_OPERANDS 4

struct x86_insn {
    enum x86_next (*execute)(struct x86_cpu *cpu, const struct x86_insn *insn);
    uint64_t imm;      /* sign-extended; relative branches: offset from the next instruction */
    int64_t disp;      /* memory operand; an absolute address if there is no base and index */
    uint16_t imm2;     /* far pointers: selector; enter: nesting level */
    uint16_t mnemonic; /* ZydisMnemonic */
    uint8_t length;
    uint8_t width;      /* operand size in bytes */
    uint8_t addr_width; /* address size in bytes */
    uint8_t prefixes;
    uint8_t opcode;
    uint8_t base, index, scale; /* base and index: enum x86_reg, X86_NO_REG, X86_REG_RIP */
    uint8_t segment;            /* enum x86_seg of the memory operand (string: of the source) */
    uint8_t operands;           /* used entries of op */
    struct x86_operand op[X86_OPERANDS]; /* the visible ones, in the manual's order */
};

/* Start-up and translation time: fills `insn` from a full decode. Works for any instruction; one
 * that x86_execute() cannot do raises #UD when executed (and logs under unimp). */
void x86_insn_make(struct x86_insn *insn, const ZydisDecodedInstruction *info,
                   const ZydisDecodedOperand *operands);

/* Is there C code for this instruction? */
bool x86_insn_known(const struct x86_insn *insn);

static inline enum x86_next x86_execute(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return insn->execute(cpu, insn);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disassembly for people, in the layout of QEMU's logs and monitor: address, bytes, AT&T syntax.
 * Async-signal-safe. */
#ifndef YADO_X86_DISASSEMBLE_H
#define YADO_X86_DISASSEMBLE_H

#include "util/text.h"
#include "x86/cpu.h"

#define X86_INSN_BYTES 15 /* longest instruction */

/* How wide code is: 16, 32 or 64. */
static inline unsigned x86_code_bits(const struct x86_cpu *cpu)
{
    return x86_code64(cpu) ? 64 : cpu->seg[SEG_CS].attr & SEG_ATTR_DB ? 32 : 16;
}

/* One instruction's line (two if it is long), ended by "\n". Returns its length; what is no
 * instruction is a ".byte" of length 1, and 0 means that `available` bytes are not enough. */
unsigned x86_disassemble(struct text *to, unsigned bits, uint64_t address, const uint8_t *code,
                         size_t available);

/* The same without address and bytes, and without the line's end. */
unsigned x86_disassemble_words(struct text *to, unsigned bits, uint64_t address,
                               const uint8_t *code, size_t available);

#endif

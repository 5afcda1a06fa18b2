/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disassembly for people, in the layout of QEMU's logs and monitor: address, bytes, AT&T syntax.
 * Async-signal-safe. */
#ifndef YADO_X86_DISASSEMBLE_H
#define YADO_X86_DISASSEMBLE_H

#include "util/text.h"

#define X86_INSN_BYTES 15 /* longest instruction */

/* One instruction's line of 16-, 32- or 64-bit code (x86_code_bits()) (two if it is long), ended by
 * "\n". Returns its length; what is no instruction is a ".byte" of length 1, and 0 means that
 * `available` bytes are not enough. */
unsigned x86_disassemble(struct text *to, unsigned bits, uint64_t address, const uint8_t *code,
                         size_t available);

/* The same without address and bytes, and without the line's end. */
unsigned x86_disassemble_words(struct text *to, unsigned bits, uint64_t address,
                               const uint8_t *code, size_t available);

#endif

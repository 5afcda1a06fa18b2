/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A processor's registers as text, laid out as QEMU's `info registers` does, which people and
 * scripts know by heart. One formatter for the monitor, the log and crash reports.
 * Async-signal-safe. */
#ifndef YADO_X86_DUMP_H
#define YADO_X86_DUMP_H

#include "util/text.h"
#include "x86/cpu.h"

#define X86_DUMP_BYTES 8192 /* room enough for everything */

/* General registers to EFER; the lines end in "\n". */
void x86_dump(const struct x86_cpu *cpu, struct text *to);

/* x87, SSE, AVX or AVX-512 registers, whichever XCR0 and the CPU model offer most. From cpu->xsave:
 * they must not be in the host's registers (x86_quiesce()). */
void x86_dump_fpu(const struct x86_cpu *cpu, struct text *to);

/* The name of an exception's vector, "#PF"; NULL for others. */
const char *x86_vector_name(unsigned vector);

#endif

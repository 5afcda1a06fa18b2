/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at a stopped processor from outside, for debuggers: nothing of its state changes, and no
 * permission is asked. Any engine's; any thread while the processor is stopped. */
#ifndef YADO_X86_INSPECT_H
#define YADO_X86_INSPECT_H

#include "x86/cpu.h"

/* Reads `size` (4 or 8) bytes of a page table; false if nothing is there. */
typedef bool (*x86_table_reader)(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry);

struct x86_mapping {
    uint64_t gpa;       /* of the byte asked for */
    uint8_t page_shift; /* 12, 21, 22 or 30 */
    bool user, writable, executable;
};

/* Where linear address `linear` leads, through the page tables in force; false: it is not mapped.
 * Unlike x86_walk() it sets no accessed and dirty bits. */
bool x86_inspect(const struct x86_cpu *cpu, uint64_t linear, x86_table_reader read, void *opaque,
                 struct x86_mapping *out);

/* A page that is mapped. `allowed`: the entries of all levels and-ed; `entry`: the last one. */
struct x86_page {
    uint64_t linear, gpa, entry, allowed;
    unsigned shift;
};

/* Calls `page` for every page mapped by the tables in force, in ascending order; paging is on.
 * False: there are more than `tables_max` tables, and not all were looked at. */
bool x86_inspect_all(const struct x86_cpu *cpu, x86_table_reader read, void *opaque,
                     unsigned tables_max, void (*page)(void *opaque, const struct x86_page *page),
                     void *page_opaque);

/* The linear address of the next instruction. */
static inline uint64_t x86_linear_rip(const struct x86_cpu *cpu)
{
    return x86_code64(cpu) ? cpu->rip : (uint32_t)(cpu->rip + cpu->seg[SEG_CS].base);
}

/* Operand and address size of the code that runs: 16, 32 or 64. */
static inline unsigned x86_code_bits(const struct x86_cpu *cpu)
{
    if (x86_code64(cpu))
        return 64;
    return cpu->seg[SEG_CS].attr & SEG_ATTR_DB ? 32 : 16;
}

#endif

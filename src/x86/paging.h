/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest page table walk, for every paging form (Intel SDM vol. 3, chapter 4).
 * Called on the vCPU's thread, also with guest vector registers live: calls nothing but ops. */
#ifndef YADO_X86_PAGING_H
#define YADO_X86_PAGING_H

#include "x86/cpu.h"

/* What an access does and on whose behalf. One of READ, WRITE, EXEC; a read-modify-write is a
 * WRITE. Without USER it is a supervisor access; IMPLICIT marks supervisor accesses the processor
 * makes by itself (descriptor tables, TSS), which RFLAGS.AC does not exempt from SMAP. */
enum x86_access {
    X86_READ = 0,
    X86_WRITE = 1,
    X86_EXEC = 2,
    X86_USER = 4,
    X86_IMPLICIT = 8,
};

/* #PF error code (Intel SDM vol. 3, 4.7) */
#define PF_PRESENT (1u << 0)
#define PF_WRITE (1u << 1)
#define PF_USER (1u << 2)
#define PF_RSVD (1u << 3)
#define PF_FETCH (1u << 4)

struct x86_walk {
    uint64_t gpa;       /* of the byte asked for, A20 applied */
    uint8_t page_shift; /* 12, 21, 22 or 30; 12 with paging off */
    /* Permissions of the mapping itself, all levels combined. */
    bool user, writable, executable, global;
    bool dirty; /* the leaf's D bit, after this walk; true with paging off */
    /* Accesses of the same privilege (USER or not) that may use this result without another walk,
     * given CR0.WP, CR4.SMEP/SMAP and RFLAGS.AC as they are: write only if the D bit is set. */
    bool can_read, can_write, can_exec;
    uint32_t error; /* the walk failed: #PF error code */
};

/* Translates `linear` (canonical: the caller checks), sets A and D bits as the access needs. False:
 * a page fault, with out->error set; nothing was changed then. */
bool x86_walk(struct x86_cpu *cpu, uint64_t linear, enum x86_access access, struct x86_walk *out);

/* Fills cpu->pdpte from CR3 as a CR3 load with PAE paging does; false (#GP) if a reserved bit is
 * set in a present entry, with cpu->pdpte unchanged. (Intel SDM vol. 3, 4.4.1) */
bool x86_load_pdptes(struct x86_cpu *cpu, uint64_t cr3);

/* Is a linear address canonical (48 bits)? */
static inline bool x86_canonical(const struct x86_cpu *cpu, uint64_t addr)
{
    (void)cpu;
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

#endif

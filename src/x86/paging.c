/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/paging.h"

#include "x86/model.h"

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_PS 0x80u
#define PTE_G 0x100u
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

/* The entries a walk went through, so that A and D bits can be set once it is known to succeed. */
struct path {
    uint64_t entry[4], gpa[4];
    unsigned depth; /* the leaf is entry[depth - 1] */
};

static uint64_t table_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    const char *page = cpu->ops->ram(cpu, gpa);

    if (unlikely(!page))
        return cpu->ops->phys_read(cpu, gpa, size);
    /* Another processor may change the entry at any time: exactly one load. */
    if (size == 8)
        return *(const volatile uint64_t *)(page + (gpa & 0xfff));
    return *(const volatile uint32_t *)(page + (gpa & 0xfff));
}

static bool walk_fault(const struct x86_cpu *cpu, enum x86_access access, uint32_t why,
                       struct x86_walk *out)
{
    bool fetch_shown = ((cpu->efer & EFER_NXE) && (cpu->cr4 & CR4_PAE)) || (cpu->cr4 & CR4_SMEP);

    out->error = why | (access & X86_WRITE ? PF_WRITE : 0) | (access & X86_USER ? PF_USER : 0)
                 | ((access & X86_EXEC) && fetch_shown ? PF_FETCH : 0);
    return false;
}

/* Turns the combined permissions into what accesses of this privilege may do. (Intel SDM vol. 3,
 * 4.6.1) */
static bool walk_permit(const struct x86_cpu *cpu, enum x86_access access, struct x86_walk *out)
{
    if (access & X86_USER) {
        out->can_read = out->user;
        out->can_write = out->user && out->writable;
        out->can_exec = out->user && out->executable;
    } else {
        bool exempt = !out->user || !(cpu->cr4 & CR4_SMAP)
                      || ((cpu->rflags & FLAG_AC) && !(access & X86_IMPLICIT));

        out->can_read = exempt;
        out->can_write = exempt && (out->writable || !(cpu->cr0 & CR0_WP));
        out->can_exec = out->executable && !(out->user && (cpu->cr4 & CR4_SMEP));
    }
    if (access & X86_WRITE)
        return out->can_write;
    return access & X86_EXEC ? out->can_exec : out->can_read;
}

/* Sets A in every entry and, for a write, D in the leaf. False: an entry changed under us, walk
 * again. */
static bool path_mark(struct x86_cpu *cpu, struct path *path, bool write, unsigned size)
{
    for (unsigned n = 0; n < path->depth; n++) {
        uint64_t set = PTE_A | (write && n == path->depth - 1 ? PTE_D : 0);

        if ((path->entry[n] & set) == set)
            continue;
        if (!cpu->ops->phys_cas(cpu, path->gpa[n], path->entry[n], path->entry[n] | set, size))
            return false;
        path->entry[n] |= set;
    }
    return true;
}

static bool walk_finish(struct x86_cpu *cpu, enum x86_access access, struct path *path,
                        unsigned entry_size, struct x86_walk *out, bool *again)
{
    uint64_t all = ~0ull, leaf = path->entry[path->depth - 1];

    if (unlikely(!walk_permit(cpu, access, out)))
        return walk_fault(cpu, access, PF_PRESENT, out);
    for (unsigned n = 0; n < path->depth; n++)
        all &= path->entry[n];
    if (unlikely(!(all & PTE_A) || ((access & X86_WRITE) && !(leaf & PTE_D)))) {
        if (!path_mark(cpu, path, access & X86_WRITE, entry_size)) {
            *again = true;
            return false;
        }
        leaf = path->entry[path->depth - 1];
    }
    out->dirty = leaf & PTE_D;
    out->can_write = out->can_write && out->dirty;
    out->global = (leaf & PTE_G) && (cpu->cr4 & CR4_PGE);
    out->gpa &= cpu->a20_mask;
    out->error = 0;
    return true;
}

/* PAE and 4-level paging: 64-bit entries from `level` (3: PML4, 1: page directory) down. */
static bool walk64(struct x86_cpu *cpu, uint64_t linear, enum x86_access access, uint64_t table,
                   int level, struct x86_walk *out, bool *again)
{
    bool pae = level == 1;
    uint64_t reserved = cpu->model->reserved_phys | (cpu->efer & EFER_NXE ? 0 : PTE_NX)
                        | (pae ? 0x7ff0000000000000ull : 0);
    uint64_t allowed = PTE_U | PTE_W, forbidden = 0;
    struct path path = { .depth = 0 };

    for (;;) {
        unsigned shift = 12 + 9 * level;
        uint64_t gpa = (table + ((linear >> shift) & 0x1ff) * 8) & cpu->a20_mask;
        uint64_t entry = table_read(cpu, gpa, 8);

        if (unlikely(!(entry & PTE_P)))
            return walk_fault(cpu, access, 0, out);
        if (unlikely(entry & reserved))
            return walk_fault(cpu, access, PF_PRESENT | PF_RSVD, out);
        path.entry[path.depth] = entry;
        path.gpa[path.depth++] = gpa;
        allowed &= entry;
        forbidden |= entry;
        if (level == 0 || (entry & PTE_PS)) {
            uint64_t offset = (1ull << shift) - 1;
            /* Bit 12 of a large page is its PAT bit; the address bits below the page size must be
             * zero. PS itself is reserved in a PML4 entry, and where 1 GiB pages are not
             * offered. */
            bool bad = level == 3 || (level == 2 && !x86_has(cpu, HAS_PDPE1GB))
                       || (level > 0 && (entry & offset & PTE_ADDRESS & ~0x1000ull));

            if (unlikely(bad))
                return walk_fault(cpu, access, PF_PRESENT | PF_RSVD, out);
            out->gpa = (entry & PTE_ADDRESS & ~offset) | (linear & offset);
            out->page_shift = shift;
            break;
        }
        table = entry & PTE_ADDRESS;
        level--;
    }
    out->user = allowed & PTE_U;
    out->writable = allowed & PTE_W;
    out->executable = !(forbidden & PTE_NX);
    return walk_finish(cpu, access, &path, 8, out, again);
}

/* 32-bit paging, with 4 MiB pages under CR4.PSE. (Intel SDM vol. 3, 4.3) */
static bool walk32(struct x86_cpu *cpu, uint32_t linear, enum x86_access access,
                   struct x86_walk *out, bool *again)
{
    struct path path = { .depth = 1 };
    uint64_t gpa = ((cpu->cr3 & 0xfffff000u) + (linear >> 22) * 4) & cpu->a20_mask;
    uint32_t entry = table_read(cpu, gpa, 4), allowed = entry;

    path.entry[0] = entry;
    path.gpa[0] = gpa;
    if (!(entry & PTE_P))
        return walk_fault(cpu, access, 0, out);
    if ((entry & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        /* PSE-36: bits 20:13 are address bits 39:32. */
        uint64_t high = (uint64_t)(entry & 0x1fe000) << 19;
        bool bad = x86_has(cpu, HAS_PSE36)
                       ? (entry & (1u << 21)) || (high & cpu->model->reserved_phys)
                       : (entry & 0x3fe000) != 0;

        if (bad)
            return walk_fault(cpu, access, PF_PRESENT | PF_RSVD, out);
        out->gpa = high | (entry & 0xffc00000u) | (linear & 0x3fffff);
        out->page_shift = 22;
    } else {
        gpa = ((entry & 0xfffff000u) + ((linear >> 12) & 0x3ff) * 4) & cpu->a20_mask;
        entry = table_read(cpu, gpa, 4);
        path.entry[1] = entry;
        path.gpa[1] = gpa;
        path.depth = 2;
        if (!(entry & PTE_P))
            return walk_fault(cpu, access, 0, out);
        allowed &= entry;
        out->gpa = (entry & 0xfffff000u) | (linear & 0xfff);
        out->page_shift = 12;
    }
    out->user = allowed & PTE_U;
    out->writable = allowed & PTE_W;
    out->executable = true;
    return walk_finish(cpu, access, &path, 4, out, again);
}

static bool walk_flat(struct x86_cpu *cpu, uint64_t linear, struct x86_walk *out)
{
    *out = (struct x86_walk){
        .gpa = (uint32_t)linear & cpu->a20_mask,
        .page_shift = 12,
        .user = true,
        .writable = true,
        .executable = true,
        .dirty = true,
        .can_read = true,
        .can_write = true,
        .can_exec = true,
    };
    return true;
}

bool x86_walk(struct x86_cpu *cpu, uint64_t linear, enum x86_access access, struct x86_walk *out)
{
    bool again, ok;

    if (!(cpu->cr0 & CR0_PG))
        return walk_flat(cpu, linear, out);
    do {
        again = false;
        if (cpu->efer & EFER_LMA) {
            ok = walk64(cpu, linear, access, cpu->cr3 & PTE_ADDRESS, 3, out, &again);
        } else if (cpu->cr4 & CR4_PAE) {
            uint64_t pdpte = cpu->pdpte[(linear >> 30) & 3];

            if (!(pdpte & PTE_P))
                return walk_fault(cpu, access, 0, out);
            ok = walk64(cpu, (uint32_t)linear, access, pdpte & PTE_ADDRESS, 1, out, &again);
        } else {
            ok = walk32(cpu, linear, access, out, &again);
        }
    } while (unlikely(again));
    return ok;
}

bool x86_load_pdptes(struct x86_cpu *cpu, uint64_t cr3)
{
    uint64_t base = cr3 & 0xffffffe0u, entries[4];
    uint64_t reserved = cpu->model->reserved_phys | 0xfff00000000001e6ull;

    for (unsigned n = 0; n < 4; n++) {
        entries[n] = table_read(cpu, (base + n * 8) & cpu->a20_mask, 8);
        if ((entries[n] & PTE_P) && (entries[n] & reserved))
            return false;
    }
    for (unsigned n = 0; n < 4; n++)
        cpu->pdpte[n] = entries[n];
    return true;
}

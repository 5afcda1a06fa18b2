/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/inspect.h"

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_PS 0x80u
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

struct inspection {
    const struct x86_cpu *cpu;
    x86_table_reader read;
    void *opaque;
    uint64_t linear;
};

static void mapping_set(struct x86_mapping *out, uint64_t frame, uint64_t linear, unsigned shift,
                        uint64_t allowed, bool executable)
{
    uint64_t offset = (1ull << shift) - 1;

    *out = (struct x86_mapping){
        .gpa = (frame & ~offset) | (linear & offset),
        .page_shift = shift,
        .user = allowed & PTE_U,
        .writable = allowed & PTE_W,
        .executable = executable,
    };
}

/* Tables of 64-bit entries, from `level` (4: five-level paging, 1: PAE's page directory) down. */
static bool inspect64(const struct inspection *in, uint64_t table, int level,
                      struct x86_mapping *out)
{
    uint64_t allowed = PTE_U | PTE_W, entry;
    bool executable = true;

    for (;; level--) {
        unsigned shift = 12 + 9 * level;
        uint64_t gpa = (table + ((in->linear >> shift) & 0x1ff) * 8) & in->cpu->a20_mask;

        if (!in->read(in->opaque, gpa, 8, &entry) || !(entry & PTE_P))
            return false;
        allowed &= entry;
        executable &= !(entry & PTE_NX);
        if (level == 0 || (level <= 2 && (entry & PTE_PS))) {
            mapping_set(out, entry & PTE_ADDRESS, in->linear, shift, allowed, executable);
            return true;
        }
        table = entry & PTE_ADDRESS;
    }
}

/* (Intel SDM vol. 3, 4.3) */
static bool inspect32(const struct inspection *in, struct x86_mapping *out)
{
    const struct x86_cpu *cpu = in->cpu;
    uint64_t directory, entry, linear = (uint32_t)in->linear;
    uint64_t gpa = ((cpu->cr3 & 0xfffff000u) + (linear >> 22) * 4) & cpu->a20_mask;

    if (!in->read(in->opaque, gpa, 4, &directory) || !(directory & PTE_P))
        return false;
    if ((directory & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
        /* Bits 20:13 are the address' bits 39:32. (4.3, "PSE-36") */
        uint64_t frame = (directory & 0xffc00000u) | (directory >> 13 & 0xff) << 32;

        mapping_set(out, frame, linear, 22, directory, true);
        return true;
    }
    gpa = ((directory & 0xfffff000u) + ((linear >> 12) & 0x3ff) * 4) & cpu->a20_mask;
    if (!in->read(in->opaque, gpa, 4, &entry) || !(entry & PTE_P))
        return false;
    mapping_set(out, entry & 0xfffff000u, linear, 12, directory & entry, true);
    return true;
}

bool x86_inspect(const struct x86_cpu *cpu, uint64_t linear, x86_table_reader read, void *opaque,
                 struct x86_mapping *out)
{
    struct inspection in = { cpu, read, opaque, linear };
    bool mapped;

    if (!(cpu->cr0 & CR0_PG)) {
        mapping_set(out, (uint32_t)linear & ~0xfffull, linear, 12, PTE_U | PTE_W, true);
        mapped = true;
    } else if (cpu->efer & EFER_LMA) {
        unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;

        if ((uint64_t)((int64_t)(linear << (64 - bits)) >> (64 - bits)) != linear)
            return false;
        mapped = inspect64(&in, cpu->cr3 & PTE_ADDRESS, bits == 57 ? 4 : 3, out);
    } else if (cpu->cr4 & CR4_PAE) {
        uint64_t pointer;

        in.linear = (uint32_t)linear;
        mapped = read(opaque, (cpu->cr3 & 0xffffffe0u) + (in.linear >> 30) * 8, 8, &pointer)
                 && (pointer & PTE_P) && inspect64(&in, pointer & PTE_ADDRESS, 1, out);
    } else {
        mapped = inspect32(&in, out);
    }
    if (mapped)
        out->gpa &= cpu->a20_mask;
    return mapped;
}

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

/* --- all pages ------------------------------------------------------------------------------ */

struct survey {
    const struct x86_cpu *cpu;
    x86_table_reader read;
    void *opaque, *page_opaque;
    void (*page)(void *opaque, const struct x86_page *page);
    unsigned tables_left;
    unsigned entry_bytes, index_bits, linear_bits;
};

static void survey_page(const struct survey *survey, uint64_t linear, uint64_t entry,
                        uint64_t allowed, unsigned shift)
{
    uint64_t frame = entry & (survey->entry_bytes == 8 ? PTE_ADDRESS : 0xfffff000u);
    unsigned unused = 64 - survey->linear_bits;

    if (survey->entry_bytes == 4 && shift == 22) /* PSE-36 */
        frame = (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32;
    if (survey->linear_bits > 32) /* canonical */
        linear = (int64_t)(linear << unused) >> unused;
    survey->page(survey->page_opaque, &(struct x86_page){
                                          .linear = linear,
                                          .gpa = frame & ~((1ull << shift) - 1),
                                          .entry = entry,
                                          .allowed = allowed,
                                          .shift = shift,
                                      });
}

/* A table whose entries map 1 << shift bytes each. False: enough. */
static bool survey_table(struct survey *survey, uint64_t table, uint64_t linear, unsigned shift,
                         uint64_t allowed)
{
    bool may_be_large = shift == 21 || shift == 30 || (shift == 22 && survey->cpu->cr4 & CR4_PSE);
    /* The four entries of PAE's first table have no W and U bits. */
    bool pointers = survey->linear_bits == 32 && shift == 30;
    unsigned count = pointers ? 4 : 1u << survey->index_bits;

    if (!survey->tables_left--)
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry, at = linear | (uint64_t)i << shift;
        uint64_t gpa = (table + i * survey->entry_bytes) & survey->cpu->a20_mask;
        if (!survey->read(survey->opaque, gpa, survey->entry_bytes, &entry) || !(entry & PTE_P))
            continue;
        uint64_t both = pointers ? allowed : allowed & entry;
        if (shift == 12 || (may_be_large && !pointers && entry & PTE_PS)) {
            survey_page(survey, at, entry, both, shift);
        } else if (!survey_table(survey,
                                 entry & (survey->entry_bytes == 8 ? PTE_ADDRESS : 0xfffff000u), at,
                                 shift - survey->index_bits, both)) {
            return false;
        }
    }
    return true;
}

bool x86_inspect_all(const struct x86_cpu *cpu, x86_table_reader read, void *opaque,
                     unsigned tables_max, void (*page)(void *opaque, const struct x86_page *page),
                     void *page_opaque)
{
    struct survey survey = {
        .cpu = cpu,
        .read = read,
        .opaque = opaque,
        .page = page,
        .page_opaque = page_opaque,
        .tables_left = tables_max,
        .entry_bytes = cpu->cr4 & CR4_PAE ? 8 : 4,
        .index_bits = cpu->cr4 & CR4_PAE ? 9 : 10,
        .linear_bits = 32,
    };

    if (cpu->efer & EFER_LMA) {
        survey.linear_bits = cpu->cr4 & CR4_LA57 ? 57 : 48;
        return survey_table(&survey, cpu->cr3 & PTE_ADDRESS, 0, survey.linear_bits - 9, ~0ull);
    }
    if (cpu->cr4 & CR4_PAE)
        return survey_table(&survey, cpu->cr3 & 0xffffffe0u, 0, 30, ~0ull);
    return survey_table(&survey, cpu->cr3 & 0xfffff000u, 0, 22, ~0ull);
}

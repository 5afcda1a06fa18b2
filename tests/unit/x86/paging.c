/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page walks: each row is one mapping and one access, with the error code or what comes out. */
#include "fake.h"

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define G 0x100u
#define NX (1ull << 63)
#define OK 0x100u /* in place of an error code */

enum form { FLAT, FORM32, FORM32_4M, FORM_PAE, FORM_PAE_2M, FORM_4L, FORM_4L_2M, FORM_4L_1G };

static const struct row {
    const char *name;
    enum form form;
    uint64_t upper, leaf; /* flags of all upper entries, of the leaf */
    uint32_t cr0, cr4, efer, rflags;
    unsigned access;
    uint32_t error; /* or OK */
    uint64_t after; /* expected leaf flags A and D afterwards, if OK */
} rows[] = {
    { "no paging", FLAT, 0, 0, 0, 0, 0, 0, X86_WRITE, OK, 0 },
    { "32-bit read", FORM32, P, P, 0, 0, 0, 0, X86_READ, OK, A },
    { "32-bit write", FORM32, P | W, P | W, 0, 0, 0, 0, X86_WRITE, OK, A | D },
    { "32-bit user read of supervisor page", FORM32, P, P, 0, 0, 0, 0, X86_USER,
      PF_PRESENT | PF_USER, 0 },
    { "32-bit user bit missing above", FORM32, P, P | U, 0, 0, 0, 0, X86_USER, PF_PRESENT | PF_USER,
      0 },
    { "32-bit user write to read-only", FORM32, P | W | U, P | U, 0, 0, 0, 0, X86_USER | X86_WRITE,
      PF_PRESENT | PF_USER | PF_WRITE, 0 },
    { "32-bit supervisor write to read-only, WP clear", FORM32, P, P, 0, 0, 0, 0, X86_WRITE, OK,
      A | D },
    { "32-bit supervisor write to read-only, WP set", FORM32, P, P, CR0_WP, 0, 0, 0, X86_WRITE,
      PF_PRESENT | PF_WRITE, 0 },
    { "32-bit not present", FORM32, P, 0, 0, 0, 0, 0, X86_WRITE, PF_WRITE, 0 },
    { "32-bit not present above", FORM32, 0, P, 0, 0, 0, 0, X86_READ, 0, 0 },
    { "32-bit PS without PSE is a table", FORM32, P | PS, P, 0, 0, 0, 0, X86_READ, OK, A },
    { "32-bit fetch shows no I bit", FORM32, P, 0, 0, 0, 0, 0, X86_EXEC, 0, 0 },
    { "32-bit fetch shows I with SMEP", FORM32, P, 0, 0, CR4_SMEP, 0, 0, X86_EXEC, PF_FETCH, 0 },
    { "4 MiB", FORM32_4M, 0, P | W | PS, 0, CR4_PSE, 0, 0, X86_WRITE, OK, A | D },
    { "4 MiB reserved bit 21", FORM32_4M, 0, P | PS | 1u << 21, 0, CR4_PSE, 0, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "PAE", FORM_PAE, P, P, 0, CR4_PAE, 0, 0, X86_READ, OK, A },
    { "PAE NX reserved without NXE", FORM_PAE, P, P | NX, 0, CR4_PAE, 0, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "PAE NX fetch", FORM_PAE, P, P | NX, 0, CR4_PAE, EFER_NXE, 0, X86_EXEC, PF_PRESENT | PF_FETCH,
      0 },
    { "PAE bit 52 reserved", FORM_PAE, P, P | 1ull << 52, 0, CR4_PAE, EFER_NXE, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "PAE 2 MiB", FORM_PAE_2M, P, P | W | PS, 0, CR4_PAE, 0, 0, X86_WRITE, OK, A | D },
    { "PAE 2 MiB reserved bit 13", FORM_PAE_2M, P, P | PS | 1u << 13, 0, CR4_PAE, 0, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "4-level", FORM_4L, P | W | U, P | W | U, 0, CR4_PAE, EFER_LMA, 0, X86_USER | X86_WRITE, OK,
      A | D },
    { "4-level bit 52 ignored", FORM_4L, P, P | 1ull << 52, 0, CR4_PAE, EFER_LMA, 0, X86_READ, OK,
      A },
    { "4-level physical bit 51 reserved", FORM_4L, P, P | 1ull << 51, 0, CR4_PAE, EFER_LMA, 0,
      X86_READ, PF_PRESENT | PF_RSVD, 0 },
    { "4-level write of a dirty page keeps bits", FORM_4L, P | W | A, P | W | A | D, 0, CR4_PAE,
      EFER_LMA, 0, X86_WRITE, OK, A | D },
    { "4-level user fetch of NX", FORM_4L, P | U, P | U | NX, 0, CR4_PAE, EFER_LMA | EFER_NXE, 0,
      X86_USER | X86_EXEC, PF_PRESENT | PF_USER | PF_FETCH, 0 },
    { "4-level NX above", FORM_4L, P | NX, P, 0, CR4_PAE, EFER_LMA | EFER_NXE, 0, X86_EXEC,
      PF_PRESENT | PF_FETCH, 0 },
    { "SMEP: supervisor fetch of a user page", FORM_4L, P | U, P | U, 0, CR4_PAE | CR4_SMEP,
      EFER_LMA | EFER_NXE, 0, X86_EXEC, PF_PRESENT | PF_FETCH, 0 },
    { "SMEP: supervisor fetch of a supervisor page", FORM_4L, P | U, P, 0, CR4_PAE | CR4_SMEP,
      EFER_LMA | EFER_NXE, 0, X86_EXEC, OK, A },
    { "SMAP: supervisor read of a user page", FORM_4L, P | U, P | U, 0, CR4_PAE | CR4_SMAP,
      EFER_LMA, 0, X86_READ, PF_PRESENT, 0 },
    { "SMAP with AC", FORM_4L, P | U, P | U, 0, CR4_PAE | CR4_SMAP, EFER_LMA, FLAG_AC, X86_READ, OK,
      A },
    { "SMAP with AC, implicit", FORM_4L, P | U, P | U, 0, CR4_PAE | CR4_SMAP, EFER_LMA, FLAG_AC,
      X86_READ | X86_IMPLICIT, PF_PRESENT, 0 },
    { "SMAP does not stop fetches", FORM_4L, P | U, P | U, 0, CR4_PAE | CR4_SMAP, EFER_LMA, 0,
      X86_EXEC, OK, A },
    { "2 MiB", FORM_4L_2M, P | W, P | W | PS, 0, CR4_PAE, EFER_LMA, 0, X86_WRITE, OK, A | D },
    { "2 MiB PAT bit is legal", FORM_4L_2M, P, P | PS | 1u << 12, 0, CR4_PAE, EFER_LMA, 0, X86_READ,
      OK, A },
    { "2 MiB reserved bit 20", FORM_4L_2M, P, P | PS | 1u << 20, 0, CR4_PAE, EFER_LMA, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "1 GiB", FORM_4L_1G, P | W, P | W | PS, 0, CR4_PAE, EFER_LMA, 0, X86_WRITE, OK, A | D },
    { "1 GiB reserved bit 29", FORM_4L_1G, P, P | PS | 1u << 29, 0, CR4_PAE, EFER_LMA, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
    { "PS in a PML4 entry is reserved", FORM_4L, P | PS, P, 0, CR4_PAE, EFER_LMA, 0, X86_READ,
      PF_PRESENT | PF_RSVD, 0 },
};

#define LINEAR 0x40403123ull /* indices 0, 1, 2, 3; 32-bit: 0x101, 3 */
#define TABLES 0x1000u
#define TARGET 0x00800000u

/* Builds tables for LINEAR; returns where the leaf entry is. */
static uint64_t build(struct fake *f, const struct row *row, unsigned *size)
{
    unsigned level, last, shift;
    uint64_t table = TABLES;

    *size = 8;
    f->cpu.cr3 = table;
    switch (row->form) {
    case FLAT:
        return 0;
    case FORM32:
    case FORM32_4M:
        *size = 4;
        if (row->form == FORM32_4M) {
            poke(f, table + 0x101 * 4, TARGET | row->leaf, 4);
            return table + 0x101 * 4;
        }
        poke(f, table + 0x101 * 4, (table + 0x1000) | row->upper, 4);
        poke(f, table + 0x1000 + 3 * 4, TARGET | row->leaf, 4);
        return table + 0x1000 + 3 * 4;
    case FORM_PAE:
    case FORM_PAE_2M:
        f->cpu.pdpte[1] = table | P;
        level = 1;
        break;
    default:
        level = 3;
    }
    last = row->form == FORM_4L_1G ? 2 : row->form == FORM_4L_2M || row->form == FORM_PAE_2M;
    for (; level > last; level--) {
        shift = 12 + 9 * level;
        poke(f, table + (LINEAR >> shift & 511) * 8, (table + 0x1000) | row->upper, 8);
        table += 0x1000;
    }
    shift = 12 + 9 * level;
    table += (LINEAR >> shift & 511) * 8;
    poke(f, table, (last == 2 ? 0 : TARGET) | row->leaf, 8);
    return table;
}

static void check(const struct row *row)
{
    static const uint32_t offset_mask[] = { 0,        0xfff, 0x3fffff, 0xfff,
                                            0x1fffff, 0xfff, 0x1fffff, 0x3fffffff };
    struct fake *f = fake_new("max");
    struct x86_walk walk;
    unsigned size;
    uint64_t leaf = build(f, row, &size), expected;
    bool ok;

    f->cpu.cr0 = CR0_PE | (row->form ? CR0_PG : 0) | row->cr0;
    f->cpu.cr4 = row->cr4;
    f->cpu.efer = row->efer;
    f->cpu.rflags |= row->rflags;
    f->cas_failures = 1; /* as if another processor interfered */
    ok = x86_walk(&f->cpu, LINEAR, row->access, &walk);
    if (row->error != OK) {
        tap_ok(!ok && walk.error == row->error, "%s: error 0x%x", row->name, row->error);
        if (ok || walk.error != row->error)
            tap_note("%s, error 0x%x", ok ? "succeeded" : "failed", walk.error);
    } else {
        expected = row->form == FLAT
                       ? LINEAR
                       : (LINEAR & offset_mask[row->form]) | (row->form == FORM_4L_1G ? 0 : TARGET);
        tap_ok(ok && walk.gpa == expected, "%s: translates", row->name);
        if (!ok || walk.gpa != expected)
            tap_note("ok %d, error 0x%x, gpa 0x%" G_GINT64_MODIFIER "x", ok, walk.error, walk.gpa);
        if (row->form)
            tap_ok((peek(f, leaf, size) & (A | D)) == row->after, "%s: A and D", row->name);
    }
    fake_free(f);
}

static void check_pdptes(void)
{
    struct fake *f = fake_new("max");

    for (unsigned n = 0; n < 4; n++)
        poke(f, 0x2020 + n * 8, 0x3000 + n * 0x1000 + 1, 8);
    f->cpu.cr4 = CR4_PAE;
    tap_ok(x86_load_pdptes(&f->cpu, 0x2020) && f->cpu.pdpte[3] == 0x6001, "PDPTEs are loaded");
    poke(f, 0x2028, 0x3003, 8); /* the R/W bit is reserved there */
    f->cpu.pdpte[0] = 0;
    tap_ok(!x86_load_pdptes(&f->cpu, 0x2020) && f->cpu.pdpte[0] == 0,
           "a reserved bit in a PDPTE refuses all four");
    poke(f, 0x2028, 0x3002, 8);
    tap_ok(x86_load_pdptes(&f->cpu, 0x2020), "reserved bits of an absent PDPTE do not matter");
    fake_free(f);
}

static void check_permissions(void)
{
    static const struct row row = { "", FORM_4L, P | W | U, P | W | U | G, 0, 0, 0, 0, 0, 0, 0 };
    struct fake *f = fake_new("max");
    struct x86_walk walk;
    unsigned size;

    build(f, &row, &size);
    f->cpu.cr0 = CR0_PE | CR0_PG;
    f->cpu.cr4 = CR4_PAE | CR4_PGE;
    f->cpu.efer = EFER_LMA;
    x86_walk(&f->cpu, LINEAR, X86_READ, &walk);
    tap_ok(walk.can_read && !walk.can_write && walk.writable && !walk.dirty && walk.global,
           "a clean page is not yet writable without another walk");
    x86_walk(&f->cpu, LINEAR, X86_WRITE, &walk);
    tap_ok(walk.can_write && walk.dirty, "after a write it is");
    f->cpu.a20_mask = ~(1ull << 20);
    f->cpu.cr0 = CR0_PE;
    x86_walk(&f->cpu, 0x100123, X86_READ, &walk);
    tap_ok(walk.gpa == 0x123, "A20 off wraps at 1 MiB");
    fake_free(f);
}

int main(void)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++)
        check(&rows[n]);
    check_pdptes();
    check_permissions();
    return tap_done();
}

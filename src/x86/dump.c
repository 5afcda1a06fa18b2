/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/dump.h"

#include <inttypes.h>
#include <string.h>

#include "x86/model.h"

const char *x86_vector_name(unsigned vector)
{
    static const char *const names[] = {
        [VECTOR_DE] = "#DE", [VECTOR_DB] = "#DB", [VECTOR_NMI] = "NMI", [VECTOR_BP] = "#BP",
        [VECTOR_OF] = "#OF", [VECTOR_BR] = "#BR", [VECTOR_UD] = "#UD",  [VECTOR_NM] = "#NM",
        [VECTOR_DF] = "#DF", [VECTOR_TS] = "#TS", [VECTOR_NP] = "#NP",  [VECTOR_SS] = "#SS",
        [VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF", [VECTOR_MF] = "#MF",  [VECTOR_AC] = "#AC",
        [VECTOR_MC] = "#MC", [VECTOR_XM] = "#XM",
    };
    return vector < G_N_ELEMENTS(names) ? names[vector] : NULL;
}

/* --- general registers ---------------------------------------------------------------------- */

static void dump_flags(const struct x86_cpu *cpu, struct text *to)
{
    static const struct {
        uint32_t flag;
        char letter;
    } shown[] = { { FLAG_DF, 'D' }, { FLAG_OF, 'O' }, { FLAG_SF, 'S' }, { FLAG_ZF, 'Z' },
                  { FLAG_AF, 'A' }, { FLAG_PF, 'P' }, { FLAG_CF, 'C' } };

    text_add(to, "%08x [", (uint32_t)cpu->rflags);
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
        text_add(to, "%c", cpu->rflags & shown[i].flag ? shown[i].letter : '-');
    text_add(to, "] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n", cpu->cpl, cpu->int_shadow,
             (cpu->a20_mask >> 20 & 1) != 0, cpu->smm, cpu->halted);
}

static void dump_general(const struct x86_cpu *cpu, struct text *to)
{
    static const char names[16][4] = { "AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP",
                                       "8 ", "9 ", "10", "11", "12", "13", "14", "15" };
    static const uint8_t order[16] = { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                       R8,  R9,  R10, R11, R12, R13, R14, R15 };
    bool wide = x86_code64(cpu);

    for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
        char end = i % 4 == 3 ? '\n' : ' ';
        if (wide)
            text_add(to, "R%s=%016" PRIx64 "%c", names[i], cpu->regs[order[i]], end);
        else
            text_add(to, "E%s=%08x%c", names[i], (uint32_t)cpu->regs[order[i]], end);
    }
    if (wide)
        text_add(to, "RIP=%016" PRIx64 " RFL=", cpu->rip);
    else
        text_add(to, "EIP=%08x EFL=", (uint32_t)cpu->rip);
    dump_flags(cpu, to);
}

/* --- segments and tables -------------------------------------------------------------------- */

/* System segment types (Intel SDM vol. 3, table 3-2). */
static const char *system_type(bool long_mode, unsigned type)
{
    static const char *const names[16] = {
        "Reserved",   "TSS16-avl",  "LDT",       "TSS16-busy", "CallGate16", "TaskGate",
        "IntGate16",  "TrapGate16", "Reserved",  "TSS32-avl",  "Reserved",   "TSS32-busy",
        "CallGate32", "Reserved",   "IntGate32", "TrapGate32",
    };
    static const char *const long_names[16] = {
        [2] = "LDT",         [9] = "TSS64-avl",  [11] = "TSS64-busy",
        [12] = "CallGate64", [14] = "IntGate64", [15] = "TrapGate64",
    };
    if (!long_mode)
        return names[type];
    return long_names[type] ? long_names[type] : "Reserved";
}

static void dump_segment_type(const struct x86_cpu *cpu, const struct x86_segment *seg,
                              struct text *to)
{
    uint32_t attr = seg->attr;

    text_add(to, " DPL=%u ", attr >> SEG_ATTR_DPL_SHIFT & 3);
    if (!(attr & SEG_ATTR_S))
        text_add(to, "%s", system_type(x86_long_mode(cpu), attr & SEG_ATTR_TYPE));
    else if (attr & SEG_ATTR_CODE)
        text_add(to, "%s [%c%c%c]",
                 attr & SEG_ATTR_L    ? "CS64"
                 : attr & SEG_ATTR_DB ? "CS32"
                                      : "CS16",
                 attr & SEG_ATTR_DOWN ? 'C' : '-', attr & SEG_ATTR_WRITABLE ? 'R' : '-',
                 attr & SEG_ATTR_ACCESSED ? 'A' : '-');
    else
        text_add(to, "%s [%c%c%c]", attr & SEG_ATTR_DB || x86_long_mode(cpu) ? "DS  " : "DS16",
                 attr & SEG_ATTR_DOWN ? 'E' : '-', attr & SEG_ATTR_WRITABLE ? 'W' : '-',
                 attr & SEG_ATTR_ACCESSED ? 'A' : '-');
}

/* The attributes are printed as in the upper half of a descriptor, without the base's bits. */
static void dump_segment(const struct x86_cpu *cpu, const char *name, const struct x86_segment *seg,
                         struct text *to)
{
    bool usable = !(seg->attr & SEG_ATTR_UNUSABLE);
    uint32_t limit = seg->attr & SEG_ATTR_G ? seg->limit >> 12 : seg->limit;
    uint32_t flags = (seg->attr & 0xf0ff) << 8 | (limit & 0xf0000);

    text_add(to, "%-3s=%04x ", name, seg->selector);
    text_add(to, x86_long_mode(cpu) ? "%016" PRIx64 : "%08" PRIx64, seg->base);
    text_add(to, " %08x %08x", usable ? seg->limit : 0, usable ? flags : 0);
    if (x86_protected(cpu) && usable && seg->attr & SEG_ATTR_P)
        dump_segment_type(cpu, seg, to);
    text_add(to, "\n");
}

static void dump_table(const struct x86_cpu *cpu, const char *name, const struct x86_table *table,
                       struct text *to)
{
    text_add(to,
             x86_long_mode(cpu) ? "%s=     %016" PRIx64 " %08x\n" : "%s=     %08" PRIx64 " %08x\n",
             name, table->base, table->limit);
}

void x86_dump(const struct x86_cpu *cpu, struct text *to)
{
    static const struct {
        const char *name;
        uint8_t index;
    } segments[] = { { "ES", SEG_ES }, { "CS", SEG_CS }, { "SS", SEG_SS },
                     { "DS", SEG_DS }, { "FS", SEG_FS }, { "GS", SEG_GS } };
    int digits = x86_long_mode(cpu) ? 16 : 8;

    dump_general(cpu, to);
    for (size_t i = 0; i < G_N_ELEMENTS(segments); i++)
        dump_segment(cpu, segments[i].name, &cpu->seg[segments[i].index], to);
    dump_segment(cpu, "LDT", &cpu->ldt, to);
    dump_segment(cpu, "TR", &cpu->tr, to);
    dump_table(cpu, "GDT", &cpu->gdt, to);
    dump_table(cpu, "IDT", &cpu->idt, to);
    text_add(to, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x\n", (uint32_t)cpu->cr0,
             digits, cpu->cr2, digits, cpu->cr3, (uint32_t)cpu->cr4);
    for (unsigned i = 0; i < 4; i++)
        text_add(to, "DR%u=%016" PRIx64 " ", i, cpu->dr[i]);
    text_add(to, "\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\nEFER=%016" PRIx64 "\n", cpu->dr[6],
             cpu->dr[7], cpu->efer);
}

/* --- x87 and vectors, from the XSAVE image (Intel SDM vol. 1, 13.4) ------------------------- */

#define XSAVE_SSE (1u << 1)
#define XSAVE_AVX (1u << 2)
#define XSAVE_AVX512 (7u << 5)
#define XSAVE_BV 512

static uint64_t image_read(const struct x86_cpu *cpu, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;

    if (offset + bytes <= sizeof(cpu->xsave))
        memcpy(&value, cpu->xsave + offset, bytes);
    return value;
}

/* 8 bytes of state component `n`; a component whose XSTATE_BV bit is clear is all zero. */
static uint64_t component_read(const struct x86_cpu *cpu, unsigned n, unsigned offset)
{
    uint64_t present = image_read(cpu, XSAVE_BV, 8);

    if (!(present >> n & 1))
        return 0;
    return image_read(cpu, (n < 2 ? 0 : cpu->model->xstate[n].offset) + offset, 8);
}

/* The n-th 64 bits of vector register `reg`, from the four places they are kept in. */
static uint64_t vector_read(const struct x86_cpu *cpu, unsigned reg, unsigned n)
{
    if (reg >= 16)
        return component_read(cpu, 7, (reg - 16) * 64 + n * 8);
    if (n < 2)
        return component_read(cpu, 1, 160 + reg * 16 + n * 8);
    if (n < 4)
        return component_read(cpu, 2, reg * 16 + (n - 2) * 8);
    return component_read(cpu, 6, reg * 32 + (n - 4) * 8);
}

static void dump_x87(const struct x86_cpu *cpu, struct text *to)
{
    bool present = image_read(cpu, XSAVE_BV, 8) & 1;
    unsigned control = present ? image_read(cpu, 0, 2) : 0x37f;
    unsigned status = present ? image_read(cpu, 2, 2) : 0, top = status >> 11 & 7;
    unsigned tags = present ? image_read(cpu, 4, 1) : 0;

    text_add(to, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", control, status & ~0x3800u, top,
             tags, (uint32_t)image_read(cpu, 24, 4));
    for (unsigned reg = 0; reg < 8; reg++) {
        unsigned offset = 32 + ((reg - top) & 7) * 16; /* the image starts at the stack's top */
        text_add(to, "FPR%u=%016" PRIx64 " %04x%c", reg, component_read(cpu, 0, offset),
                 (unsigned)(uint16_t)component_read(cpu, 0, offset + 8), reg & 1 ? '\n' : ' ');
    }
}

static void dump_vectors(const struct x86_cpu *cpu, char kind, unsigned words, unsigned count,
                         struct text *to)
{
    for (unsigned reg = 0; reg < count; reg++) {
        text_add(to, "%cMM%02u=", kind, reg);
        for (unsigned n = words; n-- > 0;)
            text_add(to, "%016" PRIx64 "%s", vector_read(cpu, reg, n), n ? " " : "");
        text_add(to, words == 2 && !(reg & 1) ? " " : "\n");
    }
}

void x86_dump_fpu(const struct x86_cpu *cpu, struct text *to)
{
    bool wide = x86_code64(cpu);

    dump_x87(cpu, to);
    if ((cpu->xcr0 & XSAVE_AVX512) == XSAVE_AVX512) {
        for (unsigned i = 0; i < 8; i++)
            text_add(to, "Opmask%02u=%016" PRIx64 "%c", i, component_read(cpu, 5, i * 8),
                     i % 4 == 3 ? '\n' : ' ');
        dump_vectors(cpu, 'Z', 8, wide ? 32 : 8, to);
    } else if (cpu->xcr0 & XSAVE_AVX) {
        dump_vectors(cpu, 'Y', 4, wide ? 16 : 8, to);
    } else {
        dump_vectors(cpu, 'X', 2, wide ? 16 : 8, to);
    }
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which registers there are, and target.xml. gdb looks for registers by feature and name; what is
 * in other features it shows as it is told. (GDB manual, appendix G.5.5 "i386 Features") */
#include <stdio.h>
#include <string.h>

#include "gdb/registers.h"
#include "x86/inspect.h"
#include "x86/model.h"

const char *const gdb_arch_names[] = { "i8086", "i386", "i386:x86-64" };

#define CORE "org.gnu.gdb.i386.core"
#define SSE "org.gnu.gdb.i386.sse"
#define SEGMENTS "org.gnu.gdb.i386.segments"
#define AVX "org.gnu.gdb.i386.avx"
#define AVX512 "org.gnu.gdb.i386.avx512"
#define PKEYS "org.gnu.gdb.i386.pkeys"
#define SYSTEM "org.yado.i386.system"

/* CPUID bits that x86/model.h has no name for. */
#define HAS_AVX FEATURE_1_ECX, 28
#define HAS_AVX512F FEATURE_7_EBX, 16
#define HAS_PKU FEATURE_7_ECX, 3

enum gdb_arch gdb_arch_widest(const struct x86_cpu *cpu)
{
    if (x86_has(cpu, HAS_LM))
        return GDB_X86_64;
    return x86_code_bits(cpu) == 16 ? GDB_I8086 : GDB_I386;
}

enum gdb_arch gdb_arch_now(const struct x86_cpu *cpu)
{
    if (x86_long_mode(cpu))
        return GDB_X86_64;
    return x86_code_bits(cpu) == 16 ? GDB_I8086 : GDB_I386;
}

/* --- the list --- */

static void add(struct gdb_layout *layout, const char *feature, const char *name,
                enum gdb_reg_kind kind, unsigned index, unsigned bits, const char *type)
{
    struct gdb_reg *reg = &layout->regs[layout->count++];

    assert(layout->count <= GDB_REGS_MAX);
    *reg = (struct gdb_reg){
        .kind = kind, .index = index, .bits = bits, .type = type, .feature = feature
    };
    g_strlcpy(reg->name, name, sizeof(reg->name));
}

/* name0, name1, … or, with a suffix, name0h, … */
static void add_row(struct gdb_layout *layout, const char *feature, const char *name,
                    const char *suffix, enum gdb_reg_kind kind, unsigned first, unsigned end,
                    unsigned bits, const char *type)
{
    for (unsigned i = first; i < end; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%s%u%s", name, i, suffix);
        add(layout, feature, text, kind, i, bits, type);
    }
}

static void add_general(struct gdb_layout *layout)
{
    static const struct {
        const char *name32, *name64;
        uint8_t reg32, reg64;
    } order[8] = {
        { "eax", "rax", RAX, RAX }, { "ecx", "rbx", RCX, RBX }, { "edx", "rcx", RDX, RCX },
        { "ebx", "rdx", RBX, RDX }, { "esp", "rsi", RSP, RSI }, { "ebp", "rdi", RBP, RDI },
        { "esi", "rbp", RSI, RBP }, { "edi", "rsp", RDI, RSP },
    };
    bool wide = layout->arch == GDB_X86_64;

    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = wide ? order[i].reg64 : order[i].reg32;
        bool pointer = reg == RSP || reg == RBP;
        add(layout, CORE, wide ? order[i].name64 : order[i].name32, GDB_REG_GENERAL, reg,
            wide ? 64 : 32,
            pointer ? "data_ptr"
            : wide  ? "int64"
                    : "int32");
    }
    if (wide)
        add_row(layout, CORE, "r", "", GDB_REG_GENERAL, 8, 16, 64, "int64");
    add(layout, CORE, wide ? "rip" : "eip", GDB_REG_RIP, 0, wide ? 64 : 32, "code_ptr");
    add(layout, CORE, "eflags", GDB_REG_FLAGS, 0, 32, "i386_eflags");
}

static void add_core(struct gdb_layout *layout)
{
    static const struct {
        const char *name;
        uint8_t seg;
    } segments[] = { { "cs", SEG_CS }, { "ss", SEG_SS }, { "ds", SEG_DS },
                     { "es", SEG_ES }, { "fs", SEG_FS }, { "gs", SEG_GS } };
    static const char *const x87[] = { "fctrl", "fstat", "ftag",  "fiseg",
                                       "fioff", "foseg", "fooff", "fop" };

    add_general(layout);
    for (size_t i = 0; i < G_N_ELEMENTS(segments); i++)
        add(layout, CORE, segments[i].name, GDB_REG_SEGMENT, segments[i].seg, 32, "int32");
    add_row(layout, CORE, "st", "", GDB_REG_X87, 0, 8, 80, "i387_ext");
    for (size_t i = 0; i < G_N_ELEMENTS(x87); i++)
        add(layout, CORE, x87[i], GDB_REG_X87_CONTROL, i, 32, NULL);
}

static void add_vectors(struct gdb_layout *layout, const struct x86_cpu *cpu)
{
    bool wide = layout->arch == GDB_X86_64;
    unsigned count = wide ? 16 : 8;

    add_row(layout, SSE, "xmm", "", GDB_REG_XMM, 0, count, 128, "vec128");
    add(layout, SSE, "mxcsr", GDB_REG_MXCSR, 0, 32, "i386_mxcsr");
    if (!x86_has(cpu, HAS_AVX))
        return;
    add_row(layout, AVX, "ymm", "h", GDB_REG_YMM_HIGH, 0, count, 128, "uint128");
    if (!x86_has(cpu, HAS_AVX512F))
        return;
    if (wide) {
        add_row(layout, AVX512, "xmm", "", GDB_REG_XMM, 16, 32, 128, "vec128");
        add_row(layout, AVX512, "ymm", "h", GDB_REG_YMM_HIGH, 16, 32, 128, "uint128");
    }
    add_row(layout, AVX512, "k", "", GDB_REG_OPMASK, 0, 8, 64, "uint64");
    add_row(layout, AVX512, "zmm", "h", GDB_REG_ZMM_HIGH, 0, wide ? 32 : 8, 256, "v2ui128");
}

static void add_system(struct gdb_layout *layout)
{
    bool wide = layout->arch == GDB_X86_64;
    unsigned bits = wide ? 64 : 32;

    add(layout, SEGMENTS, "fs_base", GDB_REG_BASE, SEG_FS, bits, wide ? "int64" : "int32");
    add(layout, SEGMENTS, "gs_base", GDB_REG_BASE, SEG_GS, bits, wide ? "int64" : "int32");
    if (wide)
        add(layout, SYSTEM, "k_gs_base", GDB_REG_BASE, 0, 64, "int64");
    add(layout, SYSTEM, "cr0", GDB_REG_CONTROL, 0, bits, "i386_cr0");
    add(layout, SYSTEM, "cr2", GDB_REG_CONTROL, 2, bits, wide ? "int64" : "int32");
    add(layout, SYSTEM, "cr3", GDB_REG_CONTROL, 3, bits, wide ? "int64" : "int32");
    add(layout, SYSTEM, "cr4", GDB_REG_CONTROL, 4, bits, "i386_cr4");
    add(layout, SYSTEM, "cr8", GDB_REG_CONTROL, 8, bits, wide ? "int64" : "int32");
    add(layout, SYSTEM, "efer", GDB_REG_EFER, 0, bits, "i386_efer");
}

void gdb_layout_init(struct gdb_layout *layout, enum gdb_arch arch, const struct x86_cpu *cpu)
{
    layout->arch = arch;
    layout->count = 0;
    add_core(layout);
    if (x86_has(cpu, HAS_SSE))
        add_vectors(layout, cpu);
    add_system(layout);
    if (x86_has(cpu, HAS_PKU) && cpu->model->xstate[9].size)
        add(layout, PKEYS, "pkru", GDB_REG_PKRU, 0, 32, "int32");
}

/* --- XML --- */

struct flag {
    const char *name;
    uint8_t low, high;
};

static const struct flag eflags_flags[] = {
    { "CF", 0, 0 },     { "PF", 2, 2 },   { "AF", 4, 4 },
    { "ZF", 6, 6 },     { "SF", 7, 7 },   { "TF", 8, 8 },
    { "IF", 9, 9 },     { "DF", 10, 10 }, { "OF", 11, 11 },
    { "IOPL", 12, 13 }, { "NT", 14, 14 }, { "RF", 16, 16 },
    { "VM", 17, 17 },   { "AC", 18, 18 }, { "VIF", 19, 19 },
    { "VIP", 20, 20 },  { "ID", 21, 21 }, {},
};
static const struct flag mxcsr_flags[] = {
    { "IE", 0, 0 },   { "DE", 1, 1 },   { "ZE", 2, 2 },   { "OE", 3, 3 },   { "UE", 4, 4 },
    { "PE", 5, 5 },   { "DAZ", 6, 6 },  { "IM", 7, 7 },   { "DM", 8, 8 },   { "ZM", 9, 9 },
    { "OM", 10, 10 }, { "UM", 11, 11 }, { "PM", 12, 12 }, { "FZ", 15, 15 }, {},
};
static const struct flag cr0_flags[] = {
    { "PE", 0, 0 },   { "MP", 1, 1 },   { "EM", 2, 2 },   { "TS", 3, 3 },
    { "ET", 4, 4 },   { "NE", 5, 5 },   { "WP", 16, 16 }, { "AM", 18, 18 },
    { "NW", 29, 29 }, { "CD", 30, 30 }, { "PG", 31, 31 }, {},
};
static const struct flag cr4_flags[] = {
    { "VME", 0, 0 },          { "PVI", 1, 1 },
    { "TSD", 2, 2 },          { "DE", 3, 3 },
    { "PSE", 4, 4 },          { "PAE", 5, 5 },
    { "MCE", 6, 6 },          { "PGE", 7, 7 },
    { "PCE", 8, 8 },          { "OSFXSR", 9, 9 },
    { "OSXMMEXCPT", 10, 10 }, { "UMIP", 11, 11 },
    { "LA57", 12, 12 },       { "VMXE", 13, 13 },
    { "SMXE", 14, 14 },       { "FSGSBASE", 16, 16 },
    { "PCIDE", 17, 17 },      { "OSXSAVE", 18, 18 },
    { "SMEP", 20, 20 },       { "SMAP", 21, 21 },
    { "PKE", 22, 22 },        {},
};
static const struct flag efer_flags[] = {
    { "SCE", 0, 0 },
    { "LME", 8, 8 },
    { "LMA", 10, 10 },
    { "NXE", 11, 11 },
    { "SVME", 12, 12 },
    { "FFXSR", 14, 14 },
    {},
};

static void xml_flags(GString *xml, const char *id, unsigned bytes, const struct flag *flags)
{
    g_string_append_printf(xml, "<flags id=\"%s\" size=\"%u\">", id, bytes);
    for (; flags->name; flags++)
        g_string_append_printf(xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", flags->name,
                               flags->low, flags->high);
    g_string_append(xml, "</flags>\n");
}

/* What is in an XMM register. */
static void xml_vec128(GString *xml)
{
    static const struct {
        const char *id, *type;
        unsigned count;
    } vectors[] = { { "v4f", "ieee_single", 4 }, { "v2d", "ieee_double", 2 },
                    { "v16i8", "int8", 16 },     { "v8i16", "int16", 8 },
                    { "v4i32", "int32", 4 },     { "v2i64", "int64", 2 } };
    static const char *const names[] = { "v4_float", "v2_double", "v16_int8",
                                         "v8_int16", "v4_int32",  "v2_int64" };

    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++)
        g_string_append_printf(xml, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>", vectors[i].id,
                               vectors[i].type, vectors[i].count);
    g_string_append(xml, "<union id=\"vec128\">");
    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++)
        g_string_append_printf(xml, "<field name=\"%s\" type=\"%s\"/>", names[i], vectors[i].id);
    g_string_append(xml, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
}

static void xml_types(GString *xml, const struct gdb_layout *layout, const char *feature)
{
    unsigned word = layout->arch == GDB_X86_64 ? 8 : 4;

    if (!strcmp(feature, CORE)) {
        xml_flags(xml, "i386_eflags", 4, eflags_flags);
    } else if (!strcmp(feature, SSE)) {
        xml_vec128(xml);
        xml_flags(xml, "i386_mxcsr", 4, mxcsr_flags);
    } else if (!strcmp(feature, AVX512)) {
        xml_vec128(xml);
        g_string_append(xml, "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n");
    } else if (!strcmp(feature, SYSTEM)) {
        xml_flags(xml, "i386_cr0", word, cr0_flags);
        xml_flags(xml, "i386_cr4", word, cr4_flags);
        xml_flags(xml, "i386_efer", word, efer_flags);
    }
}

char *gdb_layout_xml(const struct gdb_layout *layout)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?>\n"
                                "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                                "<target version=\"1.0\">");
    const char *feature = NULL;

    g_string_append_printf(xml, "<architecture>%s</architecture>\n", gdb_arch_names[layout->arch]);
    if (layout->arch != GDB_X86_64) /* what gdb adds for Linux programs does not fit */
        g_string_append(xml, "<osabi>none</osabi>\n");
    for (unsigned i = 0; i < layout->count; i++) {
        const struct gdb_reg *reg = &layout->regs[i];
        if (reg->feature != feature) {
            g_string_append_printf(xml, "%s<feature name=\"%s\">\n", feature ? "</feature>\n" : "",
                                   reg->feature);
            feature = reg->feature;
            xml_types(xml, layout, feature);
        }
        g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>\n",
                               reg->name, reg->bits, reg->type ? reg->type : "int", i);
    }
    g_string_append(xml, "</feature>\n</target>\n");
    return g_string_free(xml, FALSE);
}

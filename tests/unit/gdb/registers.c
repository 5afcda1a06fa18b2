/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers gdb is told of, read and written. */
#include "gdb/registers.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "x86/model.h"

static const struct gdb_reg *find(const struct gdb_layout *layout, const char *name)
{
    for (unsigned i = 0; i < layout->count; i++) {
        if (!strcmp(layout->regs[i].name, name))
            return &layout->regs[i];
    }
    return NULL;
}

static bool no_descriptor(void *opaque, uint64_t linear, uint64_t *descriptor)
{
    return false;
}

/* Every register takes a value and gives it back. */
static void test_all(struct x86_cpu *cpu, enum gdb_arch arch)
{
    struct gdb_layout layout;
    unsigned wrong = 0;

    gdb_layout_init(&layout, arch, cpu);
    for (unsigned i = 0; i < layout.count; i++) {
        const struct gdb_reg *reg = &layout.regs[i];
        uint8_t before[GDB_REG_BYTES], after[GDB_REG_BYTES], value[GDB_REG_BYTES];
        bool any = reg->kind == GDB_REG_GENERAL || reg->kind == GDB_REG_XMM
                   || reg->kind == GDB_REG_YMM_HIGH || reg->kind == GDB_REG_ZMM_HIGH
                   || reg->kind == GDB_REG_OPMASK || reg->kind == GDB_REG_X87;
        gdb_reg_read(cpu, reg, before);
        memcpy(value, before, sizeof(value));
        if (any)
            memset(value, 0x40 + i % 64, reg->bits / 8);
        wrong += !gdb_reg_write(cpu, reg, value, no_descriptor, NULL);
        gdb_reg_read(cpu, reg, after);
        wrong += memcmp(after, value, reg->bits / 8) != 0;
    }
    tap_ok(!wrong, "%s: %u registers written and read", gdb_arch_names[arch], layout.count);
}

static void test_refused(struct x86_cpu *cpu)
{
    static const struct {
        const char *name;
        uint64_t value;
    } cases[] = {
        { "cr0", CR0_PG },     { "cr0", 1ull << 32 }, { "cr8", 16 },         { "efer", 2 },
        { "mxcsr", 1u << 16 }, { "cs", 0x10000 },     { "cr3", 1ull << 63 }, { "cr4", 1ull << 40 },
    };
    struct gdb_layout layout;

    gdb_layout_init(&layout, GDB_X86_64, cpu);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t bytes[GDB_REG_BYTES] = { 0 };
        const struct gdb_reg *reg = find(&layout, cases[i].name);
        memcpy(bytes, &cases[i].value, 8);
        tap_ok(!gdb_reg_write(cpu, reg, bytes, no_descriptor, NULL),
               "%s refuses 0x%" G_GINT64_MODIFIER "x", cases[i].name, cases[i].value);
    }
}

static void test_layouts(struct x86_cpu *cpu)
{
    struct gdb_layout layout;

    gdb_layout_init(&layout, GDB_X86_64, cpu);
    tap_is(layout.regs[16].name, "rip", "rip is where gdb expects it");
    g_autofree char *wide = gdb_layout_xml(&layout);
    tap_ok(strstr(wide, "<architecture>i386:x86-64</architecture>") != NULL, "64 bits");
    gdb_layout_init(&layout, GDB_I8086, cpu);
    tap_is(layout.regs[8].name, "eip", "and eip");
    g_autofree char *narrow = gdb_layout_xml(&layout);
    tap_ok(strstr(narrow, "<architecture>i8086</architecture>") && !strstr(narrow, "\"r8\""),
           "16 bits");
    tap_ok(gdb_arch_now(cpu) == GDB_I8086 && gdb_arch_widest(cpu) == GDB_X86_64,
           "after a reset 16-bit code runs, on a 64-bit CPU");
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    struct x86_model *model =
        x86_model_new("max", X86_MODEL_BT, x86_host_cpuid, NULL, 1, 0, &error);
    struct x86_cpu *cpu = aligned_alloc(64, sizeof(*cpu));

    memset(cpu, 0, sizeof(*cpu));
    cpu->model = model;
    cpu->a20_mask = ~0ull;
    x86_cpu_reset(cpu, false);
    test_layouts(cpu);
    test_refused(cpu);
    test_all(cpu, GDB_X86_64);
    test_all(cpu, GDB_I386);
    x86_model_free(model);
    free(cpu);
    return tap_done();
}

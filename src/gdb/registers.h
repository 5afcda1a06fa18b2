/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a vCPU in the order gdb numbers them, and the XML that tells gdb so.
 *
 * There are two layouts: 64-bit code's, and that of 16- and 32-bit code, which gdb knows as i8086
 * and i386. Which registers are in it depends on what the vCPU's CPUID offers. */
#ifndef YADO_GDB_REGISTERS_H
#define YADO_GDB_REGISTERS_H

#include "x86/cpu.h"

enum gdb_arch { GDB_I8086, GDB_I386, GDB_X86_64 };
extern const char *const gdb_arch_names[]; /* as gdb calls them */

enum gdb_reg_kind {
    GDB_REG_GENERAL,
    GDB_REG_RIP,
    GDB_REG_FLAGS,
    GDB_REG_SEGMENT,
    GDB_REG_X87,
    GDB_REG_X87_CONTROL, /* index: enum x87_control of registers.c */
    GDB_REG_XMM,
    GDB_REG_MXCSR,
    GDB_REG_YMM_HIGH,
    GDB_REG_ZMM_HIGH,
    GDB_REG_OPMASK,
    GDB_REG_PKRU,
    GDB_REG_BASE, /* index: enum x86_seg; 0: KernelGSBase */
    GDB_REG_CONTROL,
    GDB_REG_EFER,
};

struct gdb_reg {
    char name[12];
    uint8_t kind, index;
    uint16_t bits;
    const char *type;    /* in the XML; NULL: int of that size */
    const char *feature; /* the set it belongs to, as gdb knows it */
};

#define GDB_REGS_MAX 160
struct gdb_layout {
    enum gdb_arch arch;
    unsigned count;
    struct gdb_reg regs[GDB_REGS_MAX];
};

/* The widest architecture the processor can come to: what a debugger wants that waits for a kernel.
 */
enum gdb_arch gdb_arch_widest(const struct x86_cpu *cpu);
/* That of the code it runs now. Below a 64-bit kernel it is the kernel's. */
enum gdb_arch gdb_arch_now(const struct x86_cpu *cpu);

void gdb_layout_init(struct gdb_layout *layout, enum gdb_arch arch, const struct x86_cpu *cpu);

/* target.xml; the caller frees it. */
char *gdb_layout_xml(const struct gdb_layout *layout);

#define GDB_REG_BYTES 32
/* Little endian, reg->bits / 8 bytes. */
void gdb_reg_read(const struct x86_cpu *cpu, const struct gdb_reg *reg, uint8_t *bytes);

/* Reads a descriptor of the GDT or LDT for a change of a segment register; false: not readable. */
typedef bool (*gdb_descriptor_reader)(void *opaque, uint64_t linear, uint64_t *descriptor);

/* False if the register cannot take the value. */
bool gdb_reg_write(struct x86_cpu *cpu, const struct gdb_reg *reg, const uint8_t *bytes,
                   gdb_descriptor_reader read, void *opaque);

#endif

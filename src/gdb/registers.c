/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of a stopped vCPU, read and written as gdb sees them.
 *
 * x87 and vector registers are in the XSAVE image, where a component whose bit in XSTATE_BV is
 * clear is in its initial state, whatever its bytes are. (Intel SDM vol. 1, 13.4 and 13.6) */
#include "gdb/registers.h"

#include <string.h>

#include "x86/model.h"

/* Offsets in the XSAVE image. */
#define XSAVE_FCW 0
#define XSAVE_FSW 2
#define XSAVE_FTW 4
#define XSAVE_FOP 6
#define XSAVE_FIP 8
#define XSAVE_FDP 16
#define XSAVE_MXCSR 24
#define XSAVE_ST 32
#define XSAVE_XMM 160
#define XSAVE_BV 512

enum component {
    COMPONENT_X87,
    COMPONENT_SSE,
    COMPONENT_AVX,
    COMPONENT_OPMASK = 5,
    COMPONENT_ZMM_HIGH,
    COMPONENT_HIGH16,
    COMPONENT_PKRU = 9,
};

enum x87_control { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

#define FCW_INITIAL 0x37f

/* --- the XSAVE image --- */

struct place {
    enum component component;
    unsigned offset, bytes;
};

static unsigned component_offset(const struct x86_cpu *cpu, enum component component)
{
    return component <= COMPONENT_SSE ? 0 : cpu->model->xstate[component].offset;
}

/* Registers 16 to 31 are in a component of their own, whole. */
static struct place vector_place(const struct x86_cpu *cpu, const struct gdb_reg *reg)
{
    unsigned i = reg->index, high = component_offset(cpu, COMPONENT_HIGH16) + (i & 15) * 64;

    switch (reg->kind) {
    case GDB_REG_XMM:
        return i < 16 ? (struct place){ COMPONENT_SSE, XSAVE_XMM + i * 16, 16 }
                      : (struct place){ COMPONENT_HIGH16, high, 16 };
    case GDB_REG_YMM_HIGH:
        return i < 16 ? (struct place){ COMPONENT_AVX,
                                        component_offset(cpu, COMPONENT_AVX) + i * 16, 16 }
                      : (struct place){ COMPONENT_HIGH16, high + 16, 16 };
    case GDB_REG_ZMM_HIGH:
        return i < 16 ? (struct place){ COMPONENT_ZMM_HIGH,
                                        component_offset(cpu, COMPONENT_ZMM_HIGH) + i * 32, 32 }
                      : (struct place){ COMPONENT_HIGH16, high + 32, 32 };
    case GDB_REG_OPMASK:
        return (struct place){ COMPONENT_OPMASK, component_offset(cpu, COMPONENT_OPMASK) + i * 8,
                               8 };
    case GDB_REG_PKRU:
        return (struct place){ COMPONENT_PKRU, component_offset(cpu, COMPONENT_PKRU), 4 };
    default: /* GDB_REG_X87 */
        return (struct place){ COMPONENT_X87, XSAVE_ST + i * 16, 10 };
    }
}

static uint64_t in_use(const struct x86_cpu *cpu)
{
    uint64_t bits;

    memcpy(&bits, cpu->xsave + XSAVE_BV, sizeof(bits));
    return bits;
}

/* A component that had its initial state gets it in bytes, and is then in use. */
static void component_use(struct x86_cpu *cpu, enum component component)
{
    static const uint16_t fcw = FCW_INITIAL;
    uint64_t bits = in_use(cpu);

    if (bits & 1ull << component)
        return;
    switch (component) {
    case COMPONENT_X87:
        memset(cpu->xsave, 0, XSAVE_MXCSR);
        memset(cpu->xsave + XSAVE_ST, 0, XSAVE_XMM - XSAVE_ST);
        memcpy(cpu->xsave + XSAVE_FCW, &fcw, sizeof(fcw));
        break;
    case COMPONENT_SSE:
        memset(cpu->xsave + XSAVE_XMM, 0, 256);
        break;
    default:
        memset(cpu->xsave + component_offset(cpu, component), 0,
               cpu->model->xstate[component].size);
    }
    bits |= 1ull << component;
    memcpy(cpu->xsave + XSAVE_BV, &bits, sizeof(bits));
}

static bool place_valid(const struct place *place)
{
    return place->offset && place->offset + place->bytes <= X86_XSAVE_BYTES;
}

static void vector_read(const struct x86_cpu *cpu, const struct gdb_reg *reg, uint8_t *bytes)
{
    struct place place = vector_place(cpu, reg);

    memset(bytes, 0, place.bytes);
    if (place_valid(&place) && in_use(cpu) & 1ull << place.component)
        memcpy(bytes, cpu->xsave + place.offset, place.bytes);
}

static bool vector_write(struct x86_cpu *cpu, const struct gdb_reg *reg, const uint8_t *bytes)
{
    struct place place = vector_place(cpu, reg);

    if (!place_valid(&place))
        return false;
    component_use(cpu, place.component);
    memcpy(cpu->xsave + place.offset, bytes, place.bytes);
    return true;
}

/* --- x87 --- */

static uint16_t load16(const struct x86_cpu *cpu, unsigned offset)
{
    uint16_t value;

    memcpy(&value, cpu->xsave + offset, sizeof(value));
    return value;
}

/* Two bits for each physical register: valid, zero, special, empty; the image has one: not empty.
 * (Intel SDM vol. 1, 8.1.7 and 10.5.1.1) */
static uint16_t x87_tags(const struct x86_cpu *cpu)
{
    unsigned top = load16(cpu, XSAVE_FSW) >> 11 & 7;
    uint16_t tags = 0;

    for (unsigned physical = 0; physical < 8; physical++) {
        const uint8_t *st = cpu->xsave + XSAVE_ST + ((physical - top) & 7) * 16;
        unsigned tag = 3;
        if (cpu->xsave[XSAVE_FTW] & 1u << physical) {
            uint64_t mantissa;
            unsigned exponent = (st[9] & 0x7fu) << 8 | st[8];
            memcpy(&mantissa, st, sizeof(mantissa));
            if (!exponent && !mantissa)
                tag = 1;
            else
                tag = exponent && exponent != 0x7fff && mantissa >> 63 ? 0 : 2;
        }
        tags |= tag << physical * 2;
    }
    return tags;
}

static uint32_t x87_read(const struct x86_cpu *cpu, enum x87_control which)
{
    static const uint32_t initial[] = { [FCTRL] = FCW_INITIAL, [FTAG] = 0xffff, [FOP] = 0 };
    uint32_t value = 0;

    if (!(in_use(cpu) & 1))
        return initial[which];
    switch (which) {
    case FCTRL:
        return load16(cpu, XSAVE_FCW);
    case FSTAT:
        return load16(cpu, XSAVE_FSW);
    case FTAG:
        return x87_tags(cpu);
    case FISEG:
        return load16(cpu, XSAVE_FIP + 4);
    case FOSEG:
        return load16(cpu, XSAVE_FDP + 4);
    case FIOFF:
        memcpy(&value, cpu->xsave + XSAVE_FIP, sizeof(value));
        return value;
    case FOOFF:
        memcpy(&value, cpu->xsave + XSAVE_FDP, sizeof(value));
        return value;
    case FOP:
        return load16(cpu, XSAVE_FOP) & 0x7ff;
    }
    return 0;
}

static void x87_write(struct x86_cpu *cpu, enum x87_control which, uint32_t value)
{
    static const struct {
        uint8_t offset, bytes;
    } fields[] = {
        [FCTRL] = { XSAVE_FCW, 2 },     [FSTAT] = { XSAVE_FSW, 2 }, [FTAG] = { XSAVE_FTW, 1 },
        [FISEG] = { XSAVE_FIP + 4, 2 }, [FIOFF] = { XSAVE_FIP, 4 }, [FOSEG] = { XSAVE_FDP + 4, 2 },
        [FOOFF] = { XSAVE_FDP, 4 },     [FOP] = { XSAVE_FOP, 2 }
    };

    component_use(cpu, COMPONENT_X87);
    if (which == FTAG) {
        uint32_t tags = value;
        value = 0;
        for (unsigned physical = 0; physical < 8; physical++)
            value |= ((tags >> physical * 2 & 3) != 3) << physical;
    }
    memcpy(cpu->xsave + fields[which].offset, &value, fields[which].bytes);
}

/* MXCSR is loaded from the image whatever XSTATE_BV says; reserved bits would fault. */
#define MXCSR_DEFINED 0xffffu

static bool mxcsr_write(struct x86_cpu *cpu, uint32_t value)
{
    if (value & ~MXCSR_DEFINED)
        return false;
    memcpy(cpu->xsave + XSAVE_MXCSR, &value, sizeof(value));
    return true;
}

/* --- segments --- */

/* As a load of the register by the guest does, without asking for permission. */
static bool segment_load(struct x86_cpu *cpu, enum x86_seg n, uint16_t selector,
                         gdb_descriptor_reader read, void *opaque)
{
    struct x86_segment *seg = &cpu->seg[n];
    uint64_t descriptor;

    if (seg->selector == selector)
        return true;
    if (!x86_protected(cpu) || x86_v86(cpu)) {
        seg->selector = selector;
        seg->base = (uint64_t)selector << 4;
        return true;
    }
    if (!(selector & ~3u)) {
        if (n == SEG_CS)
            return false;
        seg->selector = selector;
        seg->attr |= SEG_ATTR_UNUSABLE;
        return true;
    }
    uint64_t base = selector & 4 ? cpu->ldt.base : cpu->gdt.base;
    uint32_t limit = selector & 4 ? cpu->ldt.limit : cpu->gdt.limit;
    if ((selector | 7u) > limit || !read(opaque, base + (selector & ~7u), &descriptor))
        return false;
    uint32_t high = descriptor >> 32, attr = high >> 8 & 0xf0ff;
    if (!(attr & SEG_ATTR_S) || !(attr & SEG_ATTR_P)
        || (n == SEG_CS) != !!(attr & SEG_ATTR_CODE)) /* as far as a debugger needs it */
        return false;
    seg->selector = selector;
    seg->attr = attr;
    seg->base = (descriptor >> 16 & 0xffffff) | (uint64_t)(high & 0xff000000u);
    seg->limit = (descriptor & 0xffff) | (high & 0xf0000u);
    if (attr & SEG_ATTR_G)
        seg->limit = seg->limit << 12 | 0xfff;
    if (n == SEG_SS)
        cpu->cpl = attr >> SEG_ATTR_DPL_SHIFT & 3;
    return true;
}

/* --- control registers --- */

static uint64_t control_read(const struct x86_cpu *cpu, unsigned n)
{
    switch (n) {
    case 0:
        return cpu->cr0;
    case 2:
        return cpu->cr2;
    case 3:
        return cpu->cr3;
    case 4:
        return cpu->cr4;
    default:
        return cpu->cr8;
    }
}

static void long_mode_update(struct x86_cpu *cpu)
{
    cpu->efer &= ~(uint64_t)EFER_LMA;
    if ((cpu->efer & EFER_LME) && (cpu->cr0 & CR0_PG))
        cpu->efer |= EFER_LMA;
}

/* Refuses what no processor could be in; the rest is the user's responsibility. */
static bool control_write(struct x86_cpu *cpu, unsigned n, uint64_t value)
{
    switch (n) {
    case 0:
        if (value >> 32 || (value & (CR0_PG | CR0_PE)) == CR0_PG)
            return false;
        if (cpu->efer & EFER_LME && value & CR0_PG && !(cpu->cr4 & CR4_PAE))
            return false;
        cpu->cr0 = value | CR0_ET;
        long_mode_update(cpu);
        return true;
    case 2:
        cpu->cr2 = value;
        return true;
    case 3:
        if (value >> 52 || value & cpu->model->reserved_phys)
            return false;
        cpu->cr3 = value;
        return true;
    case 4:
        if (value >> 32 || (cpu->efer & EFER_LMA && !(value & CR4_PAE)))
            return false;
        cpu->cr4 = value;
        return true;
    default:
        if (value > 15)
            return false;
        cpu->cr8 = value;
        return true;
    }
}

#define EFER_WRITABLE (EFER_SCE | EFER_LME | EFER_NXE | EFER_FFXSR | EFER_AUTOIBRS)

static bool efer_write(struct x86_cpu *cpu, uint64_t value)
{
    if (value & ~(uint64_t)(EFER_WRITABLE | EFER_LMA))
        return false;
    cpu->efer = value & EFER_WRITABLE;
    long_mode_update(cpu);
    return true;
}

/* Bits of RFLAGS that exist. */
#define RFLAGS_DEFINED 0x3f7fd7u

static void flags_write(struct x86_cpu *cpu, uint32_t value)
{
    cpu->rflags = (value & RFLAGS_DEFINED) | FLAG_FIXED;
}

/* --- any register --- */

static uint64_t *base_of(struct x86_cpu *cpu, const struct gdb_reg *reg)
{
    return reg->index ? &cpu->seg[reg->index].base : &cpu->kernel_gs_base;
}

static uint64_t integer_read(const struct x86_cpu *cpu, const struct gdb_reg *reg)
{
    uint32_t mxcsr;

    switch (reg->kind) {
    case GDB_REG_GENERAL:
        return cpu->regs[reg->index];
    case GDB_REG_RIP:
        return cpu->rip;
    case GDB_REG_FLAGS:
        return cpu->rflags;
    case GDB_REG_SEGMENT:
        return cpu->seg[reg->index].selector;
    case GDB_REG_X87_CONTROL:
        return x87_read(cpu, reg->index);
    case GDB_REG_MXCSR:
        memcpy(&mxcsr, cpu->xsave + XSAVE_MXCSR, sizeof(mxcsr));
        return mxcsr;
    case GDB_REG_BASE:
        return *base_of((struct x86_cpu *)cpu, reg);
    case GDB_REG_CONTROL:
        return control_read(cpu, reg->index);
    default:
        return cpu->efer;
    }
}

static bool is_vector(const struct gdb_reg *reg)
{
    switch (reg->kind) {
    case GDB_REG_X87:
    case GDB_REG_XMM:
    case GDB_REG_YMM_HIGH:
    case GDB_REG_ZMM_HIGH:
    case GDB_REG_OPMASK:
    case GDB_REG_PKRU:
        return true;
    default:
        return false;
    }
}

void gdb_reg_read(const struct x86_cpu *cpu, const struct gdb_reg *reg, uint8_t *bytes)
{
    if (is_vector(reg)) {
        vector_read(cpu, reg, bytes);
    } else {
        uint64_t value = integer_read(cpu, reg);
        memcpy(bytes, &value, reg->bits / 8);
    }
}

/* In the narrow layout gdb writes the lower half; the upper is not visible in such code, and
 * cleared as an instruction would. */
bool gdb_reg_write(struct x86_cpu *cpu, const struct gdb_reg *reg, const uint8_t *bytes,
                   gdb_descriptor_reader read, void *opaque)
{
    uint64_t value = 0;

    if (is_vector(reg))
        return vector_write(cpu, reg, bytes);
    memcpy(&value, bytes, reg->bits / 8);
    switch (reg->kind) {
    case GDB_REG_GENERAL:
        cpu->regs[reg->index] = value;
        return true;
    case GDB_REG_RIP:
        cpu->rip = value;
        return true;
    case GDB_REG_FLAGS:
        flags_write(cpu, value);
        return true;
    case GDB_REG_SEGMENT:
        return value <= UINT16_MAX && segment_load(cpu, reg->index, value, read, opaque);
    case GDB_REG_X87_CONTROL:
        x87_write(cpu, reg->index, value);
        return true;
    case GDB_REG_MXCSR:
        return mxcsr_write(cpu, value);
    case GDB_REG_BASE:
        *base_of(cpu, reg) = value;
        return true;
    case GDB_REG_CONTROL:
        return control_write(cpu, reg->index, value);
    default:
        return efer_write(cpu, value);
    }
}

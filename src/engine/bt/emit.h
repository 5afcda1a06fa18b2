/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoder for the few host instructions the translator itself makes. Guest instructions are
 * re-encoded by translate_copy.c. None of these touches the flags: guest flags are live in the
 * host's all the time. (Intel SDM vol. 2) */
#ifndef YADO_ENGINE_BT_EMIT_H
#define YADO_ENGINE_BT_EMIT_H

#include <string.h>

#include "engine/bt/bt.h"

/* Host registers by number; the first 16 of them are encoded like the guest's. */
enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff,
};

/* Scratch. RCX is one because jrcxz is the only conditional branch that does not read flags. RSP is
 * the host's own: return addresses of translated calls, so that the host predicts guest returns. */
#define S0 H_RCX
#define T0 H_R14
#define T1 H_R15

/* Where a guest register lives: a host register, or H_NONE for cpu.regs. Registers that
 * instructions name implicitly stay where they are, but for RCX and RSP. */
#define HOME_RCX H_R11
#define HOME_RSP H_R13
static const uint8_t host_home[16] = {
    [RAX] = H_RAX,    [RCX] = HOME_RCX, [RDX] = H_RDX,  [RBX] = H_RBX,
    [RSP] = HOME_RSP, [RBP] = H_RBP,    [RSI] = H_RSI,  [RDI] = H_RDI,
    [R8] = H_R8,      [R9] = H_R9,      [R10] = H_R10,  [R11] = H_NONE,
    [R12] = H_R12,    [R13] = H_NONE,   [R14] = H_NONE, [R15] = H_NONE,
};

#define CPU_OFFSET(field) ((int32_t)offsetof(struct bt_vcpu, field))
#define REG_OFFSET(guest) ((int32_t)(offsetof(struct x86_cpu, regs) + 8 * (guest)))

struct emit {
    uint8_t *p;     /* where the next byte is written */
    uint8_t *end;   /* writable limit; `overflow` is set instead of going past it */
    ptrdiff_t exec; /* add to a write address to get the executable one */
    bool overflow;
};

static inline uint8_t *emit_here(const struct emit *e)
{
    return e->p + e->exec;
}

static inline bool emit_room(struct emit *e)
{
    if (e->end - e->p < 64) {
        e->overflow = true;
        return false;
    }
    return true;
}

static inline void emit_8(struct emit *e, uint8_t byte)
{
    *e->p++ = byte;
}
static inline void emit_32(struct emit *e, uint32_t value)
{
    memcpy(e->p, &value, 4);
    e->p += 4;
}
static inline void emit_64(struct emit *e, uint64_t value)
{
    memcpy(e->p, &value, 8);
    e->p += 8;
}

static inline void emit_rex(struct emit *e, bool w, unsigned reg, unsigned index, unsigned base)
{
    uint8_t rex = (w ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (base >> 3 & 1);
    if (rex)
        emit_8(e, 0x40 | rex);
}

/* ModRM and SIB for [base + index * 2^scale + disp]; base or index may be H_NONE. */
static inline void emit_modrm_mem(struct emit *e, unsigned reg, unsigned base, unsigned index,
                                  unsigned scale, int32_t disp)
{
    reg &= 7;
    if (base == H_NONE) { /* [disp32] or [index * scale + disp32] */
        emit_8(e, reg << 3 | 4);
        emit_8(e, scale << 6 | (index == H_NONE ? 4 : (index & 7)) << 3 | 5);
        emit_32(e, disp);
        return;
    }
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp == (int8_t)disp ? 1 : 2;
    if (index != H_NONE || (base & 7) == 4) {
        emit_8(e, mod << 6 | reg << 3 | 4);
        emit_8(e, scale << 6 | (index == H_NONE ? 4 : (index & 7)) << 3 | (base & 7));
    } else {
        emit_8(e, mod << 6 | reg << 3 | (base & 7));
    }
    if (mod == 1)
        emit_8(e, disp);
    else if (mod == 2)
        emit_32(e, disp);
}

/* lea with a 32-bit displacement and an index byte whatever the operand: eight bytes in all. */
static inline void emit_lea_8_bytes(struct emit *e, unsigned reg, unsigned base, int32_t disp)
{
    emit_8(e, 0x48 | (reg >> 3 & 1) << 2 | (base >> 3 & 1));
    emit_8(e, 0x8d);
    emit_8(e, 2 << 6 | (reg & 7) << 3 | 4);
    emit_8(e, 4 << 3 | (base & 7));
    emit_32(e, disp);
}

/* One-byte opcode with a memory operand. */
static inline void emit_op_mem(struct emit *e, bool w, uint8_t opcode, unsigned reg, unsigned base,
                               unsigned index, unsigned scale, int32_t disp)
{
    emit_rex(e, w, reg, index == H_NONE ? 0 : index, base == H_NONE ? 0 : base);
    emit_8(e, opcode);
    emit_modrm_mem(e, reg, base, index, scale, disp);
}

/* The same through the GS base: struct bt_vcpu. */
static inline void emit_op_vcpu(struct emit *e, bool w, uint8_t opcode, unsigned reg,
                                int32_t offset)
{
    emit_8(e, 0x65);
    emit_op_mem(e, w, opcode, reg, H_NONE, H_NONE, 0, offset);
}

static inline void emit_load(struct emit *e, unsigned reg, unsigned base, int32_t disp)
{
    emit_op_mem(e, true, 0x8b, reg, base, H_NONE, 0, disp);
}
static inline void emit_load_vcpu(struct emit *e, unsigned reg, int32_t offset)
{
    emit_op_vcpu(e, true, 0x8b, reg, offset);
}
static inline void emit_load32_vcpu(struct emit *e, unsigned reg, int32_t offset)
{
    emit_op_vcpu(e, false, 0x8b, reg, offset);
}
static inline void emit_store_vcpu(struct emit *e, int32_t offset, unsigned reg)
{
    emit_op_vcpu(e, true, 0x89, reg, offset);
}
static inline void emit_store_imm_vcpu(struct emit *e, int32_t offset, int32_t imm)
{
    emit_op_vcpu(e, true, 0xc7, 0, offset);
    emit_32(e, imm);
}
/* An array of 64-bit entries in struct bt_vcpu. */
static inline void emit_load_vcpu_index(struct emit *e, unsigned reg, int32_t offset,
                                        unsigned index)
{
    emit_8(e, 0x65);
    emit_op_mem(e, true, 0x8b, reg, H_NONE, index, 3, offset);
}

static inline void emit_mov(struct emit *e, unsigned to, unsigned from)
{
    if (to == from)
        return;
    emit_rex(e, true, from, 0, to);
    emit_8(e, 0x89);
    emit_8(e, 0xc0 | (from & 7) << 3 | (to & 7));
}
/* Clears the upper half too, so not skipped when to == from. */
static inline void emit_mov32(struct emit *e, unsigned to, unsigned from)
{
    emit_rex(e, false, from, 0, to);
    emit_8(e, 0x89);
    emit_8(e, 0xc0 | (from & 7) << 3 | (to & 7));
}
/* The ten-byte form. */
static inline void emit_mov_imm64(struct emit *e, unsigned reg, uint64_t value)
{
    emit_rex(e, true, 0, 0, reg);
    emit_8(e, 0xb8 | (reg & 7));
    emit_64(e, value);
}
static inline void emit_mov_imm(struct emit *e, unsigned reg, uint64_t value)
{
    if (value == (uint32_t)value) {
        emit_rex(e, false, 0, 0, reg);
        emit_8(e, 0xb8 | (reg & 7));
        emit_32(e, value);
    } else if (value == (uint64_t)(int32_t)value) {
        emit_rex(e, true, 0, 0, reg);
        emit_8(e, 0xc7);
        emit_8(e, 0xc0 | (reg & 7));
        emit_32(e, value);
    } else {
        emit_mov_imm64(e, reg, value);
    }
}
static inline void emit_lea(struct emit *e, unsigned reg, unsigned base, unsigned index,
                            unsigned scale, int32_t disp)
{
    emit_op_mem(e, true, 0x8d, reg, base, index, scale, disp);
}
static inline void emit_lea32(struct emit *e, unsigned reg, unsigned base, unsigned index,
                              unsigned scale, int32_t disp)
{
    emit_op_mem(e, false, 0x8d, reg, base, index, scale, disp);
}
static inline void emit_movzx16(struct emit *e, unsigned to, unsigned from)
{
    emit_rex(e, false, to, 0, from);
    emit_8(e, 0x0f);
    emit_8(e, 0xb7);
    emit_8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}

/* Three-byte VEX prefix, 64-bit operand. `map`: 2 = 0F38, 3 = 0F3A; `pp`: 1 = 66, 2 = F3, 3 =
 * F2. */
static inline void emit_vex(struct emit *e, unsigned reg, unsigned index, unsigned base,
                            unsigned map, unsigned pp, unsigned vvvv)
{
    emit_8(e, 0xc4);
    emit_8(e, (~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | map);
    emit_8(e, 0x80 | (~vvvv & 15) << 3 | pp);
}
static inline void emit_rorx(struct emit *e, unsigned to, unsigned from, uint8_t count)
{
    emit_vex(e, to, 0, from, 3, 3, 0);
    emit_8(e, 0xf0);
    emit_8(e, 0xc0 | (to & 7) << 3 | (from & 7));
    emit_8(e, count);
}
static inline void emit_shrx(struct emit *e, unsigned to, unsigned from, unsigned count)
{
    emit_vex(e, to, 0, from, 2, 3, count);
    emit_8(e, 0xf7);
    emit_8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}
static inline void emit_sarx(struct emit *e, unsigned to, unsigned from, unsigned count)
{
    emit_vex(e, to, 0, from, 2, 2, count);
    emit_8(e, 0xf7);
    emit_8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}
static inline void emit_movsxd(struct emit *e, unsigned to, unsigned from)
{
    emit_rex(e, true, to, 0, from);
    emit_8(e, 0x63);
    emit_8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}
/* to = bits of `from` selected by the mask in struct bt_vcpu, packed (pext) or back (pdep). */
static inline void emit_pext_vcpu(struct emit *e, unsigned to, unsigned from, int32_t mask_offset)
{
    emit_8(e, 0x65);
    emit_vex(e, to, 0, 0, 2, 2, from);
    emit_8(e, 0xf5);
    emit_modrm_mem(e, to, H_NONE, H_NONE, 0, mask_offset);
}
static inline void emit_pdep_vcpu(struct emit *e, unsigned to, unsigned from, int32_t mask_offset)
{
    emit_8(e, 0x65);
    emit_vex(e, to, 0, 0, 2, 3, from);
    emit_8(e, 0xf5);
    emit_modrm_mem(e, to, H_NONE, H_NONE, 0, mask_offset);
}
/* to = from & mask, flags untouched. */
static inline void emit_and_vcpu(struct emit *e, unsigned to, unsigned from, int32_t mask_offset)
{
    emit_pext_vcpu(e, to, from, mask_offset);
    emit_pdep_vcpu(e, to, to, mask_offset);
}

/* ---- control flow; targets are executable addresses ---- */

static inline void emit_rel32(struct emit *e, const uint8_t *target)
{
    emit_32(e, (uint32_t)(target - (emit_here(e) + 4)));
}
static inline void emit_jmp(struct emit *e, const uint8_t *target)
{
    emit_8(e, 0xe9);
    emit_rel32(e, target);
}
static inline void emit_call(struct emit *e, const uint8_t *target)
{
    emit_8(e, 0xe8);
    emit_rel32(e, target);
}
static inline void emit_ret(struct emit *e)
{
    emit_8(e, 0xc3);
}
static inline void emit_push(struct emit *e, unsigned reg)
{
    emit_rex(e, false, 0, 0, reg);
    emit_8(e, 0x50 | (reg & 7));
}
static inline void emit_pop(struct emit *e, unsigned reg)
{
    emit_rex(e, false, 0, 0, reg);
    emit_8(e, 0x58 | (reg & 7));
}

static inline void emit_nops(struct emit *e, unsigned count)
{
    while (count--)
        emit_8(e, 0x90);
}

/* One instruction of eight bytes: nop dword [rax + rax + 0x00000000]. */
static inline void emit_nop8(struct emit *e)
{
    emit_64(e, 0x0000000000841f0full);
}

/* Notes which branch this is, by its place in the code memory, in case its target is not
 * canonical. */
static inline void emit_site(struct emit *e, uint32_t site)
{
    emit_op_vcpu(e, false, 0xc7, 0, CPU_OFFSET(branch_site));
    emit_32(e, site);
}

/* The jump cache lookup of the address in T0 (thunks.c). `site`: see emit_site(), or 0 if that was
 * done before. */
void bt_emit_jump(struct emit *e, const struct bt *bt, enum bt_mmu mmu, uint32_t site);

/* Branches whose target comes later: emit with a hole, then patch. */
static inline uint8_t *emit_hole32(struct emit *e)
{
    emit_32(e, 0);
    return e->p - 4;
}
static inline void emit_patch32(struct emit *e, uint8_t *hole)
{
    uint32_t rel = e->p - (hole + 4);
    memcpy(hole, &rel, 4);
}
static inline uint8_t *emit_jmp_later(struct emit *e)
{
    emit_8(e, 0xe9);
    return emit_hole32(e);
}
static inline uint8_t *emit_jcc_later(struct emit *e, unsigned condition)
{
    emit_8(e, 0x0f);
    emit_8(e, 0x80 | condition);
    return emit_hole32(e);
}
/* jrcxz with a short hole; patch with emit_patch8(). */
static inline uint8_t *emit_jrcxz_later(struct emit *e)
{
    emit_8(e, 0xe3);
    emit_8(e, 0);
    return e->p - 1;
}
static inline void emit_patch8(struct emit *e, uint8_t *hole)
{
    *hole = e->p - (hole + 1);
}
static inline void emit_jmp_vcpu_index(struct emit *e, int32_t offset, unsigned index)
{
    emit_8(e, 0x65);
    emit_op_mem(e, false, 0xff, 4, H_NONE, index, 3, offset);
}
static inline void emit_jmp_reg(struct emit *e, unsigned reg)
{
    emit_rex(e, false, 0, 0, reg);
    emit_8(e, 0xff);
    emit_8(e, 0xe0 | (reg & 7));
}
/* Calls and jumps to C functions outside the code memory: through rax, which must be saved. */
static inline void emit_call_c(struct emit *e, void *function)
{
    emit_mov_imm(e, H_RAX, (uintptr_t)function);
    emit_8(e, 0xff);
    emit_8(e, 0xd0);
}

#endif

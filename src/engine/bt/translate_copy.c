/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions that the host executes as they are, with other registers: general registers are
 * replaced by their homes or a scratch register, a memory operand by the place its lookup gave.
 * Vector, mask and x87 registers, flags and immediates stay. */
#include "engine/bt/translate.h"

/* Number of a general register of any width, or -1; `*high` for AH, CH, DH, BH. */
int insn_gpr(ZydisRegister reg, bool *high)
{
    *high = false;
    if (reg >= ZYDIS_REGISTER_RAX && reg <= ZYDIS_REGISTER_R15)
        return reg - ZYDIS_REGISTER_RAX;
    if (reg >= ZYDIS_REGISTER_EAX && reg <= ZYDIS_REGISTER_R15D)
        return reg - ZYDIS_REGISTER_EAX;
    if (reg >= ZYDIS_REGISTER_AX && reg <= ZYDIS_REGISTER_R15W)
        return reg - ZYDIS_REGISTER_AX;
    if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
        return reg - ZYDIS_REGISTER_AL;
    if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
        return reg - ZYDIS_REGISTER_SPL + 4;
    if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
        *high = true;
        return reg - ZYDIS_REGISTER_AH;
    }
    return -1;
}

unsigned use_reg(struct translator *t, unsigned reg, unsigned temp)
{
    if (host_home[reg] != H_NONE)
        return host_home[reg];
    emit_load_vcpu(&t->e, temp, REG_OFFSET(reg));
    return temp;
}

void set_reg(struct translator *t, unsigned reg, unsigned from)
{
    if (host_home[reg] != H_NONE)
        emit_mov(&t->e, host_home[reg], from);
    else
        emit_store_vcpu(&t->e, REG_OFFSET(reg), from);
}

/* ---- which instructions ---------------------------------------------------------------------- */

/* Instruction set extensions whose user-mode instructions may run on the host unseen. Whether the
 * guest's CPUID shows them is the CPU model's matter; what is left out here would reach host state
 * that is not the guest's (PKRU, shadow stacks, transactions, tiles) or has several memory
 * operands. */
static bool extension_allowed(ZydisISAExt extension)
{
    switch (extension) {
    case ZYDIS_ISA_EXT_BASE:
    case ZYDIS_ISA_EXT_LONGMODE:
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4:
    case ZYDIS_ISA_EXT_SSE4A:
    case ZYDIS_ISA_EXT_AES:
    case ZYDIS_ISA_EXT_PCLMULQDQ:
    case ZYDIS_ISA_EXT_SHA:
    case ZYDIS_ISA_EXT_AVX:
    case ZYDIS_ISA_EXT_AVX2:
    case ZYDIS_ISA_EXT_AVXAES:
    case ZYDIS_ISA_EXT_AVX_VNNI:
    case ZYDIS_ISA_EXT_AVX512VEX:
    case ZYDIS_ISA_EXT_AVX512EVEX:
    case ZYDIS_ISA_EXT_F16C:
    case ZYDIS_ISA_EXT_FMA:
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
    case ZYDIS_ISA_EXT_LZCNT:
    case ZYDIS_ISA_EXT_ADOX_ADCX:
    case ZYDIS_ISA_EXT_MOVBE:
    case ZYDIS_ISA_EXT_RDRAND:
    case ZYDIS_ISA_EXT_RDSEED:
    case ZYDIS_ISA_EXT_CLFSH:
    case ZYDIS_ISA_EXT_CLFLUSHOPT:
    case ZYDIS_ISA_EXT_CLWB:
    case ZYDIS_ISA_EXT_GFNI:
    case ZYDIS_ISA_EXT_VAES:
    case ZYDIS_ISA_EXT_VPCLMULQDQ:
    case ZYDIS_ISA_EXT_PAUSE:
    case ZYDIS_ISA_EXT_FMA4:
    case ZYDIS_ISA_EXT_XOP:
    case ZYDIS_ISA_EXT_TBM:
        return true;
    default:
        return false;
    }
}

/* Not for the host, although of an allowed extension: system instructions, several or hidden memory
 * operands, control flow, what translate_special.c or x86_execute() does. */
static bool mnemonic_excluded(const ZydisDecodedInstruction *info)
{
    switch (info->meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_GATHER:
    case ZYDIS_CATEGORY_SCATTER:
    case ZYDIS_CATEGORY_AVX2GATHER:
    case ZYDIS_CATEGORY_RDWRFSGS:
        return true;
    default:
        break;
    }
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_XLAT:
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_BOUND:
    case ZYDIS_MNEMONIC_ARPL:
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_SALC:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_CLZERO:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_RDPRU:
    case ZYDIS_MNEMONIC_MONITORX:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_LLWPCB:
    case ZYDIS_MNEMONIC_SLWPCB:
        return true;
    default:
        return info->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED;
    }
}

bool copy_allowed(const struct insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    if (!extension_allowed(info->meta.isa_ext) || mnemonic_excluded(info))
        return false;
    for (unsigned i = 0; i < info->operand_count; i++) {
        const ZydisDecodedOperand *op = &insn->op[i];
        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY
            && (op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN
                || op->mem.type == ZYDIS_MEMOP_TYPE_VSIB || op->mem.type == ZYDIS_MEMOP_TYPE_MIB
                || op->size == 0 || op->size > 512 * 8))
            return false;
        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);
            if (class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL
                || class == ZYDIS_REGCLASS_DEBUG || class == ZYDIS_REGCLASS_TABLE)
                return false;
        }
    }
    return true;
}

/* ---- re-encoding
 * --------------------------------------------------------------------------------- */

#define KEEP 0xff

/* Host registers for the fields of an instruction; KEEP: what it has. */
struct fields {
    uint8_t reg, rm, vvvv, opcode;
};

static void emit_operand(struct emit *e, const struct insn *insn, unsigned reg, unsigned rm,
                         const struct place *m, bool wide_disp)
{
    const ZydisDecodedInstructionRaw *raw = &insn->info.raw;
    if (!m) {
        emit_8(e, (raw->modrm.mod << 6) | (reg & 7) << 3 | (rm & 7));
    } else if (wide_disp) { /* EVEX scales an 8-bit displacement */
        bool index = m->index != H_NONE;
        emit_8(e, 2 << 6 | (reg & 7) << 3 | 4);
        emit_8(e, (index ? (m->index & 7) : 4) << 3 | (m->base & 7));
        emit_32(e, m->disp);
    } else {
        emit_modrm_mem(e, reg, m->base, m->index, 0, m->disp);
    }
}

static void emit_legacy(struct translator *t, const struct insn *insn, const struct fields *f,
                        const struct place *m, unsigned *tail)
{
    struct emit *e = &t->e;
    const ZydisDecodedInstruction *info = &insn->info;
    const ZydisDecodedInstructionRaw *raw = &info->raw;
    bool has_66 = false, has_rex = info->attributes & ZYDIS_ATTRIB_HAS_REX;
    bool operand_16 = false, low_byte = false;
    uint8_t repeat = 0;

    for (unsigned i = 0; i < raw->prefix_count; i++) {
        uint8_t byte = raw->prefixes[i].value;
        bool mandatory = raw->prefixes[i].type == ZYDIS_PREFIX_TYPE_MANDATORY;
        if (byte == 0x66 && mandatory)
            has_66 = true;
        if ((byte == 0xf2 || byte == 0xf3) && (mandatory || info->mnemonic == ZYDIS_MNEMONIC_PAUSE))
            repeat = byte;
    }
    for (unsigned i = 0; i < info->operand_count; i++) {
        const ZydisDecodedOperand *op = &insn->op[i];
        bool high;
        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && insn_gpr(op->reg.value, &high) >= 0) {
            operand_16 |= op->size == 16;
            low_byte |= op->size == 8 && !high;
        } else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            operand_16 |= op->size == 16;
        }
    }
    if (info->operand_width == 16 && operand_16 && !(info->meta.category == ZYDIS_CATEGORY_X87_ALU))
        has_66 = true;

    unsigned reg = f->reg == KEEP ? (raw->rex.R << 3 | raw->modrm.reg) : f->reg;
    unsigned rm = m ? m->base : f->rm == KEEP ? (raw->rex.B << 3 | raw->modrm.rm) : f->rm;
    unsigned index = m && m->index != H_NONE ? m->index : 0;
    bool has_modrm = info->attributes & ZYDIS_ATTRIB_HAS_MODRM;
    uint8_t opcode = info->opcode;
    if (!has_modrm) {
        reg = index = 0;
        rm = f->opcode == KEEP ? 0 : f->opcode;
        if (f->opcode != KEEP)
            opcode = (opcode & ~7) | (rm & 7);
    }
    bool byte_rex = low_byte
                    && ((f->reg != KEEP && f->reg >= 4) || (f->rm != KEEP && f->rm >= 4)
                        || (f->opcode != KEEP && f->opcode >= 4));

    if (info->attributes & ZYDIS_ATTRIB_HAS_LOCK)
        emit_8(e, 0xf0);
    if (has_66)
        emit_8(e, 0x66);
    if (repeat)
        emit_8(e, repeat);
    uint8_t rex = (has_rex && raw->rex.W ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1
                  | (rm >> 3 & 1);
    if (rex || byte_rex)
        emit_8(e, 0x40 | rex);
    if (info->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        emit_8(e, 0x0f);
    if (info->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        emit_8(e, 0x38);
    if (info->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
        emit_8(e, 0x3a);
    emit_8(e, opcode);
    *tail = raw->imm[0].size ? raw->imm[0].offset : info->length;
    if (has_modrm)
        emit_operand(e, insn, reg, rm, m, false);
}

static void emit_vex_insn(struct translator *t, const struct insn *insn, const struct fields *f,
                          const struct place *m, unsigned *tail)
{
    struct emit *e = &t->e;
    const ZydisDecodedInstruction *info = &insn->info;
    const ZydisDecodedInstructionRaw *raw = &info->raw;
    bool xop = info->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP;
    /* Zydis keeps the prefix's bits as they are encoded, inverted. */
    unsigned r = xop ? !raw->xop.R : !raw->vex.R, b = xop ? !raw->xop.B : !raw->vex.B;
    unsigned map = xop ? raw->xop.m_mmmm : raw->vex.size == 2 ? 1 : raw->vex.m_mmmm;
    unsigned w = xop ? raw->xop.W : raw->vex.W, l = xop ? raw->xop.L : raw->vex.L;
    unsigned pp = xop ? raw->xop.pp : raw->vex.pp, v = (xop ? ~raw->xop.vvvv : ~raw->vex.vvvv) & 15;
    unsigned reg = f->reg == KEEP ? (r << 3 | raw->modrm.reg) : f->reg;
    unsigned rm = m ? m->base : f->rm == KEEP ? (b << 3 | raw->modrm.rm) : f->rm;
    unsigned index = m && m->index != H_NONE ? m->index : 0;
    if (f->vvvv != KEEP)
        v = f->vvvv;

    emit_8(e, xop ? 0x8f : 0xc4);
    emit_8(e, (~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~rm >> 3 & 1) << 5 | map);
    emit_8(e, w << 7 | (~v & 15) << 3 | l << 2 | pp);
    emit_8(e, info->opcode);
    *tail = raw->imm[0].size ? raw->imm[0].offset : info->length;
    if (info->attributes & ZYDIS_ATTRIB_HAS_MODRM)
        emit_operand(e, insn, reg, rm, m, false);
}

static void emit_evex_insn(struct translator *t, const struct insn *insn, const struct fields *f,
                           const struct place *m, unsigned *tail)
{
    struct emit *e = &t->e;
    const ZydisDecodedInstruction *info = &insn->info;
    const ZydisDecodedInstructionRaw *raw = &info->raw;
    const uint8_t *evex = insn->bytes + raw->evex.offset;
    /* The payload's register bits are stored inverted; take the three bytes as they are and replace
     * what changes. (Intel SDM vol. 2, 2.7.1) */
    uint8_t p0 = evex[1], p1 = evex[2], p2 = evex[3];
    unsigned reg = raw->modrm.reg, rm = raw->modrm.rm;
    if (!t->code64)
        p0 |= 0xf0;
    if (f->reg != KEEP) {
        reg = f->reg;
        p0 = (p0 & ~0x90) | (~reg >> 3 & 1) << 7 | 0x10;
    }
    if (m) {
        unsigned index = m->index != H_NONE ? m->index : 0;
        rm = m->base;
        p0 = (p0 & ~0x60) | (~index >> 3 & 1) << 6 | (~rm >> 3 & 1) << 5;
        p2 |= 0x08; /* V': index is not a vector register */
        if (f->vvvv == KEEP)
            p2 = (p2 & ~0x08) | (evex[3] & 0x08); /* still vvvv's fifth bit */
    } else if (f->rm != KEEP) {
        rm = f->rm;
        p0 = (p0 & ~0x60) | 0x40 | (~rm >> 3 & 1) << 5;
    }
    if (f->vvvv != KEEP)
        p1 = (p1 & ~0x78) | (~f->vvvv & 15) << 3;
    emit_8(e, 0x62);
    emit_8(e, p0);
    emit_8(e, p1);
    emit_8(e, p2);
    emit_8(e, info->opcode);
    *tail = raw->imm[0].size ? raw->imm[0].offset : info->length;
    emit_operand(e, insn, reg, rm, m, true);
}

static void emit_encoded(struct translator *t, const struct insn *insn, const struct fields *f,
                         const struct place *m)
{
    unsigned tail;
    switch (insn->info.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
        emit_vex_insn(t, insn, f, m, &tail);
        break;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
        emit_evex_insn(t, insn, f, m, &tail);
        break;
    case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
        emit_legacy(t, insn, f, m, &tail);
        tail = insn->info.length - 1;
        break;
    default:
        emit_legacy(t, insn, f, m, &tail);
    }
    for (; tail < insn->info.length; tail++)
        emit_8(&t->e, insn->bytes[tail]);
}

/* ---- operands
 * -------------------------------------------------------------------------------------- */

/* A guest register used by an instruction that has no home there, or must be in a given place. */
struct substitute {
    uint8_t guest, host;
    bool read, written;
};

struct substitution {
    struct fields fields;
    struct substitute list[4];
    unsigned count;
    uint8_t temps[3];
    unsigned temp_count, temps_used;
};

static unsigned substitute(struct substitution *s, const struct insn *insn, unsigned guest,
                           const ZydisDecodedOperand *op)
{
    bool read = op->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    bool written = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    /* A partial, or conditional, write keeps the rest of the register. */
    if (written
        && (op->size < 32 || op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE
            || insn->info.mnemonic == ZYDIS_MNEMONIC_BSF
            || insn->info.mnemonic == ZYDIS_MNEMONIC_BSR))
        read = true;
    if (host_home[guest] != H_NONE)
        return host_home[guest];
    for (unsigned i = 0; i < s->count; i++) {
        if (s->list[i].guest == guest) {
            s->list[i].read |= read;
            s->list[i].written |= written;
            return s->list[i].host;
        }
    }
    unsigned host = s->temps[s->temps_used++];
    s->list[s->count++] = (struct substitute){ guest, host, read, written };
    return host;
}

/* Counts registers without home, and finds uses of RCX and RSP that an encoding implies and of
 * AH-BH, which rule out a REX prefix. */
static void survey(const struct insn *insn, unsigned *homeless, bool *implicit_rcx,
                   bool *writes_rcx, bool *high_byte)
{
    *homeless = 0;
    *implicit_rcx = *writes_rcx = *high_byte = false;
    unsigned seen = 0;
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *op = &insn->op[i];
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        bool high;
        int reg = insn_gpr(op->reg.value, &high);
        if (reg < 0)
            continue;
        *high_byte |= high;
        if (op->encoding == ZYDIS_OPERAND_ENCODING_NONE && reg == RCX) {
            *implicit_rcx = true;
            *writes_rcx |= (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        }
        if (host_home[reg] == H_NONE && !(seen & 1u << reg)) {
            seen |= 1u << reg;
            ++*homeless;
        }
    }
}

static bool uses_gpr(const struct insn *insn, unsigned reg)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        bool high;
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER
            && insn_gpr(insn->op[i].reg.value, &high) == (int)reg)
            return true;
    }
    return false;
}

/* With AH-BH among the operands no REX prefix may appear, so only the first eight host registers
 * can be named. RCX is used under its own name; RSP (movzx esp, ah) is stood in for by a register
 * the instruction does not use, and so is the memory operand's address, if RCX is taken. */
static void copy_high_byte(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    struct fields fields = { KEEP, KEEP, KEEP, KEEP };
    struct place low;
    bool rcx = uses_gpr(insn, RCX), rsp = uses_gpr(insn, RSP);
    unsigned stand_in = uses_gpr(insn, RBX) ? uses_gpr(insn, RDX) ? H_RAX : H_RDX : H_RBX;

    if (rsp || (m && rcx))
        emit_store_vcpu(e, CPU_OFFSET(spill[0]), stand_in);
    if (m) {
        low = (struct place){ rcx ? stand_in : S0, H_NONE, 0 };
        emit_lea(e, low.base, m->base, m->index, 0, m->disp);
    }
    if (rcx)
        emit_mov(e, H_RCX, HOME_RCX);
    if (rsp) { /* always the register field: the other operand is the high byte */
        emit_mov(e, stand_in, HOME_RSP);
        fields.reg = stand_in;
    }
    emit_encoded(t, insn, &fields, m ? &low : NULL);
    if (rsp)
        emit_mov(e, HOME_RSP, stand_in);
    if (rcx)
        emit_mov(e, HOME_RCX, H_RCX);
    if (rsp || (m && rcx))
        emit_load_vcpu(e, stand_in, CPU_OFFSET(spill[0]));
}

static void copy_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    struct place collapsed;
    unsigned homeless;
    bool implicit_rcx, writes_rcx, high_byte;
    survey(insn, &homeless, &implicit_rcx, &writes_rcx, &high_byte);
    if (high_byte) {
        copy_high_byte(t, insn, m);
        return;
    }

    struct substitution s = { .fields = { KEEP, KEEP, KEEP, KEEP } };
    if (!implicit_rcx)
        s.temps[s.temp_count++] = S0;
    if (!m || (m->base != T0 && m->index != T0))
        s.temps[s.temp_count++] = T0;
    if (!m) {
        s.temps[s.temp_count++] = T1;
    } else if (homeless > s.temp_count) {
        emit_lea(e, T0, m->base, m->index, 0, m->disp);
        collapsed = (struct place){ T0, H_NONE, 0 };
        m = &collapsed;
        s.temp_count = 0;
        if (!implicit_rcx)
            s.temps[s.temp_count++] = S0;
        s.temps[s.temp_count++] = T1;
        shared_spoil(t);
    }
    if (!m && homeless > s.temp_count - 1)
        shared_spoil(t);
    if (homeless > s.temp_count) {
        t->e.overflow = true; /* no instruction needs as many; checked by the caller */
        return;
    }

    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *op = &insn->op[i];
        bool high;
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        int reg = insn_gpr(op->reg.value, &high);
        if (reg < 0 || op->encoding == ZYDIS_OPERAND_ENCODING_NONE)
            continue;
        unsigned host = substitute(&s, insn, reg, op);
        switch (op->encoding) {
        case ZYDIS_OPERAND_ENCODING_MODRM_REG:
            s.fields.reg = host;
            break;
        case ZYDIS_OPERAND_ENCODING_MODRM_RM:
            s.fields.rm = host;
            break;
        case ZYDIS_OPERAND_ENCODING_NDSNDD:
            s.fields.vvvv = host;
            break;
        case ZYDIS_OPERAND_ENCODING_OPCODE:
            s.fields.opcode = host;
            break;
        default:
            break;
        }
    }
    if (implicit_rcx)
        emit_mov(e, H_RCX, HOME_RCX);
    for (unsigned i = 0; i < s.count; i++)
        if (s.list[i].read)
            emit_load_vcpu(e, s.list[i].host, REG_OFFSET(s.list[i].guest));
    emit_encoded(t, insn, &s.fields, m);
    for (unsigned i = 0; i < s.count; i++)
        if (s.list[i].written)
            emit_store_vcpu(e, REG_OFFSET(s.list[i].guest), s.list[i].host);
    if (writes_rcx)
        emit_mov(e, HOME_RCX, H_RCX);
}

/* mov between the accumulator and an absolute address has no ModRM byte: encode it as the ordinary
 * mov. */
static void copy_moffs(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    unsigned size = insn->mem->size / 8;
    bool store = insn->info.opcode & 2;
    if (size == 2)
        emit_8(e, 0x66);
    emit_op_mem(e, size == 8, (store ? 0x88 : 0x8a) | (size != 1), H_RAX, m->base, m->index, 0,
                m->disp);
}

/* One-byte inc and dec of legacy modes are REX prefixes in 64-bit mode. */
static void copy_short_incdec(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    bool high;
    unsigned host = host_home[insn_gpr(insn->op[0].reg.value, &high)];
    if (insn->op[0].size == 16)
        emit_8(e, 0x66);
    emit_rex(e, false, 0, 0, host);
    emit_8(e, 0xff);
    emit_8(e, 0xc0 | (insn->info.mnemonic == ZYDIS_MNEMONIC_DEC) << 3 | (host & 7));
}

/* Bytes masked off by a mask register or a vector's sign bits do not fault. */
static bool is_masked(const struct insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    if (info->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && info->raw.evex.aaa)
        return true;
    return info->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPS
           || info->mnemonic == ZYDIS_MNEMONIC_VMASKMOVPD
           || info->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVD
           || info->mnemonic == ZYDIS_MNEMONIC_VPMASKMOVQ;
}

/* A waiting x87 or MMX instruction; the fn… ones do not look at pending exceptions. */
static bool waits_for_x87(const struct insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FNSTSW:
        return false;
    case ZYDIS_MNEMONIC_FISTTP:
        return true;
    default:
        break;
    }
    for (unsigned i = 0; i < insn->info.operand_count; i++)
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER
            && ZydisRegisterGetClass(insn->op[i].reg.value) == ZYDIS_REGCLASS_MMX)
            return true;
    return insn->info.meta.isa_ext == ZYDIS_ISA_EXT_X87;
}

/* Real size of a memory operand: what the host will touch. A cache line's address is one byte. */
static unsigned access_size(const struct insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
        return 1;
    default:
        break;
    }
    if (insn->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR
        || insn->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR64)
        return 512;
    return insn->mem->size / 8;
}

/* bt and its kin with a register operand address memory beyond their operand: the word that holds
 * the bit is looked up, and the bit's number in the word taken. */
static void bit_string_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    bool high, wide = insn->mem->size == 64;
    unsigned index = use_reg(t, insn_gpr(insn->op[1].reg.value, &high), S0);
    emit_pext_vcpu(e, S0, index, CPU_OFFSET(bit_index_mask[wide]));
    if (insn->info.attributes & ZYDIS_ATTRIB_HAS_LOCK)
        emit_8(e, 0xf0);
    emit_rex(e, wide, S0, m->index, m->base);
    emit_8(e, 0x0f);
    emit_8(e, insn->info.opcode);
    emit_modrm_mem(e, S0, m->base, m->index, 0, m->disp);
}

static void translate_bit_string(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    bool high, wide = insn->mem->size == 64;
    if (!t->code64 || insn->mem->size == 16 || insn->info.address_width != 64) {
        translate_execute(t, insn);
        return;
    }
    struct address address = translate_address(t, insn, insn->mem, wide ? 8 : 4, true);
    shared_spoil(t);
    unsigned index = use_reg(t, insn_gpr(insn->op[1].reg.value, &high), T1);
    if (!wide) {
        emit_movsxd(e, T1, index);
        index = T1;
    }
    emit_mov_imm(e, S0, wide ? 6 : 5);
    emit_sarx(e, T1, index, S0);
    emit_lea(e, T0, address.reg, T1, wide ? 3 : 2, address.disp);
    address = (struct address){ .reg = T0, .guest_base = X86_NO_REG, .stack = address.stack };
    bool write = insn->info.mnemonic != ZYDIS_MNEMONIC_BT;
    translate_access(t, insn, address, (wide ? 8 : 4) | ACCESS_READ | (write ? ACCESS_WRITE : 0),
                     bit_string_body);
}

void translate_copy(struct translator *t, const struct insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    if (insn->mem && insn->mem->mem.type == ZYDIS_MEMOP_TYPE_MEM) {
        unsigned size = access_size(insn);
        bool read = insn->mem->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
        bool write = insn->mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        bool masked = is_masked(insn);
        bool moffs = info->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY
                     && info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT
                     && (info->opcode & 0xfc) == 0xa0;
        if ((info->mnemonic == ZYDIS_MNEMONIC_BT || info->mnemonic == ZYDIS_MNEMONIC_BTS
             || info->mnemonic == ZYDIS_MNEMONIC_BTR || info->mnemonic == ZYDIS_MNEMONIC_BTC)
            && insn->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            translate_bit_string(t, insn);
            return;
        }
        struct address address = translate_address(t, insn, insn->mem, size, write);
        uint32_t access = size | (read && !(masked && write) ? ACCESS_READ : 0)
                          | (write ? ACCESS_WRITE : 0) | (masked ? ACCESS_MASKED : 0)
                          | (waits_for_x87(insn) ? ACCESS_X87 : 0);
        translate_access(t, insn, address, access, moffs ? copy_moffs : copy_body);
        return;
    }
    translate_map(t, insn);
    if (info->mnemonic == ZYDIS_MNEMONIC_PAUSE && (info->attributes & ZYDIS_ATTRIB_HAS_REX)
        && info->raw.rex.B) { /* xchg r8, rax with a meaningless prefix, not pause */
        emit_rex(&t->e, info->raw.rex.W, 0, 0, H_R8);
        emit_8(&t->e, 0x90);
        return;
    }
    if (!t->code64 && info->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY
        && info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (info->opcode & 0xf0) == 0x40)
        copy_short_incdec(t, insn);
    else
        copy_body(t, insn, NULL);
}

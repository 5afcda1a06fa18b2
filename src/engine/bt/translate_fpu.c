/* SPDX-License-Identifier: GPL-2.0-or-later */
/* May the guest use this x87 or vector instruction, as CR0, CR4 and XCR0 are? They are part of the
 * block's mode. (Intel SDM vol. 3, 2.5; vol. 2, 2.4 "exception classes") */
#include "engine/bt/translate.h"

enum fpu_class {
    FPU_NONE,
    FPU_X87,
    FPU_WAIT, /* fwait */
    FPU_MMX,
    FPU_FXSAVE, /* fxsave, fxrstor */
    FPU_XSAVE,
    FPU_SSE,
    FPU_VEX,
    FPU_EVEX,
};

static bool has_vector_operand(const struct insn *insn)
{
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        if (insn->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        switch (ZydisRegisterGetClass(insn->op[i].reg.value)) {
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM:
        case ZYDIS_REGCLASS_ZMM:
        case ZYDIS_REGCLASS_MMX:
        case ZYDIS_REGCLASS_X87:
        case ZYDIS_REGCLASS_MASK:
            return true;
        default:
            break;
        }
    }
    return false;
}

static enum fpu_class class_of(const struct insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    switch (info->mnemonic) {
    case ZYDIS_MNEMONIC_FWAIT:
        return FPU_WAIT;
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        return FPU_FXSAVE;
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_XSETBV:
        return FPU_NONE; /* C checks */
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
        return FPU_SSE;
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
    case ZYDIS_MNEMONIC_VZEROUPPER:
    case ZYDIS_MNEMONIC_VZEROALL:
        return FPU_VEX;
    default:
        break;
    }
    switch (info->meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87:
        return FPU_X87;
    case ZYDIS_ISA_EXT_MMX:
        return FPU_MMX;
    case ZYDIS_ISA_EXT_XSAVE:
    case ZYDIS_ISA_EXT_XSAVEC:
    case ZYDIS_ISA_EXT_XSAVEOPT:
    case ZYDIS_ISA_EXT_XSAVES:
        return FPU_XSAVE;
    default:
        break;
    }
    if (!has_vector_operand(insn))
        return FPU_NONE;
    switch (info->encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
        return FPU_EVEX;
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
        return info->meta.isa_ext == ZYDIS_ISA_EXT_AVX512VEX ? FPU_EVEX : FPU_VEX;
    default:
        return FPU_SSE;
    }
}

int fpu_refusal(struct translator *t, const struct insn *insn)
{
    const struct x86_cpu *cpu = &t->v->cpu;
    enum fpu_class class = class_of(insn);
    bool ts = cpu->cr0 & CR0_TS, em = cpu->cr0 & CR0_EM;
    bool vex_mode = (t->mode & MODE_PROTECTED) && !(t->mode & MODE_V86);
    switch (class) {
    case FPU_NONE:
        return -1;
    case FPU_X87:
    case FPU_FXSAVE:
        return ts || em ? VECTOR_NM : -1;
    case FPU_WAIT:
        return ts && cpu->cr0 & CR0_MP ? VECTOR_NM : -1;
    case FPU_MMX:
        return em ? VECTOR_UD : ts ? VECTOR_NM : -1;
    case FPU_XSAVE:
        return !(cpu->cr4 & CR4_OSXSAVE) ? VECTOR_UD : ts ? VECTOR_NM : -1;
    case FPU_SSE:
        return em || !(cpu->cr4 & CR4_OSFXSR) ? VECTOR_UD : ts ? VECTOR_NM : -1;
    case FPU_VEX:
        return !vex_mode || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 6) != 6 ? VECTOR_UD
               : ts                                                           ? VECTOR_NM
                                                                              : -1;
    case FPU_EVEX:
        return !vex_mode || !(cpu->cr4 & CR4_OSXSAVE) || (cpu->xcr0 & 0xe6) != 0xe6 ? VECTOR_UD
               : ts                                                                 ? VECTOR_NM
                                                                                    : -1;
    }
    return -1;
}

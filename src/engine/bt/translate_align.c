/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which alignment an instruction wants of its memory operand. Where the manuals leave #AC open this
 * follows AMD's processors, on which it was compared: vectors want 16 bytes, an EVEX operand under
 * a mask the size of its elements, VEX masked moves nothing. */
#include "engine/bt/translate.h"

/* Vector instructions that raise #GP if the operand is not aligned to its size. (Intel SDM vol. 1,
 * 4.1.1 and 10.4.1.1) */
static bool wants_whole(const struct insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVDQA32:
    case ZYDIS_MNEMONIC_VMOVDQA64:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
        return true;
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
        return false;
    default:
        /* The SHA instructions take any address on AMD's processors; elsewhere the host tells,
         * after page faults. */
        return insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY
               && insn->info.meta.isa_ext != ZYDIS_ISA_EXT_SHA;
    }
}

uint32_t access_alignment(const struct insn *insn, uint32_t access)
{
    unsigned size = access & ACCESS_SIZE, gp = 0, ac = 0; /* log2 */
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        gp = 4;
        ac = 2;
        break;
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FLDENV:
        ac = insn->info.operand_width == 16 ? 1 : 2;
        break;
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
        break;
    default:
        if (access & ACCESS_MASKED)
            ac = insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && insn->mem
                     ? __builtin_ctz(insn->mem->element_size / 8 | 16)
                     : 0;
        else if (size >= 16 && !(size & (size - 1)) && wants_whole(insn))
            gp = __builtin_ctz(size);
        else if (size == 10)
            ac = 3;
        else if (size && !(size & (size - 1)))
            ac = MIN(__builtin_ctz(size), 4);
    }
    return gp << ACCESS_GP_SHIFT | ac << ACCESS_AC_SHIFT;
}

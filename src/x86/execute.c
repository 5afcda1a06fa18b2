/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/execute.h"

#include "util/log.h"
#include "x86/handlers.h"

typedef enum x86_next (*handler_fn)(struct x86_cpu *cpu, const struct x86_insn *insn);

#define X(mnemonic, name) [ZYDIS_MNEMONIC_##mnemonic] = x86_do_##name,
static const handler_fn handlers[ZYDIS_MNEMONIC_MAX_VALUE + 1] = { X86_HANDLERS(X) };
#undef X

static enum x86_next unknown_instruction(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (log_enabled(LOG_UNIMP)) {
        x86_quiesce(cpu);
        log_write("instruction '%s' at 0x%" G_GINT64_MODIFIER "x is not implemented: #UD\n",
                  ZydisMnemonicGetString(insn->mnemonic), cpu->rip);
    }
    x86_raise(cpu, VECTOR_UD);
}

/* ---- From Zydis' form to ours --------------------------------------------------------------- */

/* Register number as our enums have it; `kind` says which file. */
static void convert_register(struct x86_operand *op, ZydisRegister reg)
{
    static const uint8_t segments[6] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    ZyanI8 id = ZydisRegisterGetId(reg);

    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        /* Zydis numbers AL..BL 0-3, AH..BH 4-7, SPL..DIL 8-11, R8B… 12-. */
        op->kind = id >= 4 && id < 8 ? X86_OPERAND_HIGH : X86_OPERAND_REG;
        op->reg = id < 4 ? id : id - 4;
        break;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        op->kind = X86_OPERAND_REG;
        op->reg = id;
        break;
    case ZYDIS_REGCLASS_SEGMENT:
        op->kind = X86_OPERAND_SEG;
        op->reg = segments[id];
        break;
    case ZYDIS_REGCLASS_CONTROL:
        op->kind = X86_OPERAND_CR;
        op->reg = id;
        break;
    case ZYDIS_REGCLASS_DEBUG:
        op->kind = X86_OPERAND_DR;
        op->reg = id;
        break;
    default:
        op->kind = X86_OPERAND_OTHER;
    }
}

static uint8_t convert_address_register(ZydisRegister reg)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return X86_NO_REG;
    if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_IP)
        return X86_REG_RIP;
    return ZydisRegisterGetId(reg);
}

static void convert_memory(struct x86_insn *insn, const ZydisDecodedOperandMem *mem)
{
    struct x86_operand segment = { 0 };

    convert_register(&segment, mem->segment);
    insn->segment = segment.kind == X86_OPERAND_SEG ? segment.reg : SEG_DS;
    insn->base = convert_address_register(mem->base);
    insn->index = convert_address_register(mem->index);
    insn->scale = mem->scale;
    insn->disp = mem->disp.has_displacement ? mem->disp.value : 0;
}

static void convert_operand(struct x86_insn *insn, struct x86_operand *op,
                            const ZydisDecodedOperand *from)
{
    op->size = from->size / 8;
    switch (from->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        convert_register(op, from->reg.value);
        break;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        op->kind = X86_OPERAND_MEM;
        convert_memory(insn, &from->mem);
        break;
    case ZYDIS_OPERAND_TYPE_POINTER:
        op->kind = X86_OPERAND_POINTER;
        insn->imm = from->ptr.offset;
        insn->imm2 = from->ptr.segment;
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        op->kind = X86_OPERAND_IMM;
        if (insn->mnemonic == ZYDIS_MNEMONIC_ENTER && op != insn->op)
            insn->imm2 = from->imm.value.u; /* second of two immediates */
        else
            insn->imm = from->imm.value.u;
        break;
    default:
        op->kind = X86_OPERAND_NONE;
    }
}

static bool is_string(ZydisInstructionCategory category)
{
    return category == ZYDIS_CATEGORY_STRINGOP || category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* String instructions and XLAT keep their memory operands hidden; of a string instruction only the
 * source can have a segment override, so that is the one to know. */
static void convert_hidden_memory(struct x86_insn *insn, const ZydisDecodedInstruction *info,
                                  const ZydisDecodedOperand *operands)
{
    insn->segment = SEG_DS;
    for (unsigned n = 0; n < info->operand_count; n++) {
        const ZydisDecodedOperand *op = &operands[n];

        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY
            && (convert_address_register(op->mem.base) == RSI || !is_string(info->meta.category)))
            convert_memory(insn, &op->mem);
    }
}

static handler_fn handler_of(const struct x86_insn *insn, const ZydisDecodedInstruction *info)
{
    /* MOVSD and CMPSD name a string and an SSE instruction. */
    if ((insn->mnemonic == ZYDIS_MNEMONIC_MOVSD || insn->mnemonic == ZYDIS_MNEMONIC_CMPSD)
        && !is_string(info->meta.category))
        return NULL;
    if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY
        && info->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
        return NULL;
    if (insn->mnemonic == ZYDIS_MNEMONIC_MOV || insn->mnemonic == ZYDIS_MNEMONIC_PUSH
        || insn->mnemonic == ZYDIS_MNEMONIC_POP) {
        for (unsigned n = 0; n < insn->operands; n++) {
            switch (insn->op[n].kind) {
            case X86_OPERAND_SEG:
                return insn->mnemonic == ZYDIS_MNEMONIC_MOV    ? x86_do_mov_segment
                       : insn->mnemonic == ZYDIS_MNEMONIC_PUSH ? x86_do_push_segment
                                                               : x86_do_pop_segment;
            case X86_OPERAND_CR:
                return x86_do_mov_control;
            case X86_OPERAND_DR:
                return x86_do_mov_debug;
            }
        }
    }
    return handlers[insn->mnemonic];
}

void x86_insn_make(struct x86_insn *insn, const ZydisDecodedInstruction *info,
                   const ZydisDecodedOperand *operands)
{
    *insn = (struct x86_insn){
        .mnemonic = info->mnemonic,
        .length = info->length,
        .width = info->operand_width / 8,
        .addr_width = info->address_width / 8,
        .opcode = info->opcode,
        .base = X86_NO_REG,
        .index = X86_NO_REG,
        .segment = SEG_DS,
        .prefixes =
            (info->attributes & ZYDIS_ATTRIB_HAS_LOCK ? X86_PREFIX_LOCK : 0)
            | (info->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE) ? X86_PREFIX_REP
                                                                                 : 0)
            | (info->attributes & ZYDIS_ATTRIB_HAS_REPNE ? X86_PREFIX_REPNE : 0),
    };
    if (info->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && info->raw.rex.W)
        insn->prefixes |= X86_PREFIX_REX_W;
    for (unsigned n = 0; n < info->operand_count_visible && n < X86_OPERANDS; n++)
        convert_operand(insn, &insn->op[insn->operands++], &operands[n]);
    if (is_string(info->meta.category) || info->mnemonic == ZYDIS_MNEMONIC_XLAT)
        convert_hidden_memory(insn, info, operands);
    insn->execute = handler_of(insn, info);
    if (!insn->execute)
        insn->execute = unknown_instruction;
}

bool x86_insn_known(const struct x86_insn *insn)
{
    return insn->execute != unknown_instruction;
}

/* ---- Operands ------------------------------------------------------------------------------- */

uint64_t x86_operand_read(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n)
{
    const struct x86_operand *op = &insn->op[n];

    switch (op->kind) {
    case X86_OPERAND_REG:
        return reg_get(cpu, op->reg, op->size);
    case X86_OPERAND_HIGH:
        return (cpu->regs[op->reg] >> 8) & 0xff;
    case X86_OPERAND_MEM:
        return x86_load(cpu, operand_linear(cpu, insn, op->size, false), op->size, x86_user(cpu));
    case X86_OPERAND_IMM:
        return insn->imm;
    case X86_OPERAND_SEG:
        return cpu->seg[op->reg].selector;
    default:
        x86_raise(cpu, VECTOR_UD);
    }
}

void x86_operand_write(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t value)
{
    const struct x86_operand *op = &insn->op[n];

    switch (op->kind) {
    case X86_OPERAND_REG:
        reg_set(cpu, op->reg, value, op->size);
        break;
    case X86_OPERAND_HIGH:
        cpu->regs[op->reg] = (cpu->regs[op->reg] & ~0xff00ull) | (value & 0xff) << 8;
        break;
    case X86_OPERAND_MEM:
        x86_store(cpu, operand_linear(cpu, insn, op->size, true), value, op->size, x86_user(cpu));
        break;
    default:
        x86_raise(cpu, VECTOR_UD);
    }
}

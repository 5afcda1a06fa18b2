/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, stack, branches and flags of the ordinary integer set, for the same cases as arith.c. */
#include "x86/alu.h"
#include "x86/descriptor.h"
#include "x86/handlers.h"

/* ---- Moves ---------------------------------------------------------------------------------- */

enum x86_next x86_do_mov(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_operand_write(cpu, insn, 0, x86_operand_read(cpu, insn, 1));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_mov_signed(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = x86_operand_read(cpu, insn, 1);

    x86_operand_write(cpu, insn, 0, sign_extend(value, insn->op[1].size));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_lea(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_operand_write(cpu, insn, 0, operand_offset(cpu, insn));
    return insn_done(cpu, insn);
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - size * 8);
}

enum x86_next x86_do_movbe(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_operand_write(cpu, insn, 0, swap_bytes(x86_operand_read(cpu, insn, 1), insn->op[0].size));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_bswap(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;

    /* BSWAP of a 16-bit register is undefined; processors give zero. */
    x86_operand_write(cpu, insn, 0,
                      size == 2 ? 0 : swap_bytes(x86_operand_read(cpu, insn, 0), size));
    return insn_done(cpu, insn);
}

/* CBW, CWDE, CDQE: AX, EAX, RAX from its lower half. */
enum x86_next x86_do_widen_a(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    reg_set(cpu, RAX, sign_extend(cpu->regs[RAX], insn->width / 2), insn->width);
    return insn_done(cpu, insn);
}

/* CWD, CDQ, CQO: DX, EDX, RDX filled with the sign. */
enum x86_next x86_do_widen_d(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    reg_set(cpu, RDX, sign_extend(cpu->regs[RAX], insn->width) < 0 ? ~0ull : 0, insn->width);
    return insn_done(cpu, insn);
}

/* ---- Stack ---------------------------------------------------------------------------------- */

enum x86_next x86_do_push(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = x86_operand_read(cpu, insn, 0);
    struct x86_stack stack;

    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, value, insn->width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_pop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned width = insn->width;
    struct x86_stack stack;
    uint64_t value, rsp;

    x86_stack_current(cpu, &stack);
    value = x86_stack_pop(cpu, &stack, width);
    rsp = stack_rsp(cpu->regs[RSP], &stack);
    if (insn->op[0].kind == X86_OPERAND_MEM) {
        /* An address based on RSP uses its value after the pop. */
        uint64_t offset =
            operand_offset(cpu, insn) + (insn->base == RSP ? rsp - cpu->regs[RSP] : 0);

        x86_store_seg(cpu, insn->segment, offset & width_mask(insn->addr_width), value, width);
        cpu->regs[RSP] = rsp;
    } else {
        cpu->regs[RSP] = rsp;
        reg_set(cpu, insn->op[0].reg, value, width);
    }
    return insn_done(cpu, insn);
}

/* ---- Conditions ----------------------------------------------------------------------------- */

/* Condition code as the low four bits of Jcc, SETcc and CMOVcc opcodes (Intel SDM vol. 1, appendix
 * B). */
static bool condition(const struct x86_cpu *cpu, unsigned code)
{
    uint64_t f = cpu->rflags;
    bool less = !(f & FLAG_SF) != !(f & FLAG_OF), result;

    switch (code >> 1) {
    case 0:
        result = f & FLAG_OF;
        break;
    case 1:
        result = f & FLAG_CF;
        break;
    case 2:
        result = f & FLAG_ZF;
        break;
    case 3:
        result = f & (FLAG_CF | FLAG_ZF);
        break;
    case 4:
        result = f & FLAG_SF;
        break;
    case 5:
        result = f & FLAG_PF;
        break;
    case 6:
        result = less;
        break;
    default:
        result = less || (f & FLAG_ZF);
    }
    return result != (code & 1);
}

enum x86_next x86_do_setcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_operand_write(cpu, insn, 0, condition(cpu, insn->opcode & 15));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_cmovcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = x86_operand_read(cpu, insn, 1);

    /* Reads memory and clears the upper half of a 32-bit register whatever the condition. */
    if (!condition(cpu, insn->opcode & 15))
        value = x86_operand_read(cpu, insn, 0);
    x86_operand_write(cpu, insn, 0, value);
    return insn_done(cpu, insn);
}

static enum x86_next branch(struct x86_cpu *cpu, const struct x86_insn *insn, bool taken)
{
    uint64_t target;

    if (!taken)
        return insn_done(cpu, insn);
    target = (cpu->rip + insn->length + insn->imm) & width_mask(insn->width);
    if (x86_code64(cpu) ? !x86_canonical(cpu, target) : target > cpu->seg[SEG_CS].limit)
        x86_raise_error(cpu, VECTOR_GP, 0);
    cpu->rip = target;
    return X86_JUMP;
}

enum x86_next x86_do_jcc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return branch(cpu, insn, condition(cpu, insn->opcode & 15));
}

/* JCXZ, JECXZ, JRCXZ. */
enum x86_next x86_do_jcxz(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return branch(cpu, insn, reg_get(cpu, RCX, insn->addr_width) == 0);
}

enum x86_next x86_do_loop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t count = (cpu->regs[RCX] - 1) & width_mask(insn->addr_width);
    bool zf = cpu->rflags & FLAG_ZF, taken = count != 0;
    enum x86_next next;

    if (insn->mnemonic == ZYDIS_MNEMONIC_LOOPE)
        taken = taken && zf;
    else if (insn->mnemonic == ZYDIS_MNEMONIC_LOOPNE)
        taken = taken && !zf;
    next = branch(cpu, insn, taken);
    reg_set(cpu, RCX, count, insn->addr_width);
    return next;
}

/* ---- Flags, and nothing at all -------------------------------------------------------------- */

enum x86_next x86_do_flag(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_CLC:
        cpu->rflags &= ~(uint64_t)FLAG_CF;
        break;
    case ZYDIS_MNEMONIC_STC:
        cpu->rflags |= FLAG_CF;
        break;
    case ZYDIS_MNEMONIC_CMC:
        cpu->rflags ^= FLAG_CF;
        break;
    case ZYDIS_MNEMONIC_CLD:
        cpu->rflags &= ~(uint64_t)FLAG_DF;
        break;
    case ZYDIS_MNEMONIC_STD:
        cpu->rflags |= FLAG_DF;
        break;
    }
    return insn_done(cpu, insn);
}

#define FLAGS_AH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)

enum x86_next x86_do_lahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t ah = (cpu->rflags & FLAGS_AH) | FLAG_FIXED;

    cpu->regs[RAX] = (cpu->regs[RAX] & ~0xff00ull) | ah << 8;
    return insn_done(cpu, insn);
}

enum x86_next x86_do_sahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_AH) | ((cpu->regs[RAX] >> 8) & FLAGS_AH);
    return insn_done(cpu, insn);
}

/* NOP, PAUSE, prefetches and cache line hints. */
enum x86_next x86_do_nop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return insn_done(cpu, insn);
}

enum x86_next x86_do_fence(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return insn_done(cpu, insn);
}

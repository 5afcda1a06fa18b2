/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O, decimal arithmetic, BOUND, PUSHA, ENTER and their kin. */
#include "x86/alu.h"
#include "x86/descriptor.h"
#include "x86/handlers.h"

/* ---- Ports ---------------------------------------------------------------------------------- */

void x86_io_check(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    uint32_t map, bits;

    if (!x86_protected(cpu) || (cpu->cpl <= x86_iopl(cpu) && !(cpu->rflags & FLAG_VM)))
        return;
    /* The bitmap belongs to 32- and 64-bit TSSs only; two bytes are always read. (Intel SDM vol. 1,
     * 19.5.2) */
    if (!(cpu->tr.attr & 8) || cpu->tr.limit < 103)
        x86_raise_error(cpu, VECTOR_GP, 0);
    map = x86_load(cpu, cpu->tr.base + 102, 2, X86_IMPLICIT) + port / 8;
    if (map + 1 > cpu->tr.limit)
        x86_raise_error(cpu, VECTOR_GP, 0);
    bits = x86_load(cpu, cpu->tr.base + map, 2, X86_IMPLICIT) >> (port & 7);
    if (bits & ((1u << size) - 1))
        x86_raise_error(cpu, VECTOR_GP, 0);
}

static void io_watch(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    if (unlikely(cpu->dr[7] & 0xff) && (cpu->cr4 & CR4_DE))
        cpu->debug_pending |= x86_breakpoints(cpu, port, size, X86_WATCH_IO);
}

enum x86_next x86_do_in(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint16_t port = insn->op[1].kind == X86_OPERAND_IMM ? insn->imm & 0xff : cpu->regs[RDX];
    unsigned size = insn->op[0].size;

    x86_io_check(cpu, port, size);
    x86_quiesce(cpu);
    reg_set(cpu, RAX, cpu->ops->io_read(cpu, port, size), size);
    io_watch(cpu, port, size);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_out(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint16_t port = insn->op[0].kind == X86_OPERAND_IMM ? insn->imm & 0xff : cpu->regs[RDX];
    unsigned size = insn->op[1].size;

    x86_io_check(cpu, port, size);
    x86_quiesce(cpu);
    cpu->ops->io_write(cpu, port, reg_get(cpu, RAX, size), size);
    io_watch(cpu, port, size);
    return insn_done_jump(cpu, insn);
}

/* ---- Decimal arithmetic (Intel SDM vol. 2) -------------------------------------------------- */

static uint64_t parity_sign_zero(uint8_t al)
{
    return (al ? 0 : FLAG_ZF) | (al & 0x80 ? FLAG_SF : 0) | (__builtin_parity(al) ? 0 : FLAG_PF);
}

static enum x86_next decimal_adjust(struct x86_cpu *cpu, const struct x86_insn *insn, bool subtract)
{
    uint8_t old = cpu->regs[RAX], al = old;
    bool carry = cpu->rflags & FLAG_CF, out = false;
    uint64_t flags = 0;

    if ((old & 15) > 9 || (cpu->rflags & FLAG_AF)) {
        al = subtract ? al - 6 : al + 6;
        out = carry || (subtract ? old < 6 : old > 0xf9);
        flags |= FLAG_AF;
    }
    if (old > 0x99 || carry) {
        al = subtract ? al - 0x60 : al + 0x60;
        out = true;
    } else if (!subtract) {
        out = false;
    }
    reg_set(cpu, RAX, al, 1);
    flags_set(cpu, flags | parity_sign_zero(al) | (out ? FLAG_CF : 0));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_daa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return decimal_adjust(cpu, insn, false);
}

enum x86_next x86_do_das(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return decimal_adjust(cpu, insn, true);
}

static enum x86_next ascii_adjust(struct x86_cpu *cpu, const struct x86_insn *insn, bool subtract)
{
    uint16_t ax = cpu->regs[RAX];
    bool adjust = (ax & 15) > 9 || (cpu->rflags & FLAG_AF);

    if (adjust)
        ax = subtract ? ax - 0x106 : ax + 0x106;
    ax &= 0xff0f;
    reg_set(cpu, RAX, ax, 2);
    flags_set(cpu, parity_sign_zero(ax) | (adjust ? FLAG_AF | FLAG_CF : 0));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_aaa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return ascii_adjust(cpu, insn, false);
}

enum x86_next x86_do_aas(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return ascii_adjust(cpu, insn, true);
}

enum x86_next x86_do_aam(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint8_t al = cpu->regs[RAX], base = insn->imm;

    if (!base)
        x86_raise(cpu, VECTOR_DE);
    reg_set(cpu, RAX, (al / base) << 8 | al % base, 2);
    flags_set(cpu, parity_sign_zero(al % base));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_aad(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint16_t ax = cpu->regs[RAX];
    uint8_t al = ax + (ax >> 8) * (uint8_t)insn->imm;

    reg_set(cpu, RAX, al, 2);
    flags_set(cpu, parity_sign_zero(al));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_salc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    reg_set(cpu, RAX, cpu->rflags & FLAG_CF ? 0xff : 0, 1);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_bound(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t linear = operand_linear(cpu, insn, size * 2, false);
    int64_t index = sign_extend(cpu->regs[insn->op[0].reg], size);
    int64_t low = sign_extend(x86_load(cpu, linear, size, x86_user(cpu)), size);
    int64_t high = sign_extend(x86_load(cpu, linear + size, size, x86_user(cpu)), size);

    if (index < low || index > high)
        x86_raise(cpu, VECTOR_BR);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_xlat(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = (cpu->regs[RBX] + (cpu->regs[RAX] & 0xff)) & width_mask(insn->addr_width);

    reg_set(cpu, RAX, x86_load_seg(cpu, insn->segment, offset, 1), 1);
    return insn_done(cpu, insn);
}

/* ---- Stack frames --------------------------------------------------------------------------- */

enum x86_next x86_do_pusha(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;

    x86_stack_current(cpu, &stack);
    for (unsigned reg = RAX; reg <= RDI; reg++)
        x86_stack_push(cpu, &stack, cpu->regs[reg], insn->width); /* SP: its value before */
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_popa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;
    uint32_t values[8];

    x86_stack_current(cpu, &stack);
    for (int reg = RDI; reg >= RAX; reg--)
        values[reg] = x86_stack_pop(cpu, &stack, insn->width);
    for (unsigned reg = RAX; reg <= RDI; reg++)
        if (reg != RSP)
            reg_set(cpu, reg, values[reg], insn->width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_enter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned level = insn->imm2 & 31, width = insn->width;
    uint64_t frame, bp = cpu->regs[RBP];
    struct x86_stack stack;

    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, bp, width);
    frame = stack.sp;
    for (unsigned n = 1; n < level; n++) {
        bp -= width;
        x86_stack_push(cpu, &stack, x86_load_seg(cpu, SEG_SS, bp & stack.mask, width), width);
    }
    if (level)
        x86_stack_push(cpu, &stack, frame, width);
    stack.sp -= (uint16_t)insn->imm;
    /* The new top must be writable, although nothing is written there. */
    x86_probe(cpu, x86_seg_check(cpu, SEG_SS, stack.sp & stack.mask, 1, true), 1,
              x86_user(cpu) | X86_WRITE);
    reg_set(cpu, RBP, frame & stack.mask, width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_leave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;
    uint64_t bp;

    x86_stack_current(cpu, &stack);
    stack.sp = cpu->regs[RBP];
    bp = x86_stack_pop(cpu, &stack, insn->width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    reg_set(cpu, RBP, bp, insn->width);
    return insn_done(cpu, insn);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions on flags that privilege guards: CLI, STI, PUSHF, POPF, CLAC, STAC, with the virtual
 * interrupt flag of CR4.VME and CR4.PVI. (Intel SDM vol. 3, 20.3 and 20.4) */
#include "x86/descriptor.h"
#include "x86/handlers.h"
#include "x86/model.h"

/* Does VIF stand in for IF here? #GP(0) if neither may be touched. */
static bool uses_vif(struct x86_cpu *cpu)
{
    if (likely(cpu->cpl <= x86_iopl(cpu)))
        return false;
    if (cpu->cpl == 3 && (cpu->cr4 & (cpu->rflags & FLAG_VM ? CR4_VME : CR4_PVI)))
        return true;
    x86_raise_error(cpu, VECTOR_GP, 0);
}

enum x86_next x86_do_cli(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    cpu->rflags &= ~(uint64_t)(uses_vif(cpu) ? FLAG_VIF : FLAG_IF);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_sti(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (uses_vif(cpu)) {
        if (cpu->rflags & FLAG_VIP)
            x86_raise_error(cpu, VECTOR_GP, 0);
        cpu->rflags |= FLAG_VIF;
        return insn_done(cpu, insn);
    }
    if (cpu->rflags & FLAG_IF)
        return insn_done(cpu, insn);
    cpu->rflags |= FLAG_IF;
    cpu->int_shadow = true;
    cpu->ops->interrupts_changed(cpu);
    return insn_done_jump(cpu, insn);
}

static bool v86_restricted(const struct x86_cpu *cpu)
{
    return (cpu->rflags & FLAG_VM) && x86_iopl(cpu) < 3;
}

enum x86_next x86_do_pushf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t image = cpu->rflags & ~(uint64_t)(FLAG_VM | FLAG_RF);
    struct x86_stack stack;

    if (unlikely(v86_restricted(cpu))) {
        if (!(cpu->cr4 & CR4_VME) || insn->width != 2)
            x86_raise_error(cpu, VECTOR_GP, 0);
        image = (image & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (image & FLAG_VIF ? FLAG_IF : 0);
    }
    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, image, insn->width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_popf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t image, changed, mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
    struct x86_stack stack;

    if (unlikely(v86_restricted(cpu)) && (!(cpu->cr4 & CR4_VME) || insn->width != 2))
        x86_raise_error(cpu, VECTOR_GP, 0);
    x86_stack_current(cpu, &stack);
    image = x86_stack_pop(cpu, &stack, insn->width);
    if (unlikely(v86_restricted(cpu))) {
        if ((image & FLAG_TF) || ((image & FLAG_IF) && (cpu->rflags & FLAG_VIP)))
            x86_raise_error(cpu, VECTOR_GP, 0);
        image = (image & ~(uint64_t)FLAG_VIF) | (image & FLAG_IF ? FLAG_VIF : 0);
        mask |= FLAG_VIF;
    } else {
        if (insn->width > 2)
            mask |= FLAG_AC | FLAG_ID;
        if (cpu->cpl <= x86_iopl(cpu))
            mask |= FLAG_IF;
        if (cpu->cpl == 0)
            mask |= FLAG_IOPL;
    }
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    image = (cpu->rflags & ~(mask | FLAG_RF)) | (image & mask);
    changed = image ^ cpu->rflags;
    cpu->rflags = image;
    cpu->rip = rip_next(cpu, insn);
    if (changed & (FLAG_AC | FLAG_IOPL))
        cpu->ops->mode_changed(cpu);
    if (changed & FLAG_IF)
        cpu->ops->interrupts_changed(cpu);
    return (changed & (FLAG_IF | FLAG_AC)) || (image & FLAG_TF) ? X86_JUMP : X86_NEXT;
}

/* AC exempts supervisor data accesses from SMAP, so translations may depend on it. */
static enum x86_next set_ac(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t ac)
{
    if (!x86_has(cpu, HAS_SMAP) || cpu->cpl != 0)
        x86_raise(cpu, VECTOR_UD);
    if ((cpu->rflags & FLAG_AC) == ac)
        return insn_done(cpu, insn);
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_AC) | ac;
    if (!(cpu->cr4 & CR4_SMAP))
        return insn_done(cpu, insn);
    cpu->ops->mode_changed(cpu);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_clac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return set_ac(cpu, insn, 0);
}

enum x86_next x86_do_stac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return set_ac(cpu, insn, FLAG_AC);
}

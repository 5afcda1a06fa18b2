/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control transfers between code segments: far JMP, CALL and RET, call gates, IRET, INT.
 * (Intel SDM vol. 2, the instructions' pages; vol. 3, 5.8 and 6.12) */
#include "x86/descriptor.h"
#include "x86/handlers.h"
#include "x86/log.h"

static void gp_selector(struct x86_cpu *cpu, uint16_t selector) __attribute__((noreturn, cold));
static void gp_selector(struct x86_cpu *cpu, uint16_t selector)
{
    x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
}

/* A target must be canonical in 64-bit code, below the limit elsewhere. */
static void check_target(struct x86_cpu *cpu, const struct x86_segment *cs, uint64_t rip)
{
    bool ok =
        x86_long_mode(cpu) && (cs->attr & SEG_ATTR_L) ? x86_canonical(cpu, rip) : rip <= cs->limit;
    if (unlikely(!ok))
        x86_raise_error(cpu, VECTOR_GP, 0);
}

static void check_code_size(struct x86_cpu *cpu, uint16_t selector, uint64_t bits)
{
    if (x86_long_mode(cpu)
        && (desc_attr(bits) & (SEG_ATTR_L | SEG_ATTR_DB)) == (SEG_ATTR_L | SEG_ATTR_DB))
        gp_selector(cpu, selector);
}

static enum x86_next transferred(struct x86_cpu *cpu)
{
    cpu->ops->mode_changed(cpu);
    return X86_JUMP;
}

/* ---- Far JMP and CALL ----------------------------------------------------------------------- */

/* Pushes the return address of a call without change of privilege and commits RSP. */
static void push_return(struct x86_cpu *cpu, unsigned width, uint64_t next)
{
    struct x86_stack stack;

    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, cpu->seg[SEG_CS].selector, width);
    x86_stack_push(cpu, &stack, next, width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
}

/* To a code segment directly, same privilege. */
static void far_to_code(struct x86_cpu *cpu, uint16_t selector, struct x86_descriptor *desc,
                        uint64_t rip, bool call, unsigned width, uint64_t next)
{
    struct x86_segment cs;
    unsigned dpl = desc_dpl(desc->bits);

    if (!desc_is_code(desc->bits))
        gp_selector(cpu, selector);
    if (desc_is_conforming(desc->bits) ? dpl > cpu->cpl
                                       : (selector & 3u) > cpu->cpl || dpl != cpu->cpl)
        gp_selector(cpu, selector);
    if (!desc_present(desc->bits))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
    check_code_size(cpu, selector, desc->bits);
    x86_descriptor_accessed(cpu, desc);
    x86_descriptor_to_segment(&cs, (selector & ~3u) | cpu->cpl, desc->bits);
    check_target(cpu, &cs, rip);
    if (call)
        push_return(cpu, width, next);
    cpu->seg[SEG_CS] = cs;
    cpu->rip = rip;
}

/* Through a call gate into an inner ring: new stack from the TSS, parameters copied. */
static void gate_call_inner(struct x86_cpu *cpu, uint64_t gate, const struct x86_segment *cs,
                            unsigned cpl, uint64_t rip, unsigned width, uint64_t next)
{
    struct x86_stack old, new = { .access = 0 };
    struct x86_segment ss;
    unsigned params = width == 8 ? 0 : (gate >> 32) & 31;
    uint32_t values[31], esp;
    uint16_t selector;

    if (width == 8) {
        new.mask = ~0ull;
        new.sp = x86_tss_rsp(cpu, 4 + cpl * 8, 0);
        segment_null(&ss, cpl, cpl);
    } else {
        x86_tss_stack(cpu, cpl, 0, &selector, &esp);
        x86_inner_ss(cpu, selector, cpl, 0, &ss);
        new.seg = &ss;
        new.sp = esp;
        new.mask = stack_mask(&ss);
        new.error = selector & ~3u;
        x86_stack_current(cpu, &old);
        for (unsigned n = 0; n < params; n++)
            values[n] = x86_stack_pop(cpu, &old, width);
    }
    x86_stack_push(cpu, &new, cpu->seg[SEG_SS].selector, width);
    x86_stack_push(cpu, &new, cpu->regs[RSP], width);
    for (unsigned n = params; n-- > 0;)
        x86_stack_push(cpu, &new, values[n], width);
    x86_stack_push(cpu, &new, cpu->seg[SEG_CS].selector, width);
    x86_stack_push(cpu, &new, next, width);

    cpu->regs[RSP] = width == 8 ? new.sp : stack_rsp(esp, &new);
    cpu->seg[SEG_SS] = ss;
    cpu->seg[SEG_CS] = *cs;
    cpu->cpl = cpl;
    cpu->rip = rip;
}

static void far_through_call_gate(struct x86_cpu *cpu, uint16_t gate_selector,
                                  const struct x86_descriptor *gate, bool call, uint64_t next)
{
    bool wide = x86_long_mode(cpu);
    unsigned width = wide ? 8 : desc_type(gate->bits) & 8 ? 4 : 2, dpl, cpl;
    uint16_t selector = gate->bits >> 16;
    uint64_t rip = (gate->bits & 0xffff) | (width > 2 ? (gate->bits >> 32) & 0xffff0000u : 0);
    struct x86_descriptor desc;
    struct x86_segment cs;

    if (desc_dpl(gate->bits) < cpu->cpl || (gate_selector & 3u) > desc_dpl(gate->bits))
        gp_selector(cpu, gate_selector);
    if (!desc_present(gate->bits))
        x86_raise_error(cpu, VECTOR_NP, gate_selector & ~3u);
    if (wide)
        rip |= (uint64_t)x86_descriptor_high(cpu, gate_selector, gate) << 32;
    if (selector_null(selector))
        x86_raise_error(cpu, VECTOR_GP, 0);
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, &desc);
    dpl = desc_dpl(desc.bits);
    if (!desc_is_code(desc.bits) || dpl > cpu->cpl
        || (!call && !desc_is_conforming(desc.bits) && dpl != cpu->cpl))
        gp_selector(cpu, selector);
    if (wide && (desc_attr(desc.bits) & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
        gp_selector(cpu, selector);
    if (!desc_present(desc.bits))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
    cpl = desc_is_conforming(desc.bits) ? cpu->cpl : dpl;
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(&cs, (selector & ~3u) | cpl, desc.bits);
    check_target(cpu, &cs, rip);
    if (call && cpl < cpu->cpl) {
        gate_call_inner(cpu, gate->bits, &cs, cpl, rip, width, next);
        return;
    }
    if (call)
        push_return(cpu, width, next);
    cpu->seg[SEG_CS] = cs;
    cpu->rip = rip;
}

static void far_to_task(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *desc,
                        bool call, uint64_t next)
{
    if (desc_dpl(desc->bits) < cpu->cpl || desc_dpl(desc->bits) < (selector & 3u))
        gp_selector(cpu, selector);
    if (!desc_present(desc->bits))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
    if (desc_type(desc->bits) == DESC_TASK_GATE)
        selector = desc->bits >> 16;
    x86_task_switch(cpu, selector, call ? X86_TASK_CALL : X86_TASK_JUMP, false, 0, 0, next,
                    cpu->rflags);
}

static void far_transfer(struct x86_cpu *cpu, uint16_t selector, uint64_t rip, bool call,
                         unsigned width, uint64_t next)
{
    struct x86_descriptor desc;
    unsigned type;

    if (x86_no_segments(cpu)) {
        if (rip > cpu->seg[SEG_CS].limit)
            x86_raise_error(cpu, VECTOR_GP, 0);
        if (call)
            push_return(cpu, width, next);
        x86_segment_load_real(cpu, SEG_CS, selector);
        cpu->rip = rip;
        return;
    }
    if (x86_log_on(cpu, LOG_PCALL))
        x86_log_far(cpu, call ? "lcall" : "ljmp", selector, rip);
    if (selector_null(selector))
        x86_raise_error(cpu, VECTOR_GP, 0);
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, &desc);
    type = desc_type(desc.bits);
    if (type & 0x10)
        far_to_code(cpu, selector, &desc, rip, call, width, next);
    else if (type == DESC_CALL_GATE32 || (type == DESC_CALL_GATE16 && !x86_long_mode(cpu)))
        far_through_call_gate(cpu, selector, &desc, call, next);
    else if (!x86_long_mode(cpu)
             && (type == DESC_TASK_GATE || type == DESC_TSS16 || type == DESC_TSS32))
        far_to_task(cpu, selector, &desc, call, next);
    else
        gp_selector(cpu, selector);
}

static enum x86_next far_instruction(struct x86_cpu *cpu, const struct x86_insn *insn, bool call)
{
    unsigned width = insn->width;
    uint64_t rip, next = rip_next(cpu, insn);
    uint16_t selector;

    if (insn->op[0].kind == X86_OPERAND_POINTER) {
        rip = insn->imm;
        selector = insn->imm2;
    } else {
        uint64_t linear = operand_linear(cpu, insn, width + 2, false);

        rip = x86_load(cpu, linear, width, x86_user(cpu));
        selector = x86_load(cpu, linear + width, 2, x86_user(cpu));
    }
    far_transfer(cpu, selector, rip & width_mask(width), call, width, next);
    return transferred(cpu);
}

/* ---- Near branches, where the translator leaves them to us ---------------------------------- */

static uint64_t near_target(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t rip = insn->op[0].kind == X86_OPERAND_IMM ? cpu->rip + insn->length + insn->imm
                                                       : x86_operand_read(cpu, insn, 0);
    rip &= width_mask(insn->width);
    check_target(cpu, &cpu->seg[SEG_CS], rip);
    return rip;
}

static bool is_far(const struct x86_insn *insn)
{
    return insn->op[0].kind == X86_OPERAND_POINTER
           || (insn->op[0].kind == X86_OPERAND_MEM && insn->op[0].size == insn->width + 2);
}

enum x86_next x86_do_jmp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (is_far(insn))
        return far_instruction(cpu, insn, false);
    cpu->rip = near_target(cpu, insn);
    return X86_JUMP;
}

enum x86_next x86_do_call(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;
    uint64_t target;

    if (is_far(insn))
        return far_instruction(cpu, insn, true);
    target = near_target(cpu, insn);
    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, rip_next(cpu, insn), insn->width);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    cpu->rip = target;
    return X86_JUMP;
}

/* ---- Returns -------------------------------------------------------------------------------- */

/* The code segment a far return or IRET goes to; its RPL becomes CPL. */
static void return_segment(struct x86_cpu *cpu, uint16_t selector, struct x86_segment *cs)
{
    struct x86_descriptor desc;
    unsigned rpl = selector & 3u;

    if (unlikely(selector_null(selector)))
        x86_raise_error(cpu, VECTOR_GP, 0);
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, &desc);
    if (unlikely(!desc_is_code(desc.bits) || rpl < cpu->cpl
                 || (desc_is_conforming(desc.bits) ? desc_dpl(desc.bits) > rpl
                                                   : desc_dpl(desc.bits) != rpl)))
        gp_selector(cpu, selector);
    check_code_size(cpu, selector, desc.bits);
    if (unlikely(!desc_present(desc.bits)))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(cs, selector, desc.bits);
}

/* The stack segment of a return to `cpl`. Null is allowed for 64-bit code outside ring 3. */
static void return_stack_segment(struct x86_cpu *cpu, uint16_t selector, unsigned cpl,
                                 const struct x86_segment *cs, struct x86_segment *ss)
{
    struct x86_descriptor desc;

    if (selector_null(selector)) {
        if (!x86_long_mode(cpu) || !(cs->attr & SEG_ATTR_L) || cpl == 3 || (selector & 3u) != cpl)
            x86_raise_error(cpu, VECTOR_GP, 0);
        segment_null(ss, selector, cpl);
        return;
    }
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, &desc);
    if (unlikely((selector & 3u) != cpl || desc_dpl(desc.bits) != cpl
                 || !desc_is_writable_data(desc.bits)))
        gp_selector(cpu, selector);
    if (unlikely(!desc_present(desc.bits)))
        x86_raise_error(cpu, VECTOR_SS, selector & ~3u);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(ss, selector, desc.bits);
}

/* Data segments that the outer ring may not use become null. */
static void drop_inner_segments(struct x86_cpu *cpu)
{
    static const uint8_t data[4] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned n = 0; n < 4; n++) {
        struct x86_segment *s = &cpu->seg[data[n]];
        bool conforming =
            (s->attr & (SEG_ATTR_CODE | SEG_ATTR_DOWN)) == (SEG_ATTR_CODE | SEG_ATTR_DOWN);

        if (!(s->attr & SEG_ATTR_UNUSABLE) && !conforming && seg_dpl(s) < cpu->cpl)
            segment_null(s, 0, 0);
    }
}

/* RSP after a return to another stack: its width is that of the new stack segment. */
static uint64_t outer_rsp(const struct x86_cpu *cpu, uint64_t popped, const struct x86_segment *cs,
                          const struct x86_segment *ss)
{
    if (x86_long_mode(cpu) && (cs->attr & SEG_ATTR_L))
        return popped;
    if (ss->attr & SEG_ATTR_DB)
        return (uint32_t)popped;
    return (cpu->regs[RSP] & ~0xffffull) | (popped & 0xffff);
}

static enum x86_next far_return_real(struct x86_cpu *cpu, unsigned width, unsigned release)
{
    struct x86_stack stack;
    uint64_t rip;
    uint16_t selector;

    x86_stack_current(cpu, &stack);
    rip = x86_stack_pop(cpu, &stack, width);
    selector = x86_stack_pop(cpu, &stack, width);
    if (rip > cpu->seg[SEG_CS].limit)
        x86_raise_error(cpu, VECTOR_GP, 0);
    stack.sp += release;
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    x86_segment_load_real(cpu, SEG_CS, selector);
    cpu->rip = rip;
    return transferred(cpu);
}

static enum x86_next far_return(struct x86_cpu *cpu, unsigned width, unsigned release)
{
    struct x86_stack stack;
    struct x86_segment cs, ss;
    uint64_t rip, rsp;
    uint16_t selector;
    unsigned cpl;

    x86_stack_current(cpu, &stack);
    rip = x86_stack_pop(cpu, &stack, width);
    selector = x86_stack_pop(cpu, &stack, width);
    if (x86_log_on(cpu, LOG_PCALL))
        x86_log_far(cpu, "lret", selector, rip);
    return_segment(cpu, selector, &cs);
    check_target(cpu, &cs, rip);
    stack.sp += release;
    cpl = selector & 3u;
    if (cpl == cpu->cpl) {
        cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    } else {
        rsp = x86_stack_pop(cpu, &stack, width);
        selector = x86_stack_pop(cpu, &stack, width);
        return_stack_segment(cpu, selector, cpl, &cs, &ss);
        cpu->regs[RSP] = outer_rsp(cpu, rsp + release, &cs, &ss);
        cpu->seg[SEG_SS] = ss;
        cpu->cpl = cpl;
        drop_inner_segments(cpu);
    }
    cpu->seg[SEG_CS] = cs;
    cpu->rip = rip;
    return transferred(cpu);
}

static enum x86_next near_return(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;
    uint64_t rip;

    x86_stack_current(cpu, &stack);
    rip = x86_stack_pop(cpu, &stack, insn->width);
    check_target(cpu, &cpu->seg[SEG_CS], rip);
    stack.sp += insn->imm;
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    cpu->rip = rip;
    return X86_JUMP;
}

enum x86_next x86_do_ret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (insn->opcode != 0xca && insn->opcode != 0xcb)
        return near_return(cpu, insn);
    if (x86_no_segments(cpu))
        return far_return_real(cpu, insn->width, insn->imm);
    return far_return(cpu, insn->width, insn->imm);
}

/* ---- IRET ----------------------------------------------------------------------------------- */

/* Flags from an IRET image: which ones it may change depends on width, CPL and IOPL. */
static void iret_flags(struct x86_cpu *cpu, uint64_t image, unsigned width, unsigned old_cpl)
{
    uint64_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;

    if (width > 2)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (old_cpl <= x86_iopl(cpu))
        mask |= FLAG_IF;
    if (old_cpl == 0)
        mask |= FLAG_IOPL | (width > 2 ? FLAG_VIF | FLAG_VIP : 0);
    cpu->rflags = (cpu->rflags & ~mask) | (image & mask) | FLAG_FIXED;
}

static enum x86_next iret_finish(struct x86_cpu *cpu)
{
    cpu->nmi_blocked = false;
    cpu->ops->interrupts_changed(cpu);
    cpu->ops->mode_changed(cpu);
    return X86_JUMP;
}

static enum x86_next iret_real(struct x86_cpu *cpu, unsigned width)
{
    struct x86_stack stack;
    uint64_t rip, flags, mask;
    uint16_t selector;
    bool v86 = cpu->rflags & FLAG_VM;

    x86_stack_current(cpu, &stack);
    rip = x86_stack_pop(cpu, &stack, width);
    selector = x86_stack_pop(cpu, &stack, width);
    flags = x86_stack_pop(cpu, &stack, width);
    if (v86 && x86_iopl(cpu) < 3) {
        /* Without VME, or 32-bit, the monitor must emulate; with it VIF stands in for IF. */
        if (!(cpu->cr4 & CR4_VME) || width != 2 || (flags & FLAG_TF)
            || ((flags & FLAG_IF) && (cpu->rflags & FLAG_VIP)))
            x86_raise_error(cpu, VECTOR_GP, 0);
        mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_VIF;
        flags = (flags & ~(uint64_t)FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0);
    } else {
        mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_NT | (v86 ? 0 : FLAG_IOPL)
               | (width == 4 ? FLAG_RF | FLAG_AC | FLAG_ID : 0);
    }
    if (rip > cpu->seg[SEG_CS].limit)
        x86_raise_error(cpu, VECTOR_GP, 0);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    x86_segment_load_real(cpu, SEG_CS, selector);
    cpu->rip = rip;
    cpu->rflags = (cpu->rflags & ~mask) | (flags & mask) | FLAG_FIXED;
    return iret_finish(cpu);
}

/* From ring 0 to virtual-8086 mode; the frame's lower half is already popped. */
static enum x86_next iret_to_v86(struct x86_cpu *cpu, struct x86_stack *stack, uint64_t rip,
                                 uint16_t selector, uint32_t flags)
{
    static const uint8_t order[5] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint32_t esp = x86_stack_pop(cpu, stack, 4);
    uint16_t selectors[5];

    for (unsigned n = 0; n < 5; n++)
        selectors[n] = x86_stack_pop(cpu, stack, 4);
    if (rip > 0xffff)
        x86_raise_error(cpu, VECTOR_GP, 0);
    iret_flags(cpu, flags, 4, 0);
    cpu->rflags |= FLAG_VM;
    cpu->cpl = 3;
    for (unsigned n = 0; n < 5; n++)
        x86_segment_load_real(cpu, order[n], selectors[n]);
    x86_segment_load_real(cpu, SEG_CS, selector);
    cpu->regs[RSP] = esp;
    cpu->rip = rip;
    return iret_finish(cpu);
}

static enum x86_next iret_task(struct x86_cpu *cpu, uint64_t next)
{
    uint16_t link;

    if (x86_long_mode(cpu))
        x86_raise_error(cpu, VECTOR_GP, 0);
    link = x86_load(cpu, cpu->tr.base, 2, X86_IMPLICIT);
    x86_task_switch(cpu, link, X86_TASK_IRET, false, 0, 0, next, cpu->rflags & ~FLAG_NT);
    return iret_finish(cpu);
}

static enum x86_next iret_protected(struct x86_cpu *cpu, unsigned width)
{
    struct x86_stack stack;
    struct x86_segment cs, ss;
    uint64_t rip, flags, rsp;
    uint16_t selector;
    unsigned cpl, old_cpl = cpu->cpl;

    x86_stack_current(cpu, &stack);
    rip = x86_stack_pop(cpu, &stack, width);
    selector = x86_stack_pop(cpu, &stack, width);
    flags = x86_stack_pop(cpu, &stack, width);
    if (x86_log_on(cpu, LOG_PCALL))
        x86_log_far(cpu, "iret", selector, rip);
    if ((flags & FLAG_VM) && width == 4 && old_cpl == 0 && !x86_long_mode(cpu))
        return iret_to_v86(cpu, &stack, rip, selector, flags);
    return_segment(cpu, selector, &cs);
    check_target(cpu, &cs, rip);
    cpl = selector & 3u;
    if (cpl == old_cpl && !x86_code64(cpu)) {
        cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    } else {
        rsp = x86_stack_pop(cpu, &stack, width);
        selector = x86_stack_pop(cpu, &stack, width);
        return_stack_segment(cpu, selector, cpl, &cs, &ss);
        cpu->regs[RSP] = outer_rsp(cpu, rsp, &cs, &ss);
        cpu->seg[SEG_SS] = ss;
        cpu->cpl = cpl;
        if (cpl != old_cpl)
            drop_inner_segments(cpu);
    }
    cpu->seg[SEG_CS] = cs;
    cpu->rip = rip;
    iret_flags(cpu, flags, width, old_cpl);
    return iret_finish(cpu);
}

enum x86_next x86_do_iret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (unlikely(x86_no_segments(cpu)))
        return iret_real(cpu, insn->width);
    if (unlikely(cpu->rflags & FLAG_NT))
        return iret_task(cpu, rip_next(cpu, insn));
    return iret_protected(cpu, insn->width);
}

/* ---- INT ------------------------------------------------------------------------------------ */

/* What these deliver is benign for the double fault rules, so the result is always "delivered". */
static enum x86_next software_event(struct x86_cpu *cpu, const struct x86_insn *insn,
                                    uint8_t vector, enum x86_event event)
{
    x86_deliver(cpu, vector, event, false, 0, rip_next(cpu, insn));
    return X86_JUMP;
}

enum x86_next x86_do_int(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return software_event(cpu, insn, insn->imm, X86_EVENT_SOFT_INT);
}

enum x86_next x86_do_int3(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return software_event(cpu, insn, VECTOR_BP, X86_EVENT_SOFT_EXCEPTION);
}

enum x86_next x86_do_int1(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return software_event(cpu, insn, VECTOR_DB, X86_EVENT_ICEBP);
}

enum x86_next x86_do_into(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!(cpu->rflags & FLAG_OF))
        return insn_done(cpu, insn);
    return software_event(cpu, insn, VECTOR_OF, X86_EVENT_SOFT_EXCEPTION);
}

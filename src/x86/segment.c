/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers, descriptor tables and the instructions that inspect descriptors. */
#include "x86/descriptor.h"
#include "x86/handlers.h"

/* ---- Loading segment registers -------------------------------------------------------------- */

/* After a segment register changed: tell the engine where that matters to translated code. */
static enum x86_next segment_changed(struct x86_cpu *cpu, enum x86_seg seg, uint64_t next)
{
    cpu->rip = next;
    if (seg == SEG_SS) {
        cpu->int_shadow = true;
        cpu->ops->mode_changed(cpu);
        return X86_JUMP;
    }
    if (x86_code64(cpu)) /* bases of FS and GS are looked up as code runs */
        return X86_NEXT;
    cpu->ops->mode_changed(cpu);
    return X86_JUMP;
}

enum x86_next x86_do_mov_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->op[0];
    uint64_t next = rip_next(cpu, insn);

    if (to->kind != X86_OPERAND_SEG) {
        x86_operand_write(cpu, insn, 0, cpu->seg[insn->op[1].reg].selector);
        cpu->rip = next;
        return X86_NEXT;
    }
    if (to->reg == SEG_CS)
        x86_raise(cpu, VECTOR_UD);
    x86_segment_load(cpu, to->reg, x86_operand_read(cpu, insn, 1));
    return segment_changed(cpu, to->reg, next);
}

enum x86_next x86_do_push_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_stack stack;

    x86_stack_current(cpu, &stack);
    stack.sp -= insn->width;
    /* Only the selector is written, whatever the operand size. */
    x86_store_seg(cpu, SEG_SS, stack.sp & stack.mask, cpu->seg[insn->op[0].reg].selector,
                  insn->width == 8 ? 8 : 2);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_pop_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_seg seg = insn->op[0].reg;
    uint64_t next = rip_next(cpu, insn), rsp;
    struct x86_stack stack;
    uint16_t selector;

    x86_stack_current(cpu, &stack);
    selector = x86_stack_pop(cpu, &stack, insn->width);
    rsp = stack_rsp(cpu->regs[RSP], &stack);
    x86_segment_load(cpu, seg, selector);
    cpu->regs[RSP] = rsp;
    return segment_changed(cpu, seg, next);
}

enum x86_next x86_do_load_far_pointer(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_seg seg = insn->mnemonic == ZYDIS_MNEMONIC_LDS   ? SEG_DS
                       : insn->mnemonic == ZYDIS_MNEMONIC_LES ? SEG_ES
                       : insn->mnemonic == ZYDIS_MNEMONIC_LFS ? SEG_FS
                       : insn->mnemonic == ZYDIS_MNEMONIC_LGS ? SEG_GS
                                                              : SEG_SS;
    unsigned size = insn->op[0].size;
    uint64_t next = rip_next(cpu, insn), linear = operand_linear(cpu, insn, size + 2, false);
    uint64_t offset = x86_load(cpu, linear, size, x86_user(cpu));

    x86_segment_load(cpu, seg, x86_load(cpu, linear + size, 2, x86_user(cpu)));
    reg_set(cpu, insn->op[0].reg, offset, size);
    return segment_changed(cpu, seg, next);
}

/* ---- Descriptor table registers ------------------------------------------------------------- */

static void check_umip(struct x86_cpu *cpu)
{
    if (unlikely((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0))
        x86_raise_error(cpu, VECTOR_GP, 0);
}

static enum x86_next table_load(struct x86_cpu *cpu, const struct x86_insn *insn,
                                struct x86_table *table)
{
    bool wide = x86_code64(cpu);
    uint64_t linear, base;
    uint16_t limit;

    need_cpl0(cpu);
    linear = operand_linear(cpu, insn, wide ? 10 : 6, false);
    limit = x86_load(cpu, linear, 2, x86_user(cpu));
    base = x86_load(cpu, linear + 2, wide ? 8 : 4, x86_user(cpu));
    if (wide && !x86_canonical(cpu, base))
        x86_raise_error(cpu, VECTOR_GP, 0);
    if (!wide && insn->width == 2)
        base &= 0xffffff;
    table->limit = limit;
    table->base = base;
    return insn_done(cpu, insn);
}

static enum x86_next table_store(struct x86_cpu *cpu, const struct x86_insn *insn,
                                 const struct x86_table *table)
{
    unsigned size = x86_code64(cpu) ? 8 : 4;
    uint8_t image[10];

    check_umip(cpu);
    x86_copy(image, &table->limit, 2);
    x86_copy(image + 2, &table->base, 8);
    x86_store_bytes(cpu, operand_linear(cpu, insn, size + 2, true), image, size + 2, x86_user(cpu));
    return insn_done(cpu, insn);
}

enum x86_next x86_do_lgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_load(cpu, insn, &cpu->gdt);
}

enum x86_next x86_do_lidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_load(cpu, insn, &cpu->idt);
}

enum x86_next x86_do_sgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_store(cpu, insn, &cpu->gdt);
}

enum x86_next x86_do_sidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return table_store(cpu, insn, &cpu->idt);
}

/* LDT or TSS descriptor for LLDT and LTR. */
static void system_segment(struct x86_cpu *cpu, uint16_t selector, unsigned type, unsigned other,
                           struct x86_descriptor *desc, struct x86_segment *s)
{
    if (selector & 4)
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, desc);
    if (desc_type(desc->bits) != type && desc_type(desc->bits) != other)
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    if (!desc_present(desc->bits))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
    s->selector = selector;
    s->base = desc_base(desc->bits);
    s->limit = desc_limit(desc->bits);
    s->attr = desc_attr(desc->bits);
    if (x86_long_mode(cpu)) {
        s->base |= (uint64_t)x86_descriptor_high(cpu, selector, desc) << 32;
        if (!x86_canonical(cpu, s->base))
            x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    }
}

enum x86_next x86_do_lldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_descriptor desc;
    struct x86_segment ldt;
    uint16_t selector;

    need_protected(cpu);
    need_cpl0(cpu);
    selector = x86_operand_read(cpu, insn, 0);
    if (selector_null(selector))
        segment_null(&ldt, selector, 0);
    else
        system_segment(cpu, selector, DESC_LDT, DESC_LDT, &desc, &ldt);
    cpu->ldt = ldt;
    return insn_done(cpu, insn);
}

enum x86_next x86_do_ltr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_descriptor desc;
    struct x86_segment tr;
    uint16_t selector;

    need_protected(cpu);
    need_cpl0(cpu);
    selector = x86_operand_read(cpu, insn, 0);
    if (selector_null(selector))
        x86_raise_error(cpu, VECTOR_GP, 0);
    /* Long mode has no 16-bit TSS. */
    system_segment(cpu, selector, DESC_TSS32, x86_long_mode(cpu) ? DESC_TSS32 : DESC_TSS16, &desc,
                   &tr);
    x86_store(cpu, desc.where + 5, (desc.bits >> 40) | DESC_TYPE_BUSY, 1, X86_IMPLICIT);
    tr.attr |= DESC_TYPE_BUSY;
    cpu->tr = tr;
    return insn_done(cpu, insn);
}

static enum x86_next store_selector(struct x86_cpu *cpu, const struct x86_insn *insn,
                                    uint16_t selector)
{
    need_protected(cpu);
    check_umip(cpu);
    x86_operand_write(cpu, insn, 0, selector);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_sldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return store_selector(cpu, insn, cpu->ldt.selector);
}

enum x86_next x86_do_str(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return store_selector(cpu, insn, cpu->tr.selector);
}

/* ---- Inspecting descriptors ----------------------------------------------------------------- */

static enum x86_next set_zf(struct x86_cpu *cpu, const struct x86_insn *insn, bool zf)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_ZF) | (zf ? FLAG_ZF : 0);
    return insn_done(cpu, insn);
}

/* Is the descriptor there, and visible at this CPL and RPL? */
static bool descriptor_visible(struct x86_cpu *cpu, uint16_t selector, struct x86_descriptor *desc)
{
    if (selector_null(selector) || !x86_descriptor_read(cpu, selector, desc))
        return false;
    if (desc_is_code(desc->bits) && desc_is_conforming(desc->bits))
        return true;
    return desc_dpl(desc->bits) >= cpu->cpl && desc_dpl(desc->bits) >= (selector & 3u);
}

/* Which system descriptor types LAR and LSL accept, as bit masks by type (Intel SDM vol. 2, LAR,
 * LSL). */
#define LAR_TYPES_LEGACY 0x1a3eu
#define LAR_TYPES_LONG 0x1a04u
#define LSL_TYPES_LEGACY 0x0a0eu
#define LSL_TYPES_LONG 0x0a04u

static bool inspect(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned legacy_types,
                    unsigned long_types, struct x86_descriptor *desc)
{
    uint16_t selector;
    unsigned type;

    need_protected(cpu);
    selector = x86_operand_read(cpu, insn, 1);
    if (!descriptor_visible(cpu, selector, desc))
        return false;
    type = desc_type(desc->bits);
    return type >= 16 || ((x86_long_mode(cpu) ? long_types : legacy_types) >> type) & 1;
}

enum x86_next x86_do_lar(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_descriptor desc;

    if (!inspect(cpu, insn, LAR_TYPES_LEGACY, LAR_TYPES_LONG, &desc))
        return set_zf(cpu, insn, false);
    x86_operand_write(cpu, insn, 0, (desc.bits >> 32) & 0x00ffff00);
    return set_zf(cpu, insn, true);
}

enum x86_next x86_do_lsl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct x86_descriptor desc;

    if (!inspect(cpu, insn, LSL_TYPES_LEGACY, LSL_TYPES_LONG, &desc))
        return set_zf(cpu, insn, false);
    x86_operand_write(cpu, insn, 0, desc_limit(desc.bits));
    return set_zf(cpu, insn, true);
}

static enum x86_next verify(struct x86_cpu *cpu, const struct x86_insn *insn, bool write)
{
    struct x86_descriptor desc;
    bool ok;

    need_protected(cpu);
    ok = descriptor_visible(cpu, x86_operand_read(cpu, insn, 0), &desc)
         && (desc_type(desc.bits) & 0x10);
    if (ok && write)
        ok = desc_is_writable_data(desc.bits);
    else if (ok)
        ok = !desc_is_code(desc.bits) || (desc_type(desc.bits) & SEG_ATTR_WRITABLE);
    return set_zf(cpu, insn, ok);
}

enum x86_next x86_do_verr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return verify(cpu, insn, false);
}

enum x86_next x86_do_verw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return verify(cpu, insn, true);
}

enum x86_next x86_do_arpl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t to, from;

    need_protected(cpu);
    to = x86_operand_read(cpu, insn, 0);
    from = x86_operand_read(cpu, insn, 1);
    if ((to & 3) >= (from & 3))
        return set_zf(cpu, insn, false);
    x86_operand_write(cpu, insn, 0, (to & ~3ull) | (from & 3));
    return set_zf(cpu, insn, true);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/descriptor.h"

bool x86_descriptor_read(struct x86_cpu *cpu, uint16_t selector, struct x86_descriptor *desc)
{
    uint64_t base;
    uint32_t limit;

    if (selector & 4) {
        if (cpu->ldt.attr & SEG_ATTR_UNUSABLE)
            return false;
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    } else {
        base = cpu->gdt.base;
        limit = cpu->gdt.limit;
    }
    if (unlikely((selector | 7u) > limit))
        return false;
    desc->where = base + (selector & ~7u);
    desc->bits = x86_load(cpu, desc->where, 8, X86_IMPLICIT);
    return true;
}

void x86_descriptor_fetch(struct x86_cpu *cpu, uint16_t selector, uint8_t vector, unsigned ext,
                          struct x86_descriptor *desc)
{
    if (unlikely(!x86_descriptor_read(cpu, selector, desc)))
        x86_raise_error(cpu, vector, (selector & ~3u) | ext);
}

uint32_t x86_descriptor_high(struct x86_cpu *cpu, uint16_t selector,
                             const struct x86_descriptor *desc)
{
    uint32_t limit = selector & 4 ? cpu->ldt.limit : cpu->gdt.limit;
    uint64_t high;

    if ((selector & ~7u) + 15 > limit)
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    high = x86_load(cpu, desc->where + 8, 8, X86_IMPLICIT);
    if ((high >> 40) & 0x1f)
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    return high;
}

void x86_descriptor_to_segment(struct x86_segment *s, uint16_t selector, uint64_t bits)
{
    s->selector = selector;
    s->base = desc_base(bits);
    s->limit = desc_limit(bits);
    s->attr = desc_attr(bits) | SEG_ATTR_ACCESSED;
}

void x86_descriptor_accessed(struct x86_cpu *cpu, struct x86_descriptor *desc)
{
    uint8_t type = desc->bits >> 40;

    if (likely(type & SEG_ATTR_ACCESSED))
        return;
    x86_store(cpu, desc->where + 5, type | SEG_ATTR_ACCESSED, 1, X86_IMPLICIT);
    desc->bits |= 1ull << 40;
}

void x86_segment_load_real(struct x86_cpu *cpu, enum x86_seg seg, uint16_t selector)
{
    struct x86_segment *s = &cpu->seg[seg];

    s->selector = selector;
    s->base = (uint32_t)selector << 4;
    if (cpu->rflags & FLAG_VM && x86_protected(cpu)) {
        s->limit = 0xffff;
        s->attr = 0xf3;
    } else if (s->attr & SEG_ATTR_UNUSABLE) {
        s->limit = 0xffff;
        s->attr = 0x93;
    }
    /* Otherwise limit and size stay as protected mode left them ("unreal mode"). */
}

/* Usability, type and limit. (Intel SDM vol. 3, 5.3 to 5.5) */
bool x86_segment_fits(const struct x86_segment *s, uint64_t offset, unsigned size, bool write)
{
    uint64_t last = offset + size - 1;
    bool code = s->attr & SEG_ATTR_CODE;

    if (s->attr & SEG_ATTR_UNUSABLE)
        return false;
    if (write ? code || !(s->attr & SEG_ATTR_WRITABLE) : code && !(s->attr & SEG_ATTR_WRITABLE))
        return false;
    if (!code && (s->attr & SEG_ATTR_DOWN))
        return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffffu);
    return last <= s->limit;
}

bool x86_segment_allows(const struct x86_cpu *cpu, const struct x86_segment *s, uint64_t offset,
                        unsigned size, bool write)
{
    if (x86_protected(cpu) && !(cpu->rflags & FLAG_VM))
        return x86_segment_fits(s, offset, size, write);
    return offset + size - 1 <= s->limit;
}

void x86_stack_current(const struct x86_cpu *cpu, struct x86_stack *stack)
{
    bool wide = x86_code64(cpu);

    stack->seg = wide ? NULL : &cpu->seg[SEG_SS];
    stack->mask = wide ? ~0ull : stack_mask(&cpu->seg[SEG_SS]);
    stack->sp = cpu->regs[RSP];
    stack->access = x86_user(cpu);
    stack->error = 0;
}

static uint64_t stack_linear(struct x86_cpu *cpu, const struct x86_stack *stack, unsigned size,
                             bool write)
{
    uint64_t offset = stack->sp & stack->mask;

    if (!stack->seg) {
        if (unlikely(!x86_canonical(cpu, offset) || !x86_canonical(cpu, offset + size - 1)))
            x86_raise_error(cpu, VECTOR_SS, stack->error);
        return offset;
    }
    if (unlikely(!x86_segment_allows(cpu, stack->seg, offset, size, write)))
        x86_raise_error(cpu, VECTOR_SS, stack->error);
    return (uint32_t)(stack->seg->base + offset);
}

void x86_stack_push(struct x86_cpu *cpu, struct x86_stack *stack, uint64_t value, unsigned size)
{
    stack->sp -= size;
    x86_store(cpu, stack_linear(cpu, stack, size, true), value, size, stack->access);
}

uint64_t x86_stack_pop(struct x86_cpu *cpu, struct x86_stack *stack, unsigned size)
{
    uint64_t value = x86_load(cpu, stack_linear(cpu, stack, size, false), size, stack->access);

    stack->sp += size;
    return value;
}

void x86_tss_stack(struct x86_cpu *cpu, unsigned dpl, unsigned ext, uint16_t *ss, uint32_t *esp)
{
    bool wide = cpu->tr.attr & 8;
    unsigned offset = wide ? dpl * 8 + 4 : dpl * 4 + 2;

    if ((cpu->tr.attr & SEG_ATTR_UNUSABLE) || offset + (wide ? 5 : 3) > cpu->tr.limit)
        x86_raise_error(cpu, VECTOR_TS, (cpu->tr.selector & ~3u) | ext);
    *esp = x86_load(cpu, cpu->tr.base + offset, wide ? 4 : 2, X86_IMPLICIT);
    *ss = x86_load(cpu, cpu->tr.base + offset + (wide ? 4 : 2), 2, X86_IMPLICIT);
}

uint64_t x86_tss_rsp(struct x86_cpu *cpu, unsigned offset, unsigned ext)
{
    uint64_t rsp;

    if (unlikely((cpu->tr.attr & SEG_ATTR_UNUSABLE) || offset + 7 > cpu->tr.limit))
        x86_raise_error(cpu, VECTOR_TS, (cpu->tr.selector & ~3u) | ext);
    rsp = x86_load(cpu, cpu->tr.base + offset, 8, X86_IMPLICIT);
    if (unlikely(!x86_canonical(cpu, rsp)))
        x86_raise_error(cpu, VECTOR_SS, ext);
    return rsp;
}

void x86_inner_ss(struct x86_cpu *cpu, uint16_t selector, unsigned dpl, unsigned ext,
                  struct x86_segment *ss)
{
    struct x86_descriptor desc;
    uint32_t error = (selector & ~3u) | ext;

    if (selector_null(selector))
        x86_raise_error(cpu, VECTOR_TS, ext);
    x86_descriptor_fetch(cpu, selector, VECTOR_TS, ext, &desc);
    if ((selector & 3u) != dpl || desc_dpl(desc.bits) != dpl || !desc_is_writable_data(desc.bits))
        x86_raise_error(cpu, VECTOR_TS, error);
    if (!desc_present(desc.bits))
        x86_raise_error(cpu, VECTOR_SS, error);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(ss, selector, desc.bits);
}

/* What MOV, POP and Lxx check for DS, ES, FS and GS. */
static void data_segment_check(struct x86_cpu *cpu, uint16_t selector, uint64_t bits)
{
    unsigned type = desc_type(bits), dpl = desc_dpl(bits);

    if (!(type & 0x10) || (type & 0xa) == 8) /* system, or code that cannot be read */
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    if (!(desc_is_code(bits) && desc_is_conforming(bits))
        && ((selector & 3u) > dpl || cpu->cpl > dpl))
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    if (!desc_present(bits))
        x86_raise_error(cpu, VECTOR_NP, selector & ~3u);
}

static void stack_segment_check(struct x86_cpu *cpu, uint16_t selector, uint64_t bits)
{
    if ((selector & 3u) != cpu->cpl || desc_dpl(bits) != cpu->cpl || !desc_is_writable_data(bits))
        x86_raise_error(cpu, VECTOR_GP, selector & ~3u);
    if (!desc_present(bits))
        x86_raise_error(cpu, VECTOR_SS, selector & ~3u);
}

void x86_segment_load(struct x86_cpu *cpu, enum x86_seg seg, uint16_t selector)
{
    struct x86_descriptor desc;

    if (!x86_protected(cpu) || (cpu->rflags & FLAG_VM)) {
        x86_segment_load_real(cpu, seg, selector);
        return;
    }
    if (selector_null(selector)) {
        /* SS may be null only in 64-bit code outside ring 3, with RPL equal to CPL. */
        if (seg == SEG_SS && (!x86_code64(cpu) || cpu->cpl == 3 || (selector & 3u) != cpu->cpl))
            x86_raise_error(cpu, VECTOR_GP, 0);
        segment_null(&cpu->seg[seg], selector, seg == SEG_SS ? cpu->cpl : 0);
        return;
    }
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, 0, &desc);
    if (seg == SEG_SS)
        stack_segment_check(cpu, selector, desc.bits);
    else
        data_segment_check(cpu, selector, desc.bits);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(&cpu->seg[seg], selector, desc.bits);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hardware task switching (Intel SDM vol. 3, 7.3). Everything about both TSSs that can fault is
 * looked at first; then the old task is saved and the new one's registers are loaded, which is the
 * point of no return; its segments are checked after that, in the new task's context. */
#include "x86/descriptor.h"

/* Where a TSS keeps things. */
struct layout {
    uint8_t width, ip, flags, regs, segments, segment_count, segment_stride, ldt, bytes;
};
static const struct layout layout16 = { 2, 0x0e, 0x10, 0x12, 0x22, 4, 2, 0x2a, 0x2c };
static const struct layout layout32 = { 4, 0x20, 0x24, 0x28, 0x48, 6, 4, 0x60, 0x68 };
#define TSS32_CR3 0x1cu
#define TSS32_TRAP 0x64u
#define DR7_LOCAL 0x155u

static const struct layout *layout_of(uint32_t attr)
{
    return attr & 8 ? &layout32 : &layout16;
}

struct new_task {
    const struct layout *layout;
    struct x86_segment tr;
    uint32_t cr3, ip, flags, regs[8];
    uint16_t segments[6], ldt;
    bool trap;
};

static void check_tss(struct x86_cpu *cpu, uint16_t selector, enum x86_task_switch how,
                      unsigned ext, struct x86_descriptor *desc)
{
    uint8_t vector = how == X86_TASK_IRET ? VECTOR_TS : VECTOR_GP;
    uint32_t error = (selector & ~3u) | ext;
    unsigned type, busy = how == X86_TASK_IRET ? DESC_TYPE_BUSY : 0;

    if (selector & 4)
        x86_raise_error(cpu, vector, error);
    x86_descriptor_fetch(cpu, selector, vector, ext, desc);
    type = desc_type(desc->bits);
    if (type != (DESC_TSS16 | busy) && type != (DESC_TSS32 | busy))
        x86_raise_error(cpu, vector, error);
    if (!desc_present(desc->bits))
        x86_raise_error(cpu, VECTOR_NP, error);
    if (desc_limit(desc->bits) < layout_of(desc_attr(desc->bits))->bytes - 1u)
        x86_raise_error(cpu, VECTOR_TS, error);
}

static uint32_t tss_load(struct x86_cpu *cpu, uint32_t base, unsigned offset, unsigned size)
{
    return x86_load(cpu, base + offset, size, X86_IMPLICIT);
}

static void read_new_task(struct x86_cpu *cpu, const struct x86_descriptor *desc, uint16_t selector,
                          struct new_task *task)
{
    const struct layout *l = layout_of(desc_attr(desc->bits));
    uint32_t base = desc_base(desc->bits);

    task->layout = l;
    task->tr = (struct x86_segment){ .base = base,
                                     .limit = desc_limit(desc->bits),
                                     .attr = desc_attr(desc->bits) | DESC_TYPE_BUSY,
                                     .selector = selector };
    task->cr3 = l->width == 4 ? tss_load(cpu, base, TSS32_CR3, 4) : 0;
    task->trap = l->width == 4 && (tss_load(cpu, base, TSS32_TRAP, 1) & 1);
    task->ip = tss_load(cpu, base, l->ip, l->width);
    task->flags = tss_load(cpu, base, l->flags, l->width);
    for (unsigned n = 0; n < 8; n++)
        task->regs[n] = tss_load(cpu, base, l->regs + n * l->width, l->width);
    for (unsigned n = 0; n < 6; n++)
        task->segments[n] =
            n < l->segment_count ? tss_load(cpu, base, l->segments + n * l->segment_stride, 2) : 0;
    task->ldt = tss_load(cpu, base, l->ldt, 2);
}

static void save_old_task(struct x86_cpu *cpu, uint32_t ip, uint32_t flags)
{
    const struct layout *l = layout_of(cpu->tr.attr);
    uint32_t base = cpu->tr.base;

    /* Nothing may fault between the first store and the last. */
    x86_probe(cpu, base, l->bytes, X86_WRITE | X86_IMPLICIT);
    x86_store(cpu, base + l->ip, ip, l->width, X86_IMPLICIT);
    x86_store(cpu, base + l->flags, flags, l->width, X86_IMPLICIT);
    for (unsigned n = 0; n < 8; n++)
        x86_store(cpu, base + l->regs + n * l->width, cpu->regs[n], l->width, X86_IMPLICIT);
    for (unsigned n = 0; n < l->segment_count; n++)
        x86_store(cpu, base + l->segments + n * l->segment_stride, cpu->seg[n].selector, 2,
                  X86_IMPLICIT);
}

static void set_busy(struct x86_cpu *cpu, uint16_t selector, bool busy)
{
    uint64_t where = cpu->gdt.base + (selector & ~7u) + 5;
    uint8_t type = x86_load(cpu, where, 1, X86_IMPLICIT);

    x86_store(cpu, where, busy ? type | DESC_TYPE_BUSY : type & ~DESC_TYPE_BUSY, 1, X86_IMPLICIT);
}

/* Registers of the new task; from here on its segments are all invalid until they are checked. */
static void load_registers(struct x86_cpu *cpu, const struct new_task *task, bool nested)
{
    uint32_t defined = FLAGS_ARITHMETIC | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT
                       | FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID;

    cpu->tr = task->tr;
    cpu->cr0 |= CR0_TS;
    cpu->dr[7] &= ~(uint64_t)DR7_LOCAL;
    if (task->layout->width == 4 && (cpu->cr0 & CR0_PG)) {
        cpu->cr3 = task->cr3;
        cpu->ops->flush_all(cpu, true);
    }
    cpu->rip = task->ip;
    cpu->rflags = (task->flags & defined) | FLAG_FIXED | (nested ? FLAG_NT : 0);
    for (unsigned n = 0; n < 8; n++)
        cpu->regs[n] = task->regs[n];
    for (unsigned n = 0; n < 6; n++)
        segment_null(&cpu->seg[n], task->segments[n], 0);
    segment_null(&cpu->ldt, task->ldt, 0);
    x86_set_cpl(cpu, cpu->rflags & FLAG_VM ? 3 : task->segments[SEG_CS] & 3);
}

static void load_ldt(struct x86_cpu *cpu, uint16_t selector, unsigned ext)
{
    struct x86_descriptor desc;
    uint32_t error = (selector & ~3u) | ext;

    if (selector_null(selector))
        return;
    if (selector & 4)
        x86_raise_error(cpu, VECTOR_TS, error);
    x86_descriptor_fetch(cpu, selector, VECTOR_TS, ext, &desc);
    if (desc_type(desc.bits) != DESC_LDT || !desc_present(desc.bits))
        x86_raise_error(cpu, VECTOR_TS, error);
    cpu->ldt = (struct x86_segment){ .base = desc_base(desc.bits),
                                     .limit = desc_limit(desc.bits),
                                     .attr = desc_attr(desc.bits),
                                     .selector = selector };
}

static bool segment_legal(const struct x86_cpu *cpu, enum x86_seg seg, uint16_t selector,
                          uint64_t bits)
{
    unsigned rpl = selector & 3, dpl = desc_dpl(bits), type = desc_type(bits);
    bool conforming = desc_is_code(bits) && desc_is_conforming(bits);

    if (seg == SEG_CS)
        return desc_is_code(bits) && (conforming ? dpl <= rpl : dpl == rpl);
    if (seg == SEG_SS)
        return desc_is_writable_data(bits) && rpl == cpu->cpl && dpl == cpu->cpl;
    return (type & 0x10) && (type & 0xa) != 8 && (conforming || (rpl <= dpl && cpu->cpl <= dpl));
}

static void load_segment(struct x86_cpu *cpu, enum x86_seg seg, unsigned ext)
{
    uint16_t selector = cpu->seg[seg].selector;
    struct x86_descriptor desc;

    if (selector_null(selector)) {
        if (seg == SEG_CS || seg == SEG_SS)
            x86_raise_error(cpu, VECTOR_TS, ext);
        return;
    }
    x86_descriptor_fetch(cpu, selector, VECTOR_TS, ext, &desc);
    if (!segment_legal(cpu, seg, selector, desc.bits))
        x86_raise_error(cpu, VECTOR_TS, (selector & ~3u) | ext);
    if (!desc_present(desc.bits))
        x86_raise_error(cpu, seg == SEG_SS ? VECTOR_SS : VECTOR_NP, (selector & ~3u) | ext);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(&cpu->seg[seg], selector, desc.bits);
}

static void load_segments(struct x86_cpu *cpu, unsigned ext)
{
    static const uint8_t order[6] = { SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };

    for (unsigned n = 0; n < 6; n++) {
        if (cpu->rflags & FLAG_VM)
            x86_segment_load_real(cpu, order[n], cpu->seg[order[n]].selector);
        else
            load_segment(cpu, order[n], ext);
    }
}

void x86_task_switch(struct x86_cpu *cpu, uint16_t selector, enum x86_task_switch how,
                     bool has_error, uint32_t error, unsigned ext, uint64_t return_ip,
                     uint32_t flags)
{
    bool nested = how == X86_TASK_CALL || how == X86_TASK_INTERRUPT;
    struct x86_descriptor desc;
    struct new_task task;

    check_tss(cpu, selector, how, ext, &desc);
    read_new_task(cpu, &desc, selector, &task);
    if (task.layout->width == 4 && (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE)
        && !x86_load_pdptes(cpu, task.cr3))
        x86_raise_error(cpu, VECTOR_GP, ext);
    if (nested)
        x86_probe(cpu, task.tr.base, 2, X86_WRITE | X86_IMPLICIT);
    save_old_task(cpu, return_ip, flags);
    if (!nested)
        set_busy(cpu, cpu->tr.selector, false);
    if (nested)
        x86_store(cpu, task.tr.base, cpu->tr.selector, 2, X86_IMPLICIT);
    if (how != X86_TASK_IRET)
        set_busy(cpu, selector, true);

    load_registers(cpu, &task, nested);
    cpu->ops->mode_changed(cpu);
    load_ldt(cpu, task.ldt, ext);
    load_segments(cpu, ext);
    cpu->ops->mode_changed(cpu);
    if (task.ip > cpu->seg[SEG_CS].limit)
        x86_raise_error(cpu, VECTOR_GP, ext);
    if (has_error) {
        struct x86_stack stack;

        x86_stack_current(cpu, &stack);
        stack.error = ext;
        x86_stack_push(cpu, &stack, error, task.layout->width);
        cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    }
    if (task.trap)
        cpu->debug_pending |= DR6_BT;
}

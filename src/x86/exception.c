/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delivery computes everything that can fault first (gate, code segment, stack, pushes) and commits
 * registers last, so that a fault on the way leaves the interrupted state intact and only
 * cpu->delivering tells that something was under way. */
#include "x86/exception.h"

#include "x86/descriptor.h"
#include "x86/log.h"
#include "x86/model.h"

/* ---- Raising -------------------------------------------------------------------------------- */

void x86_raise(struct x86_cpu *cpu, uint8_t vector)
{
    cpu->fault_vector = vector;
    cpu->fault_has_error = false;
    cpu->fault_error = 0;
    cpu->fault_is_soft = false;
    cpu->ops->unwind(cpu);
}

void x86_raise_error(struct x86_cpu *cpu, uint8_t vector, uint32_t error)
{
    cpu->fault_vector = vector;
    cpu->fault_has_error = true;
    cpu->fault_error = error;
    cpu->fault_is_soft = false;
    cpu->ops->unwind(cpu);
}

void x86_raise_pf(struct x86_cpu *cpu, uint64_t addr, uint32_t error)
{
    cpu->fault_addr = addr;
    x86_raise_error(cpu, VECTOR_PF, error);
}

void x86_raise_debug(struct x86_cpu *cpu, uint32_t dr6)
{
    cpu->fault_dr6 = dr6;
    x86_raise(cpu, VECTOR_DB);
}

/* ---- Breakpoint registers ------------------------------------------------------------------- */

static unsigned breakpoint_bytes(uint64_t dr7, unsigned n)
{
    static const uint8_t bytes[4] = { 1, 2, 8, 4 };

    return bytes[(dr7 >> (18 + n * 4)) & 3];
}

static bool breakpoint_watches(const struct x86_cpu *cpu, unsigned n, enum x86_watch watch)
{
    unsigned kind = (cpu->dr[7] >> (16 + n * 4)) & 3;

    if (!((cpu->dr[7] >> (n * 2)) & 3))
        return false;
    if (watch == X86_WATCH_WRITE)
        return kind == X86_WATCH_WRITE || kind == X86_WATCH_READ;
    return kind == (unsigned)watch;
}

uint32_t x86_breakpoints(const struct x86_cpu *cpu, uint64_t addr, unsigned size,
                         enum x86_watch watch)
{
    uint32_t hit = 0;

    for (unsigned n = 0; n < 4; n++) {
        unsigned bytes = watch == X86_WATCH_EXEC ? 1 : breakpoint_bytes(cpu->dr[7], n);
        uint64_t start = cpu->dr[n] & ~(uint64_t)(bytes - 1);

        if (breakpoint_watches(cpu, n, watch) && addr < start + bytes && start < addr + size)
            hit |= 1u << n;
    }
    return hit;
}

bool x86_breakpoints_enabled(const struct x86_cpu *cpu, enum x86_watch watch)
{
    if (watch == X86_WATCH_IO && !(cpu->cr4 & CR4_DE))
        return false;
    for (unsigned n = 0; n < 4; n++)
        if (breakpoint_watches(cpu, n, watch)
            || (watch == X86_WATCH_READ && breakpoint_watches(cpu, n, X86_WATCH_WRITE)))
            return true;
    return false;
}

/* ---- Delivery ------------------------------------------------------------------------------- */

struct delivery {
    uint8_t vector;
    enum x86_event event;
    bool has_error;
    unsigned ext; /* EXT bit of error codes raised on the way */
    uint32_t error;
    uint64_t return_ip;
    uint32_t flags; /* to be saved */
};

static bool is_software(enum x86_event event)
{
    return event == X86_EVENT_SOFT_INT || event == X86_EVENT_SOFT_EXCEPTION;
}

static uint32_t idt_error(const struct delivery *d)
{
    return d->vector * 8u + 2 + d->ext;
}

/* Checks the handler's code segment; gives its hidden part and the new CPL. (Intel SDM vol. 3,
 * 6.12.1) */
static unsigned handler_segment(struct x86_cpu *cpu, uint16_t selector, unsigned ext,
                                struct x86_segment *cs)
{
    struct x86_descriptor desc;
    uint32_t error = (selector & ~3u) | ext;
    unsigned cpl;

    if (unlikely(selector_null(selector)))
        x86_raise_error(cpu, VECTOR_GP, ext);
    x86_descriptor_fetch(cpu, selector, VECTOR_GP, ext, &desc);
    if (unlikely(!desc_is_code(desc.bits) || desc_dpl(desc.bits) > cpu->cpl))
        x86_raise_error(cpu, VECTOR_GP, error);
    if (unlikely(!desc_present(desc.bits)))
        x86_raise_error(cpu, VECTOR_NP, error);
    if (x86_long_mode(cpu) && (desc_attr(desc.bits) & (SEG_ATTR_L | SEG_ATTR_DB)) != SEG_ATTR_L)
        x86_raise_error(cpu, VECTOR_GP, error);
    cpl = desc_is_conforming(desc.bits) ? cpu->cpl : desc_dpl(desc.bits);
    if ((cpu->rflags & FLAG_VM) && cpl != 0)
        x86_raise_error(cpu, VECTOR_GP, error);
    x86_descriptor_accessed(cpu, &desc);
    x86_descriptor_to_segment(cs, (selector & ~3u) | cpl, desc.bits);
    return cpl;
}

static void enter_handler(struct x86_cpu *cpu, const struct x86_segment *cs, uint64_t rip,
                          bool interrupt_gate)
{
    cpu->seg[SEG_CS] = *cs;
    cpu->rip = rip;
    cpu->rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (interrupt_gate)
        cpu->rflags &= ~(uint64_t)FLAG_IF;
}

static void deliver_long(struct x86_cpu *cpu, const struct delivery *d)
{
    struct x86_segment cs;
    struct x86_stack stack = { .mask = ~0ull, .error = d->ext };
    uint64_t low, high, rip, *frame;
    unsigned type, ist, cpl, words = 5 + d->has_error;

    if (unlikely(d->vector * 16u + 15 > cpu->idt.limit))
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    low = x86_load(cpu, cpu->idt.base + d->vector * 16u, 8, X86_IMPLICIT);
    high = x86_load(cpu, cpu->idt.base + d->vector * 16u + 8, 8, X86_IMPLICIT);
    type = desc_type(low);
    if (unlikely(type != DESC_INT_GATE32 && type != DESC_TRAP_GATE32))
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    if (unlikely(is_software(d->event) && desc_dpl(low) < cpu->cpl))
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    if (unlikely(!desc_present(low)))
        x86_raise_error(cpu, VECTOR_NP, idt_error(d));
    rip = (low & 0xffff) | ((low >> 32) & 0xffff0000u) | high << 32;
    cpl = handler_segment(cpu, low >> 16, d->ext, &cs);
    if (unlikely(!x86_canonical(cpu, rip)))
        x86_raise_error(cpu, VECTOR_GP, d->ext);

    ist = (low >> 32) & 7;
    if (ist)
        stack.sp = x86_tss_rsp(cpu, 0x24 + (ist - 1) * 8, d->ext);
    else if (cpl != cpu->cpl)
        stack.sp = x86_tss_rsp(cpu, 4 + cpl * 8, d->ext);
    else
        stack.sp = cpu->regs[RSP];
    stack.sp &= ~15ull;
    stack.access = cpl == 3 ? X86_USER : 0;

    frame = cpu->ops->lookup(cpu, stack.sp - words * 8, words * 8, stack.access | X86_WRITE);
    if (likely(frame)) {
        if (d->has_error)
            *frame++ = d->error;
        frame[0] = d->return_ip;
        frame[1] = cpu->seg[SEG_CS].selector;
        frame[2] = d->flags;
        frame[3] = cpu->regs[RSP];
        frame[4] = cpu->seg[SEG_SS].selector;
        stack.sp -= words * 8;
    } else {
        x86_stack_push(cpu, &stack, cpu->seg[SEG_SS].selector, 8);
        x86_stack_push(cpu, &stack, cpu->regs[RSP], 8);
        x86_stack_push(cpu, &stack, d->flags, 8);
        x86_stack_push(cpu, &stack, cpu->seg[SEG_CS].selector, 8);
        x86_stack_push(cpu, &stack, d->return_ip, 8);
        if (d->has_error)
            x86_stack_push(cpu, &stack, d->error, 8);
    }

    if (cpl != cpu->cpl) {
        segment_null(&cpu->seg[SEG_SS], cpl, cpl);
        cpu->cpl = cpl;
    }
    cpu->regs[RSP] = stack.sp;
    enter_handler(cpu, &cs, rip, type == DESC_INT_GATE32);
    cpu->ops->mode_changed(cpu);
}

static void push_frame(struct x86_cpu *cpu, struct x86_stack *stack, const struct delivery *d,
                       unsigned size)
{
    x86_stack_push(cpu, stack, d->flags, size);
    x86_stack_push(cpu, stack, cpu->seg[SEG_CS].selector, size);
    x86_stack_push(cpu, stack, d->return_ip, size);
    if (d->has_error)
        x86_stack_push(cpu, stack, d->error, size);
}

/* To a handler in an inner ring, or out of virtual-8086 mode: stack from the TSS. */
static void deliver_inner(struct x86_cpu *cpu, const struct delivery *d,
                          const struct x86_segment *cs, unsigned cpl, uint32_t rip, unsigned type)
{
    static const uint8_t v86_segments[4] = { SEG_GS, SEG_FS, SEG_DS, SEG_ES };
    bool v86 = cpu->rflags & FLAG_VM;
    unsigned size = type & 8 ? 4 : 2, count = 0, bytes;
    struct x86_segment ss;
    uint32_t words[10], esp, bottom;
    uint16_t selector, half[10];

    x86_tss_stack(cpu, cpl, d->ext, &selector, &esp);
    x86_inner_ss(cpu, selector, cpl, d->ext, &ss);

    /* The frame from its lowest address up. */
    if (d->has_error)
        words[count++] = d->error;
    words[count++] = d->return_ip;
    words[count++] = cpu->seg[SEG_CS].selector;
    words[count++] = d->flags;
    words[count++] = cpu->regs[RSP];
    words[count++] = cpu->seg[SEG_SS].selector;
    for (int n = 3; v86 && n >= 0; n--)
        words[count++] = cpu->seg[v86_segments[n]].selector;
    for (unsigned n = 0; n < count; n++)
        half[n] = words[n];
    bytes = count * size;
    bottom = (esp - bytes) & stack_mask(&ss);
    if (!x86_segment_fits(&ss, bottom, bytes, true))
        x86_raise_error(cpu, VECTOR_SS, (selector & ~3u) | d->ext);
    x86_store_bytes(cpu, (uint32_t)(ss.base + bottom), size == 4 ? (void *)words : (void *)half,
                    bytes, cpl == 3 ? X86_USER : 0);

    if (v86)
        for (unsigned n = 0; n < 4; n++)
            segment_null(&cpu->seg[v86_segments[n]], 0, 0);
    cpu->regs[RSP] = stack_mask(&ss) == 0xffff ? (esp & ~0xffffu) | bottom : bottom;
    cpu->seg[SEG_SS] = ss;
    cpu->cpl = cpl;
    enter_handler(cpu, cs, rip, !(type & 1));
    cpu->ops->mode_changed(cpu);
}

static void deliver_protected(struct x86_cpu *cpu, const struct delivery *d)
{
    struct x86_segment cs;
    struct x86_stack stack;
    uint64_t gate;
    unsigned type, cpl;
    uint32_t rip;

    if (d->vector * 8u + 7 > cpu->idt.limit)
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    gate = x86_load(cpu, cpu->idt.base + d->vector * 8u, 8, X86_IMPLICIT);
    type = desc_type(gate);
    if (type != DESC_TASK_GATE && (type & ~9u) != DESC_INT_GATE16)
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    if (is_software(d->event) && desc_dpl(gate) < cpu->cpl)
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    if (!desc_present(gate))
        x86_raise_error(cpu, VECTOR_NP, idt_error(d));
    if (type == DESC_TASK_GATE) {
        x86_task_switch(cpu, gate >> 16, X86_TASK_INTERRUPT, d->has_error, d->error, d->ext,
                        d->return_ip, d->flags);
        return;
    }
    rip = (gate & 0xffff) | (type & 8 ? (gate >> 32) & 0xffff0000u : 0);
    cpl = handler_segment(cpu, gate >> 16, d->ext, &cs);
    if (rip > cs.limit)
        x86_raise_error(cpu, VECTOR_GP, d->ext);
    if (cpl != cpu->cpl) {
        deliver_inner(cpu, d, &cs, cpl, rip, type);
        return;
    }
    x86_stack_current(cpu, &stack);
    stack.error = d->ext;
    push_frame(cpu, &stack, d, type & 8 ? 4 : 2);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    enter_handler(cpu, &cs, rip, !(type & 1));
    cpu->ops->mode_changed(cpu);
}

/* The real-mode way: vector table of far pointers, 16-bit frame, no error code. */
static void deliver_vector_table(struct x86_cpu *cpu, const struct delivery *d, uint64_t table,
                                 unsigned access)
{
    struct x86_stack stack;
    uint32_t entry = x86_load(cpu, (uint32_t)(table + d->vector * 4u), 4, access);

    x86_stack_current(cpu, &stack);
    x86_stack_push(cpu, &stack, (uint16_t)d->flags, 2);
    x86_stack_push(cpu, &stack, cpu->seg[SEG_CS].selector, 2);
    x86_stack_push(cpu, &stack, (uint16_t)d->return_ip, 2);
    cpu->regs[RSP] = stack_rsp(cpu->regs[RSP], &stack);
    x86_segment_load_real(cpu, SEG_CS, entry >> 16);
    cpu->rip = (uint16_t)entry;
}

static void deliver_real(struct x86_cpu *cpu, const struct delivery *d)
{
    if (d->vector * 4u + 3 > cpu->idt.limit)
        x86_raise_error(cpu, VECTOR_GP, idt_error(d));
    deliver_vector_table(cpu, d, cpu->idt.base, X86_IMPLICIT);
    cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    cpu->ops->mode_changed(cpu);
}

/* int n in virtual-8086 mode: to the 8086 program's own handler if CR4.VME and the redirection
 * bitmap say so (Intel SDM vol. 3, 20.3.3.2). False: through the IDT. */
static bool deliver_v86_redirected(struct x86_cpu *cpu, const struct delivery *d)
{
    struct delivery copy = *d;
    unsigned iopl = (cpu->rflags & FLAG_IOPL) >> FLAG_IOPL_SHIFT;
    uint32_t map;

    if (!(cpu->cr4 & CR4_VME)) {
        if (iopl < 3)
            x86_raise_error(cpu, VECTOR_GP, 0);
        return false;
    }
    if (cpu->tr.limit < 103)
        x86_raise_error(cpu, VECTOR_GP, 0);
    map = x86_load(cpu, cpu->tr.base + 102, 2, X86_IMPLICIT) - 32 + d->vector / 8;
    if (map > cpu->tr.limit)
        x86_raise_error(cpu, VECTOR_GP, 0);
    if (x86_load(cpu, cpu->tr.base + map, 1, X86_IMPLICIT) & (1u << (d->vector & 7))) {
        if (iopl < 3)
            x86_raise_error(cpu, VECTOR_GP, 0);
        return false;
    }
    if (iopl < 3) {
        copy.flags &= ~(FLAG_IF | FLAG_IOPL);
        copy.flags |= FLAG_IOPL | (copy.flags & FLAG_VIF ? FLAG_IF : 0);
    }
    deliver_vector_table(cpu, &copy, 0, X86_USER);
    cpu->rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | (iopl < 3 ? FLAG_VIF : FLAG_IF));
    cpu->ops->mode_changed(cpu);
    return true;
}

/* The class of an event for the double fault rules (Intel SDM vol. 3, table 6-4). */
static enum x86_delivering event_class(uint8_t vector, enum x86_event event)
{
    if (event != X86_EVENT_EXCEPTION)
        return X86_DELIVERING_BENIGN;
    switch (vector) {
    case VECTOR_DE:
    case VECTOR_TS:
    case VECTOR_NP:
    case VECTOR_SS:
    case VECTOR_GP:
        return X86_DELIVERING_CONTRIBUTORY;
    case VECTOR_PF:
        return X86_DELIVERING_PAGE_FAULT;
    case VECTOR_DF:
        return X86_DELIVERING_DOUBLE_FAULT;
    default:
        return X86_DELIVERING_BENIGN;
    }
}

static bool makes_double_fault(enum x86_delivering first, enum x86_delivering second)
{
    return second >= X86_DELIVERING_CONTRIBUTORY
           && (first == X86_DELIVERING_PAGE_FAULT
               || (first == X86_DELIVERING_CONTRIBUTORY && second == X86_DELIVERING_CONTRIBUTORY));
}

enum x86_delivery x86_deliver(struct x86_cpu *cpu, uint8_t vector, enum x86_event event,
                              bool has_error, uint32_t error, uint64_t next_rip)
{
    enum x86_delivering class = event_class(vector, event);
    struct delivery d;

    if (unlikely(cpu->delivering == X86_DELIVERING_DOUBLE_FAULT)) {
        cpu->delivering = X86_DELIVERING_NOTHING;
        return X86_DELIVERY_TRIPLE_FAULT;
    }
    if (unlikely(cpu->delivering) && makes_double_fault(cpu->delivering, class)) {
        vector = VECTOR_DF;
        has_error = true;
        error = 0;
        class = X86_DELIVERING_DOUBLE_FAULT;
    }
    if (x86_log_on(cpu, LOG_INT))
        x86_log_event(cpu, vector, event, has_error ? error : 0);
    cpu->delivering = class;

    d = (struct delivery){
        .vector = vector,
        .event = event,
        .error = error,
        .ext = !is_software(event),
        .has_error = has_error && x86_protected(cpu),
        .flags = cpu->rflags,
        .return_ip = is_software(event) || event == X86_EVENT_ICEBP ? next_rip : cpu->rip,
    };
    if (event == X86_EVENT_EXCEPTION && vector != VECTOR_DB)
        d.flags |= FLAG_RF;
    if (vector == VECTOR_DB && (event == X86_EVENT_EXCEPTION || event == X86_EVENT_TRAP)) {
        cpu->dr[6] = (cpu->dr[6] & ~0xfull) | cpu->fault_dr6;
        cpu->dr[7] &= ~(1ull << 13);
        cpu->fault_dr6 = 0;
    }

    if (likely(x86_long_mode(cpu)))
        deliver_long(cpu, &d);
    else if (!x86_protected(cpu))
        deliver_real(cpu, &d);
    else if (!((cpu->rflags & FLAG_VM) && event == X86_EVENT_SOFT_INT
               && deliver_v86_redirected(cpu, &d)))
        deliver_protected(cpu, &d);

    cpu->delivering = X86_DELIVERING_NOTHING;
    cpu->int_shadow = false;
    cpu->halted = false;
    if (event == X86_EVENT_NMI)
        cpu->nmi_blocked = true;
    return X86_DELIVERED;
}

enum x86_delivery x86_deliver_fault(struct x86_cpu *cpu)
{
    if (cpu->fault_vector == VECTOR_PF)
        cpu->cr2 = cpu->fault_addr;
    return x86_deliver(cpu, cpu->fault_vector, X86_EVENT_EXCEPTION, cpu->fault_has_error,
                       cpu->fault_error, cpu->rip);
}

enum x86_delivery x86_deliver_debug_trap(struct x86_cpu *cpu, uint32_t dr6)
{
    cpu->fault_dr6 = dr6;
    cpu->debug_pending = 0;
    return x86_deliver(cpu, VECTOR_DB, X86_EVENT_TRAP, false, 0, cpu->rip);
}

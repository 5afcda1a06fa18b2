/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What translated code calls, and bt_next(), which decides where it goes on.
 * Runs with guest vector registers live: x86_quiesce() before anything outside src/x86 and here. */
#include "engine/bt/bt.h"

#include "hw/intc/apic.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/log.h"
#include "x86/smm.h"

/* ---- guest flags: AH as lahf, AL the overflow flag
 * ---------------------------------------------------- */

#define FLAGS_LAHF (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)

void bt_flags_in(struct bt_vcpu *v)
{
    uint32_t flags = (v->flags_ax >> 8 & FLAGS_LAHF) | (v->flags_ax & 1 ? FLAG_OF : 0);
    v->cpu.rflags = (v->cpu.rflags & ~(uint64_t)FLAGS_ARITHMETIC) | flags;
}

void bt_flags_out(struct bt_vcpu *v)
{
    uint64_t flags = v->cpu.rflags;
    v->flags_ax = (flags & FLAGS_LAHF) << 8 | (flags & FLAG_OF ? 1 : 0);
    v->cpu.rflags = flags & ~(uint64_t)FLAGS_ARITHMETIC;
}

/* ---- finding blocks
 * -------------------------------------------------------------------------------------- */

unsigned bt_block_hash(uint64_t rip, uint64_t gpa, uint32_t mode)
{
    uint64_t h = (rip ^ gpa << 7 ^ (uint64_t)mode << 29) * 0x9e3779b97f4a7c15ull;
    return h >> (64 - BLOCK_HASH_BITS);
}

struct bt_block *bt_block_find(struct bt *bt, uint64_t rip, uint64_t cs_base, uint64_t gpa,
                               uint32_t mode)
{
    _Atomic uint32_t *at = &bt->hash[bt_block_hash(rip, gpa, mode)];
    struct bt_block *block = bt_block_at(bt, atomic_load_explicit(at, memory_order_acquire));
    while (block
           && !(block->rip == rip && block->gpa == gpa && block->mode == mode
                && block->cs_base == cs_base))
        block = bt_block_at(bt, atomic_load_explicit(&block->hash_next, memory_order_acquire));
    return block;
}

struct bt_block *bt_block_of_code(struct bt *bt, const uint8_t *code)
{
    uint64_t offset = code - bt->code_exec;
    size_t low = 0, high = __atomic_load_n(&bt->block_count, __ATOMIC_ACQUIRE);
    while (low < high) { /* the first place behind it */
        size_t middle = (low + high) / 2;
        if (offset < bt->places[middle].code)
            high = middle;
        else
            low = middle + 1;
    }
    struct bt_block *block = low ? bt_block_at(bt, bt->places[low - 1].block) : NULL;
    return block && code < block->code + block->code_bytes ? block : NULL;
}

uint32_t bt_current_mode(struct bt_vcpu *v)
{
    const struct x86_cpu *cpu = &v->cpu;
    uint32_t mode = (uint32_t)cpu->cpl << MODE_CPL_SHIFT
                    | (uint32_t)bt_mmu_of(cpu) << MODE_MMU_SHIFT | (cpu->smm ? MODE_SMM : 0)
                    | v->control_mode;
    if (x86_code64(cpu)) {
        mode |= MODE_CODE64 | MODE_PROTECTED;
    } else {
        if (cpu->seg[SEG_CS].attr & SEG_ATTR_DB)
            mode |= MODE_CODE32;
        if (cpu->seg[SEG_SS].attr & SEG_ATTR_DB)
            mode |= MODE_STACK32;
        if (x86_protected(cpu))
            mode |= MODE_PROTECTED;
        if (x86_v86(cpu))
            mode |= MODE_V86;
        bool flat = cpu->seg[SEG_CS].base == 0 && cpu->seg[SEG_CS].limit == UINT32_MAX;
        static const uint8_t data[] = { SEG_SS, SEG_DS, SEG_ES };
        for (unsigned i = 0; i < 3; i++) {
            const struct x86_segment *seg = &cpu->seg[data[i]];
            flat &= seg->base == 0 && seg->limit == UINT32_MAX && !(seg->attr & SEG_ATTR_UNUSABLE)
                    && (seg->attr & (SEG_ATTR_CODE | SEG_ATTR_DOWN | SEG_ATTR_WRITABLE))
                           == SEG_ATTR_WRITABLE;
        }
        if (flat && (mode & MODE_CODE32))
            mode |= MODE_FLAT;
        /* Unusual code limits are checked before each instruction. */
        if (cpu->seg[SEG_CS].limit != UINT32_MAX && cpu->seg[SEG_CS].limit != 0xffff)
            mode |= MODE_ONE;
    }
    if (cpu->rflags & FLAG_TF || x86_breakpoints_enabled(cpu, X86_WATCH_EXEC))
        mode |= MODE_STEP;
    if (x86_breakpoints_enabled(cpu, X86_WATCH_READ))
        mode |= MODE_STEP | MODE_CHECKED;
    if (unlikely(cpu->rflags & FLAG_AC) && cpu->cpl == 3 && cpu->cr0 & CR0_AM)
        mode |= MODE_CHECKED;
    return mode;
}

/* Modes whose blocks may be in the jump cache together. */
static uint32_t jump_mode(uint32_t mode)
{
    return mode & ~(uint32_t)(MODE_MMU | MODE_SINGLY | MODE_ONE);
}

static void jump_cache_add(struct bt_vcpu *v, uint64_t rip, uint32_t mode, struct bt_block *block)
{
    enum bt_mmu mmu = (mode & MODE_MMU) >> MODE_MMU_SHIFT;
    if (v->jump_mode[mmu] != jump_mode(mode)) {
        bt_jump_cache_flush(v);
        v->jump_mode[mmu] = jump_mode(mode);
    }
    if (!(mode & (MODE_STEP | MODE_ONE | MODE_SINGLY)) && !block->cs_base && !bt_nochain())
        bt_jump_cache_add(v, mmu, rip, block->code);
}

/* The block at cpu.rip, made if need be. Raises fetch faults. */
static struct bt_block *block_at_rip(struct bt_vcpu *v, uint32_t mode)
{
    struct x86_cpu *cpu = &v->cpu;
    uint64_t cs_base = mode & MODE_CODE64 ? 0 : cpu->seg[SEG_CS].base;
    uint64_t linear = cpu->rip + cs_base;
    if (!(mode & MODE_CODE64)) {
        linear = (uint32_t)linear;
        if (unlikely(cpu->rip > cpu->seg[SEG_CS].limit))
            x86_raise_error(cpu, VECTOR_GP, 0);
        cs_base = linear - cpu->rip;
    }
    uint64_t gpa = bt_fetch_page(v, linear);
    struct bt_block *block = bt_block_find(v->bt, linear, cs_base, gpa, mode);
    while (unlikely(!block)) {
        x86_quiesce(cpu);
        block = bt_translate(v, linear, cs_base, gpa, mode);
        if (!block)
            bt_flush_code(v->bt, v);
    }
    if (unlikely(!(mode & MODE_CODE64)
                 && cpu->rip + block->guest_bytes - 1 > cpu->seg[SEG_CS].limit)) {
        if (mode & (MODE_ONE | MODE_STEP))
            x86_raise_error(cpu, VECTOR_GP, 0);
        return block_at_rip(v, mode | MODE_ONE);
    }
    return block;
}

/* ---- the passages
 * ------------------------------------------------------------------------------------------ */

/* Back to translated code, whatever happened to the vector registers meanwhile. */
static inline void resume_fpu(struct bt_vcpu *v)
{
    if (unlikely(!v->cpu.fpu_in_host))
        bt_fpu_from_memory(&v->cpu);
}

static inline void log_entry(struct bt_vcpu *v, const struct bt_block *block)
{
    if (x86_log_on(&v->cpu, LOG_EACH_BLOCK))
        bt_log_entry(v, block);
}

/* Gives up all host return addresses: the code they lead to may no longer be what the guest's stack
 * says. */
static void reset_returns(struct bt_vcpu *v, uint32_t mode, const struct bt_block *block)
{
    uint8_t **slot = (uint8_t **)v->return_base;
    v->return_sp = v->return_base;
    *slot = block->cs_base || (mode & (MODE_STEP | MODE_ONE)) || bt_nochain()
                ? v->bt->thunk.sentinel_plain
                : v->bt->thunk.sentinel[(mode & MODE_MMU) >> MODE_MMU_SHIFT];
}

void bt_unwind(struct x86_cpu *cpu)
{
    struct bt_vcpu *v = bt_of(cpu);
    v->fault_pending = true;
    bt_redispatch(v);
}

void bt_redispatch(struct bt_vcpu *v)
{
    __asm__ volatile("jmp *%0" : : "r"(v->bt->thunk.dispatch));
    __builtin_unreachable();
}

void *bt_singly(struct bt_vcpu *v)
{
    uint32_t mode = bt_current_mode(v) | MODE_SINGLY;
    uint64_t flushes = v->bt->flushes;
    struct bt_block *block = block_at_rip(v, mode);
    if (v->bt->flushes != flushes) { /* the way back is gone */
        v->singly = true;
        bt_redispatch(v);
    }
    log_entry(v, block);
    return block->code;
}

bool bt_helper_execute(struct bt_vcpu *v, uint32_t call_ref)
{
    struct x86_cpu *cpu = &v->cpu;
    const struct bt_call *call = bt_arena_at(v->bt, call_ref);
    bt_flags_in(v);
    cpu->rip = call->rip;
    v->remapped = false;
    v->code_dropped = false;
    enum x86_next next;
    do {
        next = x86_execute(cpu, &call->insn);
    } while (next == X86_AGAIN && __atomic_load_n(&v->go_on, __ATOMIC_RELAXED) && !v->remapped
             && !(call->mode & MODE_STEP));
    if (call->mode & MODE_STEP) {
        if (!(cpu->rflags & FLAG_TF) && call->enters_kernel)
            v->step_trap = false;
        if (cpu->int_shadow && call->loads_ss) /* traps wait for the next instruction, too */
            v->stepping = false;
        if (next == X86_AGAIN) /* its breakpoint has been reported */
            cpu->rflags |= FLAG_RF;
    }
    if (next != X86_NEXT || v->remapped || v->code_dropped || (call->mode & MODE_STEP)
        || !__atomic_load_n(&v->go_on, __ATOMIC_RELAXED))
        return false;
    bt_flags_out(v);
    resume_fpu(v);
    return true;
}

/* Where an exit leads, as far as no event comes between. */
void *bt_helper_link(struct bt_vcpu *v, uint32_t exit_ref)
{
    struct x86_cpu *cpu = &v->cpu;
    struct bt_exit *exit = bt_arena_at(v->bt, exit_ref);
    bt_flags_in(v);
    cpu->rip = exit->target_rip;
    uint32_t mode = bt_current_mode(v);
    if (mode != bt_exit_mode(exit) || !__atomic_load_n(&v->go_on, __ATOMIC_RELAXED))
        return bt_next(v);
    uint64_t flushes = v->bt->flushes;
    struct bt_block *block = block_at_rip(v, mode);
    if (v->bt->flushes != flushes) { /* the exit is gone, and what return addresses lead to */
        reset_returns(v, mode, block);
    } else if (exit->site && bt_block_at(v->bt, exit->target) != block && block->mode == mode) {
        x86_quiesce(cpu);
        bt_link(v->bt, exit, block);
    }
    log_entry(v, block);
    bt_flags_out(v);
    resume_fpu(v);
    return block->code;
}

void *bt_helper_request(struct bt_vcpu *v, uint32_t exit_ref)
{
    struct x86_cpu *cpu = &v->cpu;
    const struct bt_exit *exit = bt_arena_at(v->bt, exit_ref);
    const struct bt_block *block = bt_exit_owner(exit);
    bt_flags_in(v);
    /* A jump beyond the code limit faults where it is, running beyond it there. */
    if (unlikely(!(block->mode & MODE_CODE64) && exit->target_rip > cpu->seg[SEG_CS].limit
                 && exit->target_rip != block->rip - block->cs_base + block->guest_bytes
                 && block->mode & (MODE_ONE | MODE_STEP))) {
        cpu->rip = block->rip - block->cs_base;
        x86_raise_error(cpu, VECTOR_GP, 0);
    }
    cpu->rip = exit->target_rip;
    return bt_next(v);
}

/* A branch to an address that is not canonical faults itself, with nothing of it done. What a
 * return popped, or a call pushed, is put back. */
static void refuse_target(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    const uint8_t *site = v->bt->code_exec + v->branch_site;
    const struct bt_block *block = bt_block_of_code(v->bt, site);
    if (block) {
        struct bt_map map = bt_block_map(block, site);
        cpu->rip = block->rip + map.guest;
        cpu->regs[RSP] -= bt_branch_stack_move(v, block->gpa + map.guest, map.length);
    }
    x86_raise_error(cpu, VECTOR_GP, 0);
}

void *bt_helper_indirect(struct bt_vcpu *v, uint64_t target)
{
    struct x86_cpu *cpu = &v->cpu;
    bt_flags_in(v);
    cpu->rip = target;
    if (unlikely(x86_code64(cpu) && !x86_canonical(cpu, target)))
        refuse_target(v);
    uint32_t mode = bt_current_mode(v);
    if (!__atomic_load_n(&v->go_on, __ATOMIC_RELAXED) || (mode & MODE_STEP) || v->stepping)
        return bt_next(v);
    uint64_t flushes = v->bt->flushes;
    struct bt_block *block = block_at_rip(v, mode);
    if (v->bt->flushes != flushes)
        reset_returns(v, mode, block);
    /* A kick that found its request already taken may have left the mask empty. */
    v->jump_mask = JUMP_MASK;
    if (!__atomic_load_n(&v->go_on, __ATOMIC_SEQ_CST))
        return bt_next(v);
    jump_cache_add(v, target, mode, block);
    log_entry(v, block);
    bt_flags_out(v);
    resume_fpu(v);
    return block->code;
}

void *bt_helper_dead(struct bt_vcpu *v, uint8_t *return_address)
{
    struct bt_block *block = bt_block_of_code(v->bt, return_address - 1);
    bt_flags_in(v);
    v->cpu.rip = block->rip - block->cs_base;
    return bt_next(v);
}

/* A block whose last instruction crosses a page: is the second page still the same? */
void *bt_helper_crossing(struct bt_vcpu *v, uint32_t block_ref)
{
    struct x86_cpu *cpu = &v->cpu;
    const struct bt_block *block = bt_block_at(v->bt, block_ref);
    bt_flags_in(v);
    cpu->rip = block->rip - block->cs_base;
    uint64_t second = (block->rip + 4095) & ~4095ull;
    if (!(block->mode & MODE_CODE64))
        second = (uint32_t)second;
    uint64_t gpa = bt_fetch_page(v, second);
    if (gpa >> 12 != block->gpa2 >> 12) {
        x86_quiesce(cpu);
        bt_invalidate(v->bt, block->gpa, 1);
        return bt_next(v);
    }
    bt_flags_out(v);
    resume_fpu(v);
    return block->code;
}

/* ---- events between instructions
 * ---------------------------------------------------------------------------- */

static void *leave(struct bt_vcpu *v, enum vcpu_exit reason)
{
    v->exit = reason;
    v->return_sp = v->return_base;
    return v->bt->thunk.leave;
}

/* The apic is ordinary code; guest vector registers go to memory first. */
static bool deliver_interrupt(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    struct lapic *apic = v->vcpu->apic;
    x86_quiesce(cpu);
    bt_pv_eoi_collect(v->vcpu);
    if (!lapic_has_interrupt(apic)) {
        v->irq_wanted = 0;
        return false;
    }
    int vector = lapic_acknowledge(apic);
    v->irq_wanted = lapic_has_interrupt(apic);
    if (vector < 0)
        return false;
    bt_pv_eoi_offer(v, vector);
    cpu->halted = false;
    x86_deliver(cpu, vector, X86_EVENT_INTERRUPT, false, 0, cpu->rip);
    return true;
}

/* Takes note of what other threads asked for. True: leave to run.c for it. */
static bool take_requests(struct bt_vcpu *v)
{
    v->jump_mask = JUMP_MASK;
    __atomic_store_n(&v->go_on, 1, __ATOMIC_SEQ_CST);
    unsigned requests = atomic_load(&v->vcpu->requests);
    if (requests & VCPU_INTERRUPT) {
        atomic_fetch_and(&v->vcpu->requests, ~(unsigned)VCPU_INTERRUPT);
        v->irq_wanted = 1;
    }
    if (requests & VCPU_NMI) {
        atomic_fetch_and(&v->vcpu->requests, ~(unsigned)VCPU_NMI);
        v->cpu.nmi_pending = true;
    }
    if (requests & VCPU_SMI) {
        atomic_fetch_and(&v->vcpu->requests, ~(unsigned)VCPU_SMI);
        v->cpu.smi_pending = true;
    }
    return requests & ~(unsigned)(VCPU_INTERRUPT | VCPU_NMI | VCPU_SMI);
}

static enum x86_delivery deliver_pending(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    if (v->fault_pending) {
        v->fault_pending = false;
        v->stepping = false;
        if (unlikely(cpu->fault_vector == VECTOR_MF) && bt_ferr_error(v))
            return X86_DELIVERED;
        v->debug_hit = cpu->watch_hit = false; /* it is undone */
        return x86_deliver_fault(cpu);
    }
    if (v->stepping) {
        uint32_t dr6 = cpu->debug_pending | (v->step_trap ? DR6_BS : 0);
        v->stepping = false;
        cpu->debug_pending = 0;
        if (dr6)
            return x86_deliver_debug_trap(cpu, dr6);
    }
    return X86_DELIVERED;
}

static void enter_smm(struct bt_vcpu *v)
{
    x86_quiesce(&v->cpu);
    if (x86_log_on(&v->cpu, LOG_INT))
        x86_log_state(&v->cpu, "SMM: enter");
    x86_smm_enter(&v->cpu);
}

/* What comes between two instructions, the most important first. Returns MODE_ONE if something
 * waits for the end of the interrupt shadow. */
static uint32_t deliver_events(struct bt_vcpu *v, bool shadow)
{
    struct x86_cpu *cpu = &v->cpu;
    bool waits = false;
    if (unlikely(cpu->init_pending) && !cpu->smm) { /* it came in system management mode */
        cpu->init_pending = false;
        atomic_fetch_or(&v->vcpu->requests, VCPU_INIT);
        return 0;
    }
    if (unlikely(cpu->smi_pending) && !cpu->smm) {
        if (!shadow)
            enter_smm(v);
        waits = shadow;
    }
    if (unlikely(cpu->nmi_pending) && !cpu->nmi_blocked) {
        if (!shadow) {
            cpu->nmi_pending = false;
            cpu->nmi_blocked = true;
            cpu->halted = false;
            x86_deliver(cpu, VECTOR_NMI, X86_EVENT_NMI, false, 0, cpu->rip);
        }
        waits = shadow;
    }
    if (v->irq_wanted && (cpu->rflags & FLAG_IF)) {
        if (!shadow)
            deliver_interrupt(v);
        waits = shadow;
    }
    return waits ? MODE_ONE : 0;
}

void *bt_next(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    if (unlikely(v->ferr == FERR_MASKED))
        bt_ferr_end(v);
    if (unlikely(deliver_pending(v) == X86_DELIVERY_TRIPLE_FAULT))
        return leave(v, VCPU_EXIT_TRIPLE_FAULT);
    bool debugging = v->bt->debug.active;
    if (unlikely(debugging) && bt_debug_done(v))
        return leave(v, VCPU_EXIT_DEBUG);
    if (unlikely(!v->go_on || v->vcpu->requests) && take_requests(v))
        return leave(v, VCPU_EXIT_REQUEST);

    bool shadow = cpu->int_shadow;
    bool held = unlikely(debugging) && bt_debug_holds_interrupts(v);
    cpu->int_shadow = false;
    uint32_t one = held ? 0 : deliver_events(v, shadow);
    if (unlikely(cpu->halted || v->vcpu->requests & VCPU_INIT))
        return leave(v, VCPU_EXIT_REQUEST);

    if (unlikely(debugging)) {
        if (bt_debug_stops_here(v)) {
            cpu->int_shadow = shadow;
            return leave(v, VCPU_EXIT_DEBUG);
        }
        one |= bt_debug_mode(v);
    }
    if (unlikely(v->ferr == FERR_IGNORE) && bt_ferr_begin(v))
        one |= MODE_ONE;
    uint32_t mode = bt_current_mode(v) | one;
    if (unlikely(v->singly))
        mode |= MODE_SINGLY;
    v->singly = false;
    if (unlikely(mode & MODE_STEP)) {
        if (!(cpu->rflags & FLAG_RF)) {
            uint32_t hit =
                x86_breakpoints(cpu, cpu->rip + (mode & MODE_CODE64 ? 0 : cpu->seg[SEG_CS].base), 1,
                                X86_WATCH_EXEC);
            if (hit)
                x86_raise_debug(cpu, hit);
        }
        v->stepping = true;
        v->step_trap = cpu->rflags & FLAG_TF;
    }
    struct bt_block *block = block_at_rip(v, mode);
    cpu->rflags &= ~(uint64_t)FLAG_RF;
    jump_cache_add(v, cpu->rip, mode, block);
    reset_returns(v, mode, block);
    log_entry(v, block);
    bt_flags_out(v);
    resume_fpu(v);
    return block->code;
}

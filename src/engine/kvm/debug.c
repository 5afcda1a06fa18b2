/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Break- and watchpoints under KVM: debug registers as far as they go, int3 planted in guest memory
 * for the rest.
 *
 * A debug register does not care what is, or will be, at its address; there are four. Watchpoints
 * and hardware breakpoints need them; software breakpoints get what is left, and what the guest
 * does not use itself: with a register of ours in force KVM does not load the guest's, so those
 * that we leave free are loaded on the guest's behalf.
 *
 * int3 is in memory only while vCPUs run. When they have stopped it is taken out (where it still
 * is), so that everybody sees the guest's own bytes; when they go on, addresses are looked up again
 * in the page tables as they are then. (api.rst, KVM_SET_GUEST_DEBUG) */
#include <errno.h>
#include <string.h>

#include "engine/kvm/kvm.h"
#include "vm/vm.h"
#include "x86/inspect.h"

#define INT3 0xcc
#define DR7_ENABLE(n) (2u << (n)*2) /* global */
#define DR7_ENABLES(n) (3u << (n)*2)
#define DR7_KIND(n, value) ((uint64_t)(value) << (16 + (n)*4))
#define DR7_FIXED 0x400u
#define DR6_HITS 0xfu
#define DR6_STEP (1u << 14)

/* --- which point goes where ------------------------------------------------------------------- */

/* Aligned pieces of 1, 2, 4 or 8 bytes, as many as there is room for; false if that is not enough.
 */
static bool slots_add(struct kvm_debug *debug, const struct debug_point *point)
{
    uint64_t addr = point->addr, left = point->length;

    while (left) {
        unsigned size = 8;
        while (size > left || addr & (size - 1))
            size /= 2;
        if (debug->slot_count == KVM_DEBUG_SLOTS)
            return false;
        debug->slots[debug->slot_count] = *point;
        debug->slots[debug->slot_count].addr = addr;
        debug->slots[debug->slot_count++].length = size;
        addr += size;
        left -= size;
    }
    return true;
}

static bool is_soft(const struct debug_point *point)
{
    return point->kind == DEBUG_BREAK_SOFT;
}

/* Those points that only a debug register can do. */
static bool slots_fill(struct vm *vm, struct kvm_debug *debug, GError **error)
{
    debug->slot_count = 0;
    for (guint i = 0; i < vm->debug.points->len; i++) {
        const struct debug_point *point = &g_array_index(vm->debug.points, struct debug_point, i);
        if (point->kind == DEBUG_BREAK_REGION)
            return fail(error, "engine kvm cannot wait for code in a region, only engine bt can");
        if (!is_soft(point) && !slots_add(debug, point))
            return fail(error, "a CPU has four debug registers, and more are needed for hardware "
                               "breakpoints and watchpoints; software breakpoints need none");
    }
    return true;
}

bool kvm_debug_check(struct vm *vm, GError **error)
{
    struct kvm_debug plan = { 0 };

    return slots_fill(vm, &plan, error);
}

static bool guest_uses_debug_registers(struct vm *vm)
{
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        if (vm->vcpus[i]->cpu->dr[7] & 0xff)
            return true;
    }
    return false;
}

static bool table_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct vm *vm = opaque;
    uint64_t run;
    const uint8_t *host = address_space_host(vm->memory, gpa, false, &run);

    if (!host || run < size)
        return false;
    *entry = 0;
    memcpy(entry, host, size);
    return true;
}

/* The byte at a linear address, through the tables of the first vCPU that has it; NULL: it is
 * mapped nowhere, or is no RAM. */
static uint8_t *code_byte(struct vm *vm, uint64_t linear)
{
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        struct x86_mapping mapping;
        uint64_t run;
        if (!x86_inspect(vm->vcpus[i]->cpu, linear, table_read, vm, &mapping))
            continue;
        uint8_t *host = address_space_host(vm->memory, mapping.gpa, true, &run);
        if (host)
            return host;
    }
    return NULL;
}

/* Software breakpoints: into memory where there is some, if the guest wants the registers; else
 * into registers while there are any. */
static void soft_distribute(struct vm *vm, struct kvm_debug *debug)
{
    bool spare = !guest_uses_debug_registers(vm);

    g_array_set_size(debug->planned, 0);
    for (guint i = 0; i < vm->debug.points->len; i++) {
        const struct debug_point *point = &g_array_index(vm->debug.points, struct debug_point, i);
        if (!is_soft(point))
            continue;
        bool plantable = code_byte(vm, point->addr);
        if ((plantable && !spare) || !slots_add(debug, point))
            g_array_append_val(debug->planned, point->addr);
    }
}

bool kvm_debug_update(struct vm *vm, GError **error)
{
    struct kvm_debug *debug = &vm->engine_vm->debug;

    if (!slots_fill(vm, debug, error))
        return false;
    soft_distribute(vm, debug);
    for (unsigned i = 0; i < vm->config->cpus; i++)
        atomic_store(&kvm_vcpu_of(vm->vcpus[i])->debug_dirty, true);
    return true;
}

/* --- planting --------------------------------------------------------------------------------- */

static bool is_skipped(struct vm *vm, uint64_t addr)
{
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        const struct vcpu *vcpu = vm->vcpus[i];
        if (vcpu->debug.skip_break && x86_linear_rip(vcpu->cpu) == addr)
            return true;
    }
    return false;
}

void kvm_debug_goes(struct vm *vm)
{
    struct kvm_debug *debug = &vm->engine_vm->debug;

    for (guint i = 0; i < debug->planned->len; i++) {
        struct kvm_planted planted = { .addr = g_array_index(debug->planned, uint64_t, i) };
        planted.host = code_byte(vm, planted.addr);
        if (!planted.host || is_skipped(vm, planted.addr))
            continue;
        planted.original = *planted.host;
        *planted.host = INT3;
        g_array_append_val(debug->planted, planted);
    }
}

void kvm_debug_stopped(struct vm *vm)
{
    struct kvm_debug *debug = &vm->engine_vm->debug;

    /* In reverse: two addresses may lead to the same byte. */
    for (guint i = debug->planted->len; i-- > 0;) {
        const struct kvm_planted *planted = &g_array_index(debug->planted, struct kvm_planted, i);
        if (*planted->host == INT3)
            *planted->host = planted->original;
    }
    g_array_set_size(debug->planted, 0);
}

void kvm_debug_init(struct engine_vm *kvm)
{
    kvm->debug.planned = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    kvm->debug.planted = g_array_new(FALSE, FALSE, sizeof(struct kvm_planted));
    int flags = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
    kvm->debug.can_block_interrupts = flags > 0 && flags & KVM_GUESTDBG_BLOCKIRQ;
}

void kvm_debug_destroy(struct engine_vm *kvm)
{
    if (!kvm->debug.planned)
        return;
    g_array_unref(kvm->debug.planned);
    g_array_unref(kvm->debug.planted);
}

/* --- one vCPU --------------------------------------------------------------------------------- */

/* DR7's R/W and LEN fields. (Intel SDM vol. 3, 17.2.4) Reads alone cannot be watched. */
static unsigned slot_field(const struct debug_point *slot)
{
    static const unsigned lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

    switch (slot->kind) {
    case DEBUG_WATCH_WRITE:
        return lengths[slot->length] << 2 | 1;
    case DEBUG_WATCH_READ:
    case DEBUG_WATCH_ACCESS:
        return lengths[slot->length] << 2 | 3;
    default:
        return 0;
    }
}

/* Our points from the first register on that the guest does not use; `slot_of` says which is where.
 */
static uint64_t registers_fill(struct kvm_vcpu *state, const struct kvm_debug *debug,
                               const struct x86_cpu *cpu, uint64_t registers[4])
{
    uint64_t dr7 = DR7_FIXED;
    unsigned next = 0;
    bool taken[4] = { false };

    for (int pass = 0; pass < 2; pass++) { /* the guest's own registers last */
        for (unsigned n = 0; n < 4 && next < debug->slot_count; n++) {
            bool guests = cpu->dr[7] & DR7_ENABLES(n);
            if (taken[n] || guests != pass)
                continue;
            taken[n] = true;
            state->slot_of[n] = next;
            registers[n] = debug->slots[next].addr;
            dr7 |= DR7_ENABLE(n) | DR7_KIND(n, slot_field(&debug->slots[next]));
            next++;
        }
    }
    for (unsigned n = 0; n < 4; n++) {
        if (taken[n])
            continue;
        state->slot_of[n] = -1;
        registers[n] = cpu->dr[n];
        dr7 |= cpu->dr[7] & (DR7_ENABLES(n) | DR7_KIND(n, 0xf));
    }
    return dr7;
}

/* On the vCPU's thread, with its registers in the kernel. `inject`: KVM_GUESTDBG_INJECT_*. */
static void control_load(struct vcpu *vcpu, uint32_t inject)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    const struct engine_vm *kvm = vcpu->vm->engine_vm;
    struct kvm_guest_debug control = { .control = inject };
    uint64_t registers[4] = { 0 };

    bool steps = vcpu->debug.action == VCPU_STEP || state->debug_skips;

    if (kvm->debug.planned->len)
        control.control |= KVM_GUESTDBG_USE_SW_BP;
    if (steps)
        control.control |= KVM_GUESTDBG_SINGLESTEP;
    if (steps && !vcpu->debug.step_interrupts && kvm->debug.can_block_interrupts)
        control.control |= KVM_GUESTDBG_BLOCKIRQ;
    if (kvm->debug.slot_count && !state->debug_skips) {
        control.control |= KVM_GUESTDBG_USE_HW_BP;
        uint64_t dr7 = registers_fill(state, &kvm->debug, vcpu->cpu, registers);
        for (unsigned n = 0; n < 4; n++)
            control.arch.debugreg[n] = registers[n];
        control.arch.debugreg[7] = dr7;
    }
    if (control.control)
        control.control |= KVM_GUESTDBG_ENABLE;
    if (ioctl(state->fd, KVM_SET_GUEST_DEBUG, &control) < 0)
        kvm_warn_refused(vcpu->vm->engine_vm, KVM_FEATURE_GUEST_DEBUG, "to debug a guest");
}

/* A halted vCPU that is stepped goes on as after an interrupt. */
static void wake(struct vcpu *vcpu)
{
    struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };

    vcpu->cpu->halted = false;
    if (vcpu->vm->engine_vm->irqchip)
        ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_MP_STATE, &mp);
}

void kvm_debug_load(struct vcpu *vcpu)
{
    if (!atomic_exchange(&kvm_vcpu_of(vcpu)->debug_dirty, false))
        return;
    if (vcpu->debug.action == VCPU_STEP && vcpu->cpu->halted)
        wake(vcpu);
    kvm_vcpu_of(vcpu)->debug_skips = vcpu->debug.skip_break;
    vcpu->debug.skip_break = false;
    control_load(vcpu, 0);
}

/* The guest's own: it gets the exception as if nobody had looked. */
static bool inject(struct vcpu *vcpu, uint32_t exception, uint64_t dr6)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    struct kvm_debugregs registers;

    if (exception == VECTOR_DB && ioctl(state->fd, KVM_GET_DEBUGREGS, &registers) == 0) {
        registers.dr6 |= dr6 & (DR6_HITS | DR6_STEP);
        ioctl(state->fd, KVM_SET_DEBUGREGS, &registers);
    }
    control_load(vcpu, exception == VECTOR_DB ? KVM_GUESTDBG_INJECT_DB : KVM_GUESTDBG_INJECT_BP);
    return false;
}

static bool is_planted(const struct engine_vm *kvm, uint64_t addr)
{
    for (guint i = 0; i < kvm->debug.planted->len; i++) {
        if (g_array_index(kvm->debug.planted, struct kvm_planted, i).addr == addr)
            return true;
    }
    return false;
}

bool kvm_debug_is_int3(struct vcpu *vcpu)
{
    if (!vcpu->vm->engine_vm->debug.planted->len)
        return false;
    kvm_state_get(vcpu);
    uint64_t addr = x86_linear_rip(vcpu->cpu);
    vcpu->debug.stop = (struct debug_stop){ DEBUG_BREAK_SOFT, addr };
    return is_planted(vcpu->vm->engine_vm, addr);
}

/* True: the vCPU stops, vcpu->debug.stop says why. */
bool kvm_debug_exit(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    const struct engine_vm *kvm = vcpu->vm->engine_vm;
    const struct kvm_debug_exit_arch *arch = &state->run->debug.arch;
    struct debug_stop *stop = &vcpu->debug.stop;

    if (arch->exception == VECTOR_BP) {
        *stop = (struct debug_stop){ DEBUG_BREAK_SOFT, arch->pc };
        return is_planted(kvm, arch->pc) || inject(vcpu, VECTOR_BP, 0);
    }
    if (state->debug_skips) {
        state->debug_skips = false;
        control_load(vcpu, 0);
        if (vcpu->debug.action != VCPU_STEP)
            return false;
    }
    for (unsigned n = 0; n < 4 && kvm->debug.slot_count; n++) {
        if (!(arch->dr6 & 1u << n) || state->slot_of[n] < 0)
            continue;
        const struct debug_point *slot = &kvm->debug.slots[state->slot_of[n]];
        *stop = (struct debug_stop){ slot->kind, slot->addr };
        return true;
    }
    if (vcpu->debug.action != VCPU_STEP || arch->dr6 & DR6_HITS)
        return inject(vcpu, VECTOR_DB, arch->dr6);
    *stop = (struct debug_stop){ DEBUG_STEP, 0 };
    if (vcpu->debug.range_high) /* somebody will ask where it stands */
        kvm_state_get(vcpu);
    return true;
}

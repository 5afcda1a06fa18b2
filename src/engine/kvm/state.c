/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vCPU's architectural state between struct x86_cpu and the kernel.
 *
 * state_put() only marks the state as changed; the vCPU's own thread loads it before it next enters
 * the guest. state_get() of a state not yet loaded therefore has nothing to do. */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <x86intrin.h>

#include "vm/vm.h"
#include "x86/model.h"

/* What the guest's MSRs are called and where struct x86_cpu keeps them; SYSENTER_CS leads because
 * every KVM has it. (Intel SDM vol. 4; AMD APM vol. 2, appendix A) */
#define MSR_LIST(X) \
    X(0x174, sysenter_cs) \
    X(0x175, sysenter_esp) \
    X(0x176, sysenter_eip) \
    X(0xc0000081, star) \
    X(0xc0000082, lstar) \
    X(0xc0000083, cstar) \
    X(0xc0000084, sfmask) \
    X(0xc0000102, kernel_gs_base) \
    X(0xc0000103, tsc_aux) \
    X(0x3b, tsc_adjust) \
    X(0x277, pat) \
    X(0x1a0, misc_enable) \
    X(0x48, spec_ctrl) \
    X(0xda0, xss) \
    X(0xc0010015, hwcr) \
    X(0x2ff, mtrr_def_type) \
    X(0x250, mtrr_fixed[0]) \
    X(0x258, mtrr_fixed[1]) \
    X(0x259, mtrr_fixed[2]) \
    X(0x268, mtrr_fixed[3]) \
    X(0x269, mtrr_fixed[4]) \
    X(0x26a, mtrr_fixed[5]) \
    X(0x26b, mtrr_fixed[6]) \
    X(0x26c, mtrr_fixed[7]) \
    X(0x26d, mtrr_fixed[8]) \
    X(0x26e, mtrr_fixed[9]) \
    X(0x26f, mtrr_fixed[10]) \
    X(0x200, mtrr_base[0]) \
    X(0x201, mtrr_mask[0]) \
    X(0x202, mtrr_base[1]) \
    X(0x203, mtrr_mask[1]) \
    X(0x204, mtrr_base[2]) \
    X(0x205, mtrr_mask[2]) \
    X(0x206, mtrr_base[3]) \
    X(0x207, mtrr_mask[3]) \
    X(0x208, mtrr_base[4]) \
    X(0x209, mtrr_mask[4]) \
    X(0x20a, mtrr_base[5]) \
    X(0x20b, mtrr_mask[5]) \
    X(0x20c, mtrr_base[6]) \
    X(0x20d, mtrr_mask[6]) \
    X(0x20e, mtrr_base[7]) \
    X(0x20f, mtrr_mask[7])

struct msr_field {
    uint32_t index;
    size_t offset;
};

#define X(index, field) { index, offsetof(struct x86_cpu, field) },
static const struct msr_field msr_fields[] = { MSR_LIST(X) };
#undef X
#define MSR_COUNT G_N_ELEMENTS(msr_fields)
static_assert(MSR_COUNT <= 64, "engine_vm.msrs_usable has a bit for each");
static_assert(X86_MTRR_COUNT == 8, "the list names each");

#define MSR_TSC 0x10

struct msr_batch {
    struct kvm_msrs head;
    struct kvm_msr_entry entries[MSR_COUNT];
};

static uint64_t *msr_value(struct x86_cpu *cpu, unsigned field)
{
    return (uint64_t *)((char *)cpu + msr_fields[field].offset);
}

/* The kernel stops at the first register it refuses: that one is dropped for the whole machine and
 * the rest is tried again, so the loop ends after at most MSR_COUNT rounds. Nothing is lost, and so
 * nothing said, if the register was zero: the host or the CPU model does not have it. */
static void msr_drop(struct engine_vm *kvm, unsigned field, uint64_t value)
{
    pthread_mutex_lock(&kvm->msr_lock);
    bool first = kvm->msrs_usable & (1ull << field);
    kvm->msrs_usable &= ~(1ull << field);
    pthread_mutex_unlock(&kvm->msr_lock);
    if (first && value)
        warn("this host's KVM refuses MSR 0x%x = 0x%" G_GINT64_MODIFIER "x; going on without it",
             msr_fields[field].index, value);
}

static void msrs_exchange(struct vcpu *vcpu, bool set)
{
    struct engine_vm *kvm = vcpu->vm->engine_vm;
    int fd = kvm_vcpu_of(vcpu)->fd;
    struct msr_batch batch;
    uint8_t field_of[MSR_COUNT];

    for (unsigned round = 0; round < MSR_COUNT; round++) {
        pthread_mutex_lock(&kvm->msr_lock);
        uint64_t usable = kvm->msrs_usable;
        pthread_mutex_unlock(&kvm->msr_lock);
        unsigned n = 0;
        for (unsigned i = 0; i < MSR_COUNT; i++) {
            if (!(usable & (1ull << i)))
                continue;
            field_of[n] = i;
            batch.entries[n++] = (struct kvm_msr_entry){
                .index = msr_fields[i].index,
                .data = set ? *msr_value(vcpu->cpu, i) : 0,
            };
        }
        if (!n)
            return;
        batch.head = (struct kvm_msrs){ .nmsrs = n };
        int done = ioctl(fd, set ? KVM_SET_MSRS : KVM_GET_MSRS, &batch);
        if (done >= 0 && done < (int)n) {
            msr_drop(kvm, field_of[done], batch.entries[done].data);
            continue;
        }
        for (int i = 0; !set && i < done; i++)
            *msr_value(vcpu->cpu, field_of[i]) = batch.entries[i].data;
        return;
    }
}

static bool tsc_exchange(int fd, bool set, uint64_t *offset)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry;
    } one = { .head.nmsrs = 1, .entry = { .index = MSR_TSC, .data = __rdtsc() + *offset } };
    if (ioctl(fd, set ? KVM_SET_MSRS : KVM_GET_MSRS, &one) != 1)
        return false;
    if (!set)
        *offset = one.entry.data - __rdtsc();
    return true;
}

static void segment_to_kvm(const struct x86_segment *seg, struct kvm_segment *out)
{
    *out = (struct kvm_segment){
        .base = seg->base,
        .limit = seg->limit,
        .selector = seg->selector,
        .type = seg->attr & SEG_ATTR_TYPE,
        .s = !!(seg->attr & SEG_ATTR_S),
        .dpl = (seg->attr >> SEG_ATTR_DPL_SHIFT) & 3,
        .present = !!(seg->attr & SEG_ATTR_P),
        .avl = !!(seg->attr & SEG_ATTR_AVL),
        .l = !!(seg->attr & SEG_ATTR_L),
        .db = !!(seg->attr & SEG_ATTR_DB),
        .g = !!(seg->attr & SEG_ATTR_G),
        .unusable = !!(seg->attr & SEG_ATTR_UNUSABLE),
    };
}

static void segment_from_kvm(const struct kvm_segment *seg, struct x86_segment *out)
{
    *out = (struct x86_segment){
        .base = seg->base,
        .limit = seg->limit,
        .selector = seg->selector,
        .attr = (seg->type & SEG_ATTR_TYPE) | (seg->s ? SEG_ATTR_S : 0)
                | (uint32_t)(seg->dpl & 3) << SEG_ATTR_DPL_SHIFT | (seg->present ? SEG_ATTR_P : 0)
                | (seg->avl ? SEG_ATTR_AVL : 0) | (seg->l ? SEG_ATTR_L : 0)
                | (seg->db ? SEG_ATTR_DB : 0) | (seg->g ? SEG_ATTR_G : 0)
                | (seg->unusable ? SEG_ATTR_UNUSABLE : 0),
    };
}

static bool sregs_load(struct vcpu *vcpu, GError **error)
{
    const struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_sregs sregs = {
        .gdt = { .base = cpu->gdt.base, .limit = cpu->gdt.limit },
        .idt = { .base = cpu->idt.base, .limit = cpu->idt.limit },
        .cr0 = cpu->cr0,
        .cr2 = cpu->cr2,
        .cr3 = cpu->cr3,
        .cr4 = cpu->cr4,
        .cr8 = cpu->cr8,
        .efer = cpu->efer,
        .apic_base = cpu->apic_base,
    };
    segment_to_kvm(&cpu->seg[SEG_CS], &sregs.cs);
    segment_to_kvm(&cpu->seg[SEG_DS], &sregs.ds);
    segment_to_kvm(&cpu->seg[SEG_ES], &sregs.es);
    segment_to_kvm(&cpu->seg[SEG_FS], &sregs.fs);
    segment_to_kvm(&cpu->seg[SEG_GS], &sregs.gs);
    segment_to_kvm(&cpu->seg[SEG_SS], &sregs.ss);
    segment_to_kvm(&cpu->ldt, &sregs.ldt);
    segment_to_kvm(&cpu->tr, &sregs.tr);
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_SREGS, &sregs) < 0)
        return fail_errno(error, "KVM refuses the system registers of CPU %u", vcpu->index);
    return true;
}

static void sregs_fetch(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_sregs sregs;
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_SREGS, &sregs) < 0)
        return;
    segment_from_kvm(&sregs.cs, &cpu->seg[SEG_CS]);
    segment_from_kvm(&sregs.ds, &cpu->seg[SEG_DS]);
    segment_from_kvm(&sregs.es, &cpu->seg[SEG_ES]);
    segment_from_kvm(&sregs.fs, &cpu->seg[SEG_FS]);
    segment_from_kvm(&sregs.gs, &cpu->seg[SEG_GS]);
    segment_from_kvm(&sregs.ss, &cpu->seg[SEG_SS]);
    segment_from_kvm(&sregs.ldt, &cpu->ldt);
    segment_from_kvm(&sregs.tr, &cpu->tr);
    cpu->gdt = (struct x86_table){ .base = sregs.gdt.base, .limit = sregs.gdt.limit };
    cpu->idt = (struct x86_table){ .base = sregs.idt.base, .limit = sregs.idt.limit };
    cpu->cr0 = sregs.cr0;
    cpu->cr2 = sregs.cr2;
    cpu->cr3 = sregs.cr3;
    cpu->cr4 = sregs.cr4;
    cpu->cr8 = sregs.cr8;
    cpu->efer = sregs.efer;
    cpu->apic_base = sregs.apic_base;
    if (!x86_protected(cpu))
        cpu->cpl = 0;
    else
        cpu->cpl = x86_v86(cpu) ? 3 : (cpu->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT) & 3;
}

/* KVM_GET_REGS' order is not the encoding's. */
#define GENERAL_REGISTERS(X) \
    X(rax, RAX) \
    X(rcx, RCX) \
    X(rdx, RDX) \
    X(rbx, RBX) \
    X(rsp, RSP) \
    X(rbp, RBP) \
    X(rsi, RSI) \
    X(rdi, RDI) \
    X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)

static bool regs_load(struct vcpu *vcpu, GError **error)
{
    const struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_regs regs = { .rip = cpu->rip, .rflags = cpu->rflags | FLAG_FIXED };
#define X(field, reg) regs.field = cpu->regs[reg];
    GENERAL_REGISTERS(X)
#undef X
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_REGS, &regs) < 0)
        return fail_errno(error, "KVM refuses the registers of CPU %u", vcpu->index);
    return true;
}

static void regs_fetch(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_regs regs;
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_REGS, &regs) < 0)
        return;
#define X(field, reg) cpu->regs[reg] = regs.field;
    GENERAL_REGISTERS(X)
#undef X
    cpu->rip = regs.rip;
    cpu->rflags = regs.rflags;
}

/* XSTATE_BV in the XSAVE header. (Intel SDM vol. 1, 13.4.2) */
#define XSTATE_BV_OFFSET 512

static void xsave_load(struct vcpu *vcpu)
{
    struct engine_vm *kvm = vcpu->vm->engine_vm;
    int fd = kvm_vcpu_of(vcpu)->fd;
    struct kvm_xsave xsave;
    static_assert(sizeof(xsave) == sizeof(vcpu->cpu->xsave), "both are the standard format");
    memcpy(&xsave, vcpu->cpu->xsave, sizeof(xsave));
    uint64_t present;
    memcpy(&present, (char *)&xsave + XSTATE_BV_OFFSET, sizeof(present));
    present &= kvm->xcr0_supported;
    memcpy((char *)&xsave + XSTATE_BV_OFFSET, &present, sizeof(present));
    if (ioctl(fd, KVM_SET_XSAVE, &xsave) < 0)
        kvm_warn_refused(kvm, KVM_FEATURE_XSAVE, "to load x87 and vector registers");

    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = vcpu->cpu->xcr0 } };
    if (x86_has(vcpu->cpu, HAS_XSAVE) && ioctl(fd, KVM_SET_XCRS, &xcrs) < 0)
        kvm_warn_refused(kvm, KVM_FEATURE_XCRS, "to set XCR0");
}

static void xsave_fetch(struct vcpu *vcpu)
{
    int fd = kvm_vcpu_of(vcpu)->fd;
    /* The kernel writes more than 4 KiB only after permission for AMX was asked for, which no one
     * here does. */
    ioctl(fd, KVM_GET_XSAVE, vcpu->cpu->xsave);
    struct kvm_xcrs xcrs = { 0 };
    if (ioctl(fd, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs)
        vcpu->cpu->xcr0 = xcrs.xcrs[0].value;
}

static void debugregs_load(struct vcpu *vcpu)
{
    const struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_debugregs debug = {
        .db = { cpu->dr[0], cpu->dr[1], cpu->dr[2], cpu->dr[3] },
        .dr6 = cpu->dr[6],
        .dr7 = cpu->dr[7],
    };
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_DEBUGREGS, &debug) < 0)
        kvm_warn_refused(vcpu->vm->engine_vm, KVM_FEATURE_DEBUGREGS, "to load debug registers");
}

static void debugregs_fetch(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_debugregs debug;
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_DEBUGREGS, &debug) < 0)
        return;
    memcpy(cpu->dr, debug.db, sizeof(debug.db));
    cpu->dr[6] = debug.dr6;
    cpu->dr[7] = debug.dr7;
}

static void events_load(struct vcpu *vcpu)
{
    const struct x86_cpu *cpu = vcpu->cpu;
    struct engine_vm *kvm = vcpu->vm->engine_vm;
    struct kvm_vcpu_events events = {
        .nmi = { .pending = cpu->nmi_pending, .masked = cpu->nmi_blocked },
        .interrupt.shadow = cpu->int_shadow ? KVM_X86_SHADOW_INT_STI : 0,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_VCPU_EVENTS, &events) < 0)
        kvm_warn_refused(kvm, KVM_FEATURE_EVENTS, "to load pending events");
    if (!kvm->irqchip)
        return; /* user space keeps halted and waiting CPUs itself */
    struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
    if (cpu->wait_for_sipi)
        mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
    else if (cpu->halted)
        mp.mp_state = KVM_MP_STATE_HALTED;
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_SET_MP_STATE, &mp) < 0)
        kvm_warn_refused(kvm, KVM_FEATURE_MP_STATE, "to set the run state of a CPU");
}

static void events_fetch(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = vcpu->cpu;
    struct kvm_vcpu_events events;
    if (ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_VCPU_EVENTS, &events) == 0) {
        cpu->nmi_pending = events.nmi.pending;
        cpu->nmi_blocked = events.nmi.masked;
        cpu->int_shadow = events.interrupt.shadow;
    }
    struct kvm_mp_state mp;
    if (vcpu->vm->engine_vm->irqchip && ioctl(kvm_vcpu_of(vcpu)->fd, KVM_GET_MP_STATE, &mp) == 0) {
        cpu->halted = mp.mp_state == KVM_MP_STATE_HALTED;
        cpu->wait_for_sipi =
            mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    }
}

/* After a reset the kernel must no longer write clocks, stolen time and the like to where the guest
 * before it wanted them. Registers of features the guest does not have are refused, which is as
 * well. (Documentation/virt/kvm/x86/msr.rst) */
static void paravirtual_off(int fd)
{
    static const struct {
        uint32_t index;
        uint64_t value;
    } msrs[] = {
        { 0x11, 0 },       /* wall clock, old number */
        { 0x12, 0 },       /* system time, old number */
        { 0x4b564d00, 0 }, /* wall clock */
        { 0x4b564d01, 0 }, /* system time */
        { 0x4b564d02, 0 }, /* asynchronous page faults */
        { 0x4b564d03, 0 }, /* steal time */
        { 0x4b564d04, 0 }, /* end of interrupt */
        { 0x4b564d05, 1 }, /* the host may poll */
        { 0x4b564d06, 0 }, /* asynchronous page faults by interrupt */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(msrs); i++) {
        struct {
            struct kvm_msrs head;
            struct kvm_msr_entry entry;
        } one = { .head.nmsrs = 1, .entry = { .index = msrs[i].index, .data = msrs[i].value } };
        ioctl(fd, KVM_SET_MSRS, &one);
    }
}

bool kvm_state_load(struct vcpu *vcpu, GError **error)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    if (!sregs_load(vcpu, error) || !regs_load(vcpu, error))
        return false;
    xsave_load(vcpu);
    debugregs_load(vcpu);
    msrs_exchange(vcpu, true);
    /* Writing an unchanged TSC would only cost precision between CPUs. */
    if (vcpu->cpu->tsc_offset != state->tsc_offset
        && tsc_exchange(state->fd, true, &vcpu->cpu->tsc_offset))
        state->tsc_offset = vcpu->cpu->tsc_offset;
    if (atomic_exchange(&state->power_on, false)) {
        paravirtual_off(state->fd);
        kvm_lapic_reset(vcpu);
    }
    events_load(vcpu);
    if (vcpu->apic)
        kvm_apic_state_loaded(vcpu);
    return true;
}

void kvm_state_put(struct vcpu *vcpu)
{
    atomic_store(&kvm_vcpu_of(vcpu)->state_dirty, true);
}

void kvm_state_get(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    if (atomic_load(&state->state_dirty))
        return;
    regs_fetch(vcpu);
    sregs_fetch(vcpu);
    xsave_fetch(vcpu);
    debugregs_fetch(vcpu);
    msrs_exchange(vcpu, false);
    if (tsc_exchange(state->fd, false, &vcpu->cpu->tsc_offset))
        state->tsc_offset = vcpu->cpu->tsc_offset;
    events_fetch(vcpu);
    /* A guest clock that stood still shall not look like a hung CPU; refused without such a
     * clock. */
    ioctl(state->fd, KVM_KVMCLOCK_CTRL, 0);
}

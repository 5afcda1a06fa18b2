/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the KVM engine; the rest of Yado sees only `engine_kvm`.
 *
 *   kvm.c      the machine: probe, creation, capabilities, interrupt lines
 *   slots.c    guest memory, kept equal to the machine's address space
 *   vcpu.c     one virtual CPU: run loop, exits, kicks
 *   state.c    struct x86_cpu to and from the kernel's structures
 *   cpuid.c    the CPU model cut down to what this kernel offers
 *   irqchip.c  interrupt controllers inside the kernel
 *   apic.c     interrupts where they are outside
 *   debug.c    break- and watchpoints
 *
 * Rule for capabilities: ask, never compare versions. What the host refuses is dropped with one
 * warning, unless no guest could run without it. */
#ifndef YADO_ENGINE_KVM_KVM_H
#define YADO_ENGINE_KVM_KVM_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "engine/engine.h"
#include "memory/memory.h"

struct kvm_slot {
    uint64_t base, size;
    uint8_t *host; /* NULL: the slot is free */
    bool read_only;
};

#define KVM_DEBUG_SLOTS 4
struct kvm_planted {
    uint64_t addr; /* linear */
    uint8_t *host, original;
};

/* See debug.c. [main] while all vCPUs are stopped; constant while they run. */
struct kvm_debug {
    struct debug_point slots[KVM_DEBUG_SLOTS]; /* in debug registers, of every vCPU */
    unsigned slot_count;
    GArray *planned; /* uint64_t, linear addresses to plant int3 at */
    GArray *planted; /* struct kvm_planted, those in memory now */
    bool can_block_interrupts;
};

struct engine_vm {
    int system_fd, fd;
    size_t run_bytes; /* size of one vCPU's shared page group */
    bool irqchip;     /* 8259, I/O APIC, local APICs and 8254 are in the kernel */
    GArray *slots;    /* [memory's topology] struct kvm_slot, indexed by slot number */
    unsigned slots_max;
    bool read_only_slots; /* without them guest ROM is writable */
    GArray *wanted;       /* [memory's topology] scratch of slots.c */
    struct x86_model *model;
    struct kvm_cpuid2 *supported; /* what this kernel can show a guest */
    uint64_t xcr0_supported;

    /* [msr_lock] Registers of state.c's table this host has; bits go, never come. */
    pthread_mutex_t msr_lock;
    uint64_t msrs_usable;
    struct kvm_debug debug;
    atomic_uint warned; /* enum kvm_feature bits already reported as refused */
};

/* Optional parts of vCPU state; each is warned about once when refused. */
enum kvm_feature {
    KVM_FEATURE_XSAVE = 1u << 0,
    KVM_FEATURE_XCRS = 1u << 1,
    KVM_FEATURE_DEBUGREGS = 1u << 2,
    KVM_FEATURE_EVENTS = 1u << 3,
    KVM_FEATURE_MP_STATE = 1u << 4,
    KVM_FEATURE_LAPIC = 1u << 5,
    KVM_FEATURE_GUEST_DEBUG = 1u << 6,
};

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
    pthread_t thread;        /* [const] after vcpu_init */
    atomic_bool in_kernel;   /* a kick needs a signal */
    atomic_bool state_dirty; /* vcpu->cpu was changed: load it before running */
    atomic_bool power_on;    /* with the next load, what struct x86_cpu does not hold is reset */
    bool io_unfinished;      /* the last exit's instruction completes on the next entry */
    atomic_bool debug_dirty; /* what a debugger wants of it has changed */
    bool debug_skips;        /* one step without breakpoints, to leave the one it stands at */
    int8_t slot_of[4];       /* index into kvm_debug.slots, or -1: the guest's */
    uint64_t tsc_offset;     /* as last exchanged with the kernel */
};

static inline struct kvm_vcpu *kvm_vcpu_of(struct vcpu *vcpu)
{
    return vcpu->engine;
}

/* Warns that the host refuses `what`, once per machine and feature. */
void kvm_warn_refused(struct engine_vm *kvm, enum kvm_feature feature, const char *what);

bool kvm_has(const struct engine_vm *kvm, int capability);

/* slots.c. Main loop. kvm_slots_listen(): from now on, follow changes of the memory's topology. */
bool kvm_slots_init(struct vm *vm, GError **error);
void kvm_slots_listen(struct vm *vm);
void kvm_slots_free(struct engine_vm *kvm);

/* irqchip.c. A machine in which kvm_irqchip_create() has failed may have half of the controllers
 * and cannot be used any more. */
bool kvm_irqchip_offered(const struct engine_vm *kvm);
bool kvm_irqchip_create(struct engine_vm *kvm, GError **error);
void kvm_irqchip_set(struct vm *vm, unsigned gsi, bool level);
void kvm_irqchip_msi(struct vm *vm, uint64_t address, uint32_t data);
void kvm_irqchip_reset(struct vm *vm);
void kvm_lapic_reset(struct vcpu *vcpu);

/* apic.c, on the vCPU's thread; only if the kernel has no controllers. kvm_apic_take_requests() is
 * false when it has slept: look again whether to run. */
void kvm_apic_create(struct vcpu *vcpu);
void kvm_apic_free(struct vcpu *vcpu);
void kvm_apic_state_loaded(struct vcpu *vcpu);
bool kvm_apic_take_requests(struct vcpu *vcpu);
void kvm_apic_before_entry(struct vcpu *vcpu);
void kvm_apic_after_exit(struct vcpu *vcpu);

/* debug.c. Main loop, all vCPUs stopped, or just about to go on: */
void kvm_debug_init(struct engine_vm *kvm);
void kvm_debug_destroy(struct engine_vm *kvm);
bool kvm_debug_update(struct vm *vm, GError **error);
bool kvm_debug_check(struct vm *vm, GError **error);
void kvm_debug_goes(struct vm *vm);
void kvm_debug_stopped(struct vm *vm);
/* On the vCPU's thread: before it enters the guest, and after KVM_EXIT_DEBUG; true: it stops. */
void kvm_debug_load(struct vcpu *vcpu);
bool kvm_debug_exit(struct vcpu *vcpu);
/* After an instruction KVM could not emulate, as some hosts do with int3: was it one of ours? */
bool kvm_debug_is_int3(struct vcpu *vcpu);

/* cpuid.c. kvm_cpuid_query(): asks what there is and makes the machine's model of it, which needs
 * the choice of interrupt controllers made. */
bool kvm_cpuid_query(struct vm *vm, GError **error);
bool kvm_cpuid_load(struct vcpu *vcpu, GError **error);

/* vcpu.c */
bool kvm_vcpu_init(struct vcpu *vcpu, GError **error);
void kvm_vcpu_destroy(struct vcpu *vcpu);
enum vcpu_exit kvm_vcpu_run(struct vcpu *vcpu);
void kvm_vcpu_kick(struct vcpu *vcpu);

/* state.c. kvm_state_load(): vcpu->cpu to the kernel, on the vCPU's thread; false sets error. */
void kvm_state_get(struct vcpu *vcpu);
void kvm_state_put(struct vcpu *vcpu);
bool kvm_state_load(struct vcpu *vcpu, GError **error);

#endif

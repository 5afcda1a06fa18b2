/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts where the kernel has no controllers: the local APIC of src/hw/intc chooses, and the
 * vCPU's thread hands its choice to KVM, one interrupt at a time, when the guest can take it.
 * Halting and waiting for SIPI happen here too. (api.rst, KVM_INTERRUPT and
 * "request_interrupt_window") */
#include "engine/kvm/kvm.h"

#include "hw/intc/apic.h"
#include "vm/vm.h"

#define MSR_APIC_BASE 0x1b

void kvm_apic_create(struct vcpu *vcpu)
{
    if (!vcpu->vm->engine_vm->irqchip)
        vcpu->apic = lapic_create(vcpu->vm, vcpu);
}

void kvm_apic_free(struct vcpu *vcpu)
{
    lapic_free(vcpu->apic);
    vcpu->apic = NULL;
}

/* What happened to the state KVM reports with each exit is unknown after a load: no interrupt goes
 * in before KVM has said that the guest is ready. */
void kvm_apic_state_loaded(struct vcpu *vcpu)
{
    struct kvm_run *run = kvm_vcpu_of(vcpu)->run;
    run->ready_for_interrupt_injection = 0;
    run->if_flag = !!(vcpu->cpu->rflags & FLAG_IF);
    run->apic_base = vcpu->cpu->apic_base;
}

static void take_init(struct vcpu *vcpu)
{
    kvm_state_get(vcpu);
    x86_cpu_reset(vcpu->cpu, true);
    lapic_reset(vcpu->apic, true);
    vcpu->cpu->halted = false;
    vcpu->cpu->wait_for_sipi = vcpu->index != 0;
    kvm_state_put(vcpu);
}

/* Real mode at vector * 4 KiB. (Intel SDM vol. 3, 9.4.4) */
static void take_sipi(struct vcpu *vcpu)
{
    struct x86_cpu *cpu = vcpu->cpu;
    uint8_t vector = atomic_load(&vcpu->sipi_vector);
    if (!cpu->wait_for_sipi)
        return;
    cpu->wait_for_sipi = false;
    cpu->seg[SEG_CS].selector = vector << 8;
    cpu->seg[SEG_CS].base = (uint64_t)vector << 12;
    cpu->rip = 0;
    kvm_state_put(vcpu);
}

static bool must_sleep(struct vcpu *vcpu)
{
    const struct x86_cpu *cpu = vcpu->cpu;
    if (cpu->wait_for_sipi)
        return true;
    return cpu->halted && !(kvm_vcpu_of(vcpu)->run->if_flag && lapic_has_interrupt(vcpu->apic));
}

/* Every request wakes: whether it is a reason to run is decided again. */
static void sleep_for_request(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->sleep_lock);
    while (!atomic_load(&vcpu->requests))
        pthread_cond_wait(&vcpu->wakeup, &vcpu->sleep_lock);
    pthread_mutex_unlock(&vcpu->sleep_lock);
}

bool kvm_apic_take_requests(struct vcpu *vcpu)
{
    unsigned all = VCPU_INTERRUPT | VCPU_NMI | VCPU_INIT | VCPU_SIPI | VCPU_ENGINE;
    unsigned taken = atomic_fetch_and(&vcpu->requests, ~all);
    if (taken & VCPU_INIT)
        take_init(vcpu);
    if (taken & VCPU_SIPI)
        take_sipi(vcpu);
    if (taken & VCPU_NMI) {
        vcpu->cpu->halted = false;
        ioctl(kvm_vcpu_of(vcpu)->fd, KVM_NMI);
    }
    if (must_sleep(vcpu)) {
        sleep_for_request(vcpu);
        return false;
    }
    vcpu->cpu->halted = false;
    return true;
}

void kvm_apic_before_entry(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    struct kvm_run *run = state->run;
    if (run->ready_for_interrupt_injection && lapic_has_interrupt(vcpu->apic)) {
        int vector = lapic_acknowledge(vcpu->apic);
        struct kvm_interrupt interrupt = { .irq = vector };
        if (vector >= 0)
            ioctl(state->fd, KVM_INTERRUPT, &interrupt);
    }
    run->request_interrupt_window = lapic_has_interrupt(vcpu->apic);
    run->cr8 = lapic_tpr_get(vcpu->apic) >> 4;
}

void kvm_apic_after_exit(struct vcpu *vcpu)
{
    const struct kvm_run *run = kvm_vcpu_of(vcpu)->run;
    uint64_t base;
    if (run->cr8 != lapic_tpr_get(vcpu->apic) >> 4)
        lapic_tpr_set(vcpu->apic, run->cr8 << 4);
    if (lapic_msr_read(vcpu->apic, MSR_APIC_BASE, &base) && base != run->apic_base)
        lapic_msr_write(vcpu->apic, MSR_APIC_BASE, run->apic_base);
}

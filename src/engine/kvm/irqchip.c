/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt controllers and the interval timer inside the kernel. */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <string.h>

#include "vm/vm.h"

#define GSI_COUNT 24
#define PIC_PINS 8

/* ISA interrupts reach both the 8259 pair and the I/O APIC. The timer, IRQ 0, is wired to pin 2 of
 * the latter, as the MADT says; the 8259's IRQ 2 is the cascade and reaches nothing. */
static bool routes_set(const struct engine_vm *kvm)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entries[2 * GSI_COUNT];
    } table = { 0 };
    unsigned n = 0;
    for (unsigned gsi = 0; gsi < 2 * PIC_PINS; gsi++) {
        if (gsi == 2)
            continue;
        table.entries[n++] = (struct kvm_irq_routing_entry){
            .gsi = gsi,
            .type = KVM_IRQ_ROUTING_IRQCHIP,
            .u.irqchip = { .irqchip =
                               gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                           .pin = gsi % PIC_PINS },
        };
    }
    for (unsigned gsi = 0; gsi < GSI_COUNT; gsi++) {
        if (gsi == 2)
            continue;
        table.entries[n++] = (struct kvm_irq_routing_entry){
            .gsi = gsi,
            .type = KVM_IRQ_ROUTING_IRQCHIP,
            .u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi ? gsi : 2 },
        };
    }
    table.head.nr = n;
    return ioctl(kvm->fd, KVM_SET_GSI_ROUTING, &table) == 0;
}

bool kvm_irqchip_offered(const struct engine_vm *kvm)
{
    return kvm_has(kvm, KVM_CAP_IRQCHIP) && kvm_has(kvm, KVM_CAP_PIT2)
           && kvm_has(kvm, KVM_CAP_IRQ_ROUTING) && kvm_has(kvm, KVM_CAP_SIGNAL_MSI);
}

bool kvm_irqchip_create(struct engine_vm *kvm, GError **error)
{
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    if (ioctl(kvm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return fail_errno(error, "KVM refuses to create them");
    if (ioctl(kvm->fd, KVM_CREATE_PIT2, &pit) < 0)
        return fail_errno(error, "KVM refuses their timer");
    if (!routes_set(kvm))
        return fail_errno(error, "KVM refuses their wiring");
    kvm->irqchip = true;
    return true;
}

void kvm_irqchip_set(struct vm *vm, unsigned gsi, bool level)
{
    struct kvm_irq_level line = { .irq = gsi, .level = level };
    ioctl(vm->engine_vm->fd, KVM_IRQ_LINE, &line);
}

void kvm_irqchip_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_msi message = {
        .address_lo = address,
        .address_hi = address >> 32,
        .data = data,
    };
    ioctl(vm->engine_vm->fd, KVM_SIGNAL_MSI, &message);
}

/* Local APIC registers, by offset in its page. (Intel SDM vol. 3, table 11-1 and 11.4.7.1) */
#define APIC_ID 0x20
#define APIC_VERSION 0x30
#define APIC_DFR 0xe0
#define APIC_SPIV 0xf0
#define APIC_LVT_FIRST 0x320
#define APIC_LVT_LAST 0x370
#define APIC_LVT_CMCI 0x2f0
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_MASKED 0x10000u
#define APIC_LVT_EXTINT 0x700u

static uint32_t *lapic_register(struct kvm_lapic_state *lapic, unsigned offset)
{
    return (uint32_t *)(lapic->regs + offset);
}

/* The boot processor's LINT0 is left passing the 8259's interrupts through, the state in which
 * firmware hands a machine over and without which the kernel's 8259 could reach no CPU. */
void kvm_lapic_reset(struct vcpu *vcpu)
{
    struct kvm_vcpu *state = kvm_vcpu_of(vcpu);
    struct kvm_lapic_state lapic;
    if (!vcpu->vm->engine_vm->irqchip || ioctl(state->fd, KVM_GET_LAPIC, &lapic) < 0)
        return;
    uint32_t version = *lapic_register(&lapic, APIC_VERSION);
    memset(&lapic, 0, sizeof(lapic));
    *lapic_register(&lapic, APIC_ID) = vm_apic_id(vcpu->vm, vcpu->index) << 24;
    *lapic_register(&lapic, APIC_VERSION) = version;
    *lapic_register(&lapic, APIC_DFR) = 0xffffffff;
    *lapic_register(&lapic, APIC_SPIV) = 0xff;
    *lapic_register(&lapic, APIC_LVT_CMCI) = APIC_LVT_MASKED;
    for (unsigned offset = APIC_LVT_FIRST; offset <= APIC_LVT_LAST; offset += 0x10)
        *lapic_register(&lapic, offset) = APIC_LVT_MASKED;
    if (vcpu->index == 0)
        *lapic_register(&lapic, APIC_LVT_LINT0) = APIC_LVT_EXTINT;
    if (ioctl(state->fd, KVM_SET_LAPIC, &lapic) < 0)
        kvm_warn_refused(vcpu->vm->engine_vm, KVM_FEATURE_LAPIC, "to reset a local APIC");
}

static void chip_reset(int fd, unsigned id)
{
    struct kvm_irqchip chip = { .chip_id = id };
    if (ioctl(fd, KVM_GET_IRQCHIP, &chip) < 0)
        return;
    if (id == KVM_IRQCHIP_IOAPIC) {
        chip.chip.ioapic.ioregsel = chip.chip.ioapic.id = chip.chip.ioapic.irr = 0;
        for (unsigned pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
            chip.chip.ioapic.redirtbl[pin].bits = APIC_LVT_MASKED;
    } else {
        uint8_t elcr_mask = chip.chip.pic.elcr_mask;
        memset(&chip.chip.pic, 0, sizeof(chip.chip.pic));
        chip.chip.pic.elcr_mask = elcr_mask;
    }
    if (ioctl(fd, KVM_SET_IRQCHIP, &chip) < 0)
        warn("KVM refuses to reset interrupt controller %u: %s", id, strerror(errno));
}

/* All three counters in mode 3 at the longest period, as on a machine whose firmware has not
 * programmed them yet. (Intel 8254 data sheet) */
static void pit_reset(int fd)
{
    struct kvm_pit_state2 pit = { 0 };
    if (ioctl(fd, KVM_GET_PIT2, &pit) < 0)
        return;
    uint32_t flags = pit.flags;
    memset(&pit, 0, sizeof(pit));
    pit.flags = flags;
    for (unsigned i = 0; i < 3; i++) {
        pit.channels[i].mode = 0xff;
        pit.channels[i].gate = i != 2;
    }
    ioctl(fd, KVM_SET_PIT2, &pit);
}

void kvm_irqchip_reset(struct vm *vm)
{
    int fd = vm->engine_vm->fd;
    if (!vm->engine_vm->irqchip)
        return;
    chip_reset(fd, KVM_IRQCHIP_PIC_MASTER);
    chip_reset(fd, KVM_IRQCHIP_PIC_SLAVE);
    chip_reset(fd, KVM_IRQCHIP_IOAPIC);
    pit_reset(fd);
}

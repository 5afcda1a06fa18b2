/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board's wiring: which interrupt pin ends where, and the address line 20 gate. */
#include "hw/board.h"

#include <string.h>

#include "hw/intc/apic.h"
#include "vm/vm.h"

/* ISA interrupts go to the 8259 pair and to the I/O APIC at once; the system lets one of the two
 * through. The timer's is I/O APIC pin 2, whose ISA number is the cascade; the rest map one to one.
 * (Pin 0 is the 8259's own output, see lapic_lint0_changed().) */
static void board_gsi_set(void *opaque, unsigned gsi, bool level)
{
    struct vm *vm = opaque;
    if (gsi < 16 && vm->pic)
        pic_set_irq(vm->pic, gsi, level);
    if (gsi != 2 && vm->ioapic)
        ioapic_set_pin(vm->ioapic, gsi == BOARD_IRQ_TIMER ? 2 : gsi, level);
}

static void board_engine_gsi_set(void *opaque, unsigned gsi, bool level)
{
    struct vm *vm = opaque;
    vm->engine->irq_set(vm, gsi, level);
}

/* Lines with several sources. */
struct shared_gsi {
    pthread_mutex_t lock;
    struct vm *vm;
    unsigned sources;  /* [main] handed out */
    uint32_t asserted; /* [lock] by source */
};

static void shared_gsi_set(void *opaque, unsigned source, bool level)
{
    struct shared_gsi *shared = opaque;
    struct vm *vm = shared->vm;
    pthread_mutex_lock(&shared->lock);
    bool before = shared->asserted;
    shared->asserted = level ? shared->asserted | 1u << source : shared->asserted & ~(1u << source);
    if (before != (shared->asserted != 0))
        irq_set(&vm->gsi[shared - vm->shared_gsi], !before);
    pthread_mutex_unlock(&shared->lock);
}

struct irq_line board_gsi_shared(struct vm *vm, unsigned gsi)
{
    struct shared_gsi *shared = &vm->shared_gsi[gsi];
    assert(gsi < BOARD_GSI_COUNT && shared->sources < 32);
    return (struct irq_line){ .set = shared_gsi_set, .opaque = shared, .pin = shared->sources++ };
}

bool board_has_smm(const struct vm *vm)
{
    return vm->engine && vm->engine->smm && vm->engine->smm((struct vm *)vm)
           && on_off_auto_is(vm->config->smm, true);
}

void board_smi(struct vm *vm, bool all)
{
    if (!board_has_smm(vm))
        return;
    for (unsigned i = 0; i < vm->config->cpus; i++)
        if (all || vm->vcpus[i] == current_vcpu || (!current_vcpu && i == 0))
            vcpu_request(vm->vcpus[i], VCPU_SMI);
}

void board_msi_send(struct vm *vm, uint64_t address, uint32_t data)
{
    if (vm->engine && vm->engine->kernel_irqchip && vm->engine->kernel_irqchip(vm))
        vm->engine->msi_send(vm, address, data);
    else
        apic_deliver_msi(vm, address, data);
}

struct device *board_device_create(struct vm *vm, const char *type, GError **error)
{
    struct device *dev = device_new(vm, type, NULL, error);
    if (dev && !device_realize(dev, error)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

bool board_interrupts_create(struct vm *vm, GError **error)
{
    bool in_engine = vm->engine && vm->engine->kernel_irqchip && vm->engine->kernel_irqchip(vm);
    vm->gsi = g_new0(struct irq_line, BOARD_GSI_COUNT);
    vm->shared_gsi = g_new0(struct shared_gsi, BOARD_GSI_COUNT);
    for (unsigned gsi = 0; gsi < BOARD_GSI_COUNT; gsi++) {
        vm->shared_gsi[gsi].vm = vm;
        pthread_mutex_init(&vm->shared_gsi[gsi].lock, NULL);
    }
    for (unsigned gsi = 0; gsi < BOARD_GSI_COUNT; gsi++)
        vm->gsi[gsi] = (struct irq_line){
            .set = in_engine ? board_engine_gsi_set : board_gsi_set,
            .opaque = vm,
            .pin = gsi,
        };
    return in_engine
           || (board_device_create(vm, "isa-pic", error) && board_device_create(vm, "ioapic", error)
               && board_device_create(vm, "apic-window", error));
}

struct device *board_find(struct vm *vm, const char *type)
{
    for (guint i = 0; vm->devices && i < vm->devices->len; i++) {
        struct device *dev = vm->devices->pdata[i];
        if (!strcmp(dev->type->name, type))
            return dev;
    }
    return NULL;
}

void board_set_a20(struct vm *vm, bool enabled)
{
    if (atomic_exchange(&vm->a20_off, !enabled) == !enabled)
        return;
    for (unsigned i = 0; vm->vcpus && i < vm->config->cpus; i++)
        if (vm->vcpus[i])
            vcpu_request(vm->vcpus[i], VCPU_ENGINE);
}

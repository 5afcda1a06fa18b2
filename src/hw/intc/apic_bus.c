/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies between the interrupt controllers: messages find their local APICs, the 8259's INTR
 * wire reaches the boot CPU, and all local APICs appear in one memory window.
 *
 * Nothing here takes a lock (the window excepted, when it moves): destinations are found by reading
 * the APICs' atomic registers, delivery sets bits. A message that races with a change of a logical
 * destination goes by the old or the new value, as on a real bus. */
#include "hw/board.h"
#include "hw/intc/lapic.h"
#include "util/log.h"
#include "vm/vm.h"

/* --- destinations --------------------------------------------------------------------------- */

static struct lapic *apic_of(struct vm *vm, unsigned index)
{
    struct vcpu *vcpu = vm->vcpus && index < vm->config->cpus ? vm->vcpus[index] : NULL;
    return vcpu ? vcpu->apic : NULL;
}

/* All ones in as many bits as the sender has. */
static bool message_is_broadcast(const struct apic_message *message)
{
    return message->destination == (message->from_x2apic ? UINT32_MAX : 0xff);
}

/* Intel SDM vol. 3, 11.6.2.2 and 11.12.9 */
static bool lapic_matches_logical(struct lapic *apic, uint32_t destination)
{
    uint32_t ldr = atomic_load(&apic->ldr);
    if (lapic_is_x2apic(apic)) /* cluster number, bit in the cluster */
        return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
    ldr >>= 24;
    if (destination > 0xff)
        return false;
    if (atomic_load(&apic->dfr) >> 28 == 0xf) /* flat model */
        return ldr & destination;
    return (ldr >> 4 == destination >> 4 || destination >> 4 == 0xf) && (ldr & destination & 0xf);
}

static bool lapic_matches(struct lapic *apic, const struct apic_message *message)
{
    if (message_is_broadcast(message))
        return true;
    return message->logical ? lapic_matches_logical(apic, message->destination)
                            : apic->id == message->destination;
}

/* --- delivery ------------------------------------------------------------------------------- */

/* The one that has least to do takes it; among equals the vector decides, which spreads vectors
 * over CPUs but leaves each on one. */
static bool deliver_lowest(struct vm *vm, const struct apic_message *message)
{
    struct lapic *best = NULL;
    unsigned cpus = vm->config->cpus;
    for (unsigned i = 0; i < cpus; i++) {
        struct lapic *apic = apic_of(vm, (i + message->vector) % cpus);
        if (apic && lapic_enabled(apic) && lapic_software_enabled(apic)
            && lapic_matches(apic, message)
            && (!best || atomic_load(&apic->ppr) >> 4 < atomic_load(&best->ppr) >> 4))
            best = apic;
    }
    return best && lapic_accept(best, message);
}

bool apic_deliver(struct vm *vm, const struct apic_message *message)
{
    if (message->delivery == APIC_LOWEST)
        return deliver_lowest(vm, message);
    if (!message->logical && !message_is_broadcast(message)) {
        struct lapic *apic = apic_of(vm, vm_apic_index(vm, message->destination));
        return apic && lapic_accept(apic, message);
    }
    bool taken = false;
    for (unsigned i = 0; i < vm->config->cpus; i++) {
        struct lapic *apic = apic_of(vm, i);
        if (apic && lapic_matches(apic, message))
            taken |= lapic_accept(apic, message);
    }
    return taken;
}

void apic_deliver_msi(struct vm *vm, uint64_t address, uint32_t data)
{
    if (address >> 20 != BOARD_LAPIC_ADDRESS >> 20) {
        log_if(LOG_GUEST_ERRORS, "apic: message to 0x%llx, which is no interrupt message address",
               (unsigned long long)address);
        return;
    }
    struct apic_message message = {
        .destination = address >> 12 & 0xff,
        .logical = address & 4,
        .level = data & 0x8000,
        .vector = data & 0xff,
        .delivery = data >> 8 & 7,
    };
    apic_deliver(vm, &message);
}

void lapic_lint0_changed(struct vm *vm, bool level)
{
    struct lapic *apic = apic_of(vm, 0);
    if (apic && level) {
        uint32_t lvt = atomic_load(&apic->lvt[LVT_LINT0]);
        if (!lapic_enabled(apic) || (lvt >> LVT_DELIVERY_SHIFT & 7) == APIC_EXTINT)
            vcpu_request(apic->vcpu, VCPU_INTERRUPT);
        else
            lapic_fire_lvt(apic, LVT_LINT0);
    }
    /* The same wire also ends at the I/O APIC's pin 0. */
    if (vm->ioapic)
        ioapic_set_pin(vm->ioapic, 0, level);
}

/* --- the window ----------------------------------------------------------------------------- */

/* One region for all vCPUs: who reads is who is meant. Relocating moves it for all of them, which
 * is how systems that relocate it at all do it. */
struct apic_window {
    struct device dev;
    struct region region;
};

static uint64_t window_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct lapic *apic = current_vcpu ? current_vcpu->apic : NULL;
    return apic ? lapic_mmio_read(apic, offset) : UINT32_MAX;
}

static void window_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct lapic *apic = current_vcpu ? current_vcpu->apic : NULL;
    if (apic)
        lapic_mmio_write(apic, offset, value);
}

static const struct region_ops window_ops = {
    .read = window_read,
    .write = window_write,
    .min_size = 4,
    .max_size = 4,
    .unlocked = true,
};

void apic_window_move(struct vm *vm, uint64_t base)
{
    struct device *dev = board_find(vm, "apic-window");
    if (!dev)
        return;
    struct apic_window *window = container_of(dev, struct apic_window, dev);
    address_space_begin(vm->memory);
    if (window->region.base != base) {
        address_space_remove(vm->memory, &window->region);
        window->region.base = base;
        address_space_add(vm->memory, &window->region);
    }
    address_space_end(vm->memory);
}

static bool window_realize(struct device *dev, GError **error)
{
    struct apic_window *window = container_of(dev, struct apic_window, dev);
    window->region = (struct region){
        .name = "local-apic",
        .base = BOARD_LAPIC_ADDRESS,
        .size = 0x1000,
        .ops = &window_ops,
        .dev = dev,
        .priority = 1,
    };
    address_space_add(dev->vm->memory, &window->region);
    return true;
}

static void window_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->memory, &container_of(dev, struct apic_window, dev)->region);
}

DEVICE_TYPE(apic_window) = {
    .name = "apic-window",
    .description = "memory window of the local APICs",
    .bus = &bus_system,
    .size = sizeof(struct apic_window),
    .realize = window_realize,
    .unrealize = window_unrealize,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bridges: the header, and which addresses pass. A window whose limit is below its base is closed.
 *
 *      register           holds           granularity
 *      I/O                bits 15:12      4 KiB       (16-bit ports only)
 *      memory             bits 31:20      1 MiB
 *      prefetchable       bits 31:20      1 MiB       with 32 more in the upper registers
 *
 * As QEMU's bridges, ours let any memory BAR be in either memory window. */
#include "hw/pci/bridge.h"

#include "hw/pci/internal.h"
#include "vm/vm.h"

#define PREFETCH_64 1u
#define BRIDGE_CONTROL_BITS 0x0fffu

/* Bus numbers and windows are read by other vCPUs' configuration cycles without the lock; each is a
 * byte, or read again by a remap that follows. */
struct window {
    uint64_t base, last;
};

static struct window io_window(const uint8_t *config)
{
    return (struct window){
        (uint64_t)(config[PCI_IO_BASE] & 0xf0) << 8,
        (uint64_t)(config[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff,
    };
}

static struct window memory_window(const uint8_t *config)
{
    return (struct window){
        (uint64_t)(load_le(config + PCI_MEMORY_BASE, 2) & 0xfff0) << 16,
        (uint64_t)(load_le(config + PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16 | 0xfffff,
    };
}

static struct window prefetch_window(const uint8_t *config)
{
    return (struct window){
        (uint64_t)load_le(config + PCI_PREFETCH_BASE_UPPER, 4) << 32
            | (uint64_t)(load_le(config + PCI_PREFETCH_BASE, 2) & 0xfff0) << 16,
        (uint64_t)load_le(config + PCI_PREFETCH_LIMIT_UPPER, 4) << 32
            | (uint64_t)(load_le(config + PCI_PREFETCH_LIMIT, 2) & 0xfff0) << 16 | 0xfffff,
    };
}

static bool window_holds(struct window window, uint64_t base, uint64_t last)
{
    return window.base <= base && last <= window.last;
}

bool pci_bridge_passes(struct pci_function *bridge, bool io, uint64_t base, uint64_t last)
{
    const uint8_t *config = bridge->config;
    uint8_t command = config[PCI_COMMAND];
    if (io)
        return (command & PCI_COMMAND_IO) && window_holds(io_window(config), base, last);
    return (command & PCI_COMMAND_MEMORY)
           && (window_holds(memory_window(config), base, last)
               || window_holds(prefetch_window(config), base, last));
}

static void reset_one(struct device *dev, void *opaque)
{
    device_reset(dev);
}

void pci_bridge_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                             unsigned size)
{
    struct pci_bridge *bridge = container_of(function, struct pci_bridge, function);
    uint8_t before = function->config[PCI_BRIDGE_CONTROL];
    pci_config_store(function, offset, value, size);
    if (~before & function->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_RESET)
        bridge->reset_due = true;
}

void pci_bridge_written(struct pci_function *function)
{
    struct pci_bridge *bridge = container_of(function, struct pci_bridge, function);
    if (!bridge->reset_due)
        return;
    bridge->reset_due = false;
    bus_visit(&bridge->bus.bus, reset_one, NULL);
}

const struct pci_function_ops pci_bridge_ops = {
    .config_write = pci_bridge_config_write,
    .written = pci_bridge_written,
};

void pci_bridge_init(struct pci_bridge *bridge, bool express, uint32_t slots)
{
    struct pci_function *function = &bridge->function;
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_PRIMARY_BUS, 3, 0, 0xffffff },
        { PCI_PRIMARY_BUS + 3, 1, 0, 0xf8 }, /* secondary latency timer */
        { PCI_IO_BASE, 2, 0, 0xf0f0 },
        { PCI_MEMORY_BASE, 4, 0, 0xfff0fff0 },
        { PCI_PREFETCH_BASE, 4, PREFETCH_64 | PREFETCH_64 << 16, 0xfff0fff0 },
        { PCI_PREFETCH_BASE_UPPER, 4, 0, ~0u },
        { PCI_PREFETCH_LIMIT_UPPER, 4, 0, ~0u },
        { PCI_BRIDGE_CONTROL, 2, 0, BRIDGE_CONTROL_BITS },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(function, registers[i].offset, registers[i].size, registers[i].value,
                          registers[i].writable);
    pci_config_define_clears(function, PCI_SECONDARY_STATUS, 2, PCI_STATUS_ERRORS);
    pci_bus_init(&bridge->bus, &function->dev, pci_host_of(function), function, express,
                 function->dev.id);
    bridge->bus.slots = slots;
}

void pci_bridge_end(struct pci_bridge *bridge)
{
    bus_destroy(&bridge->bus.bus);
}

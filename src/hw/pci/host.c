/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Root buses and the two ways to configuration space. The address port:
 *
 *      31      30..24    23..16  15..11   10..8      7..2      1..0
 *      enable  reserved  bus     slot     function   register  zero
 *
 * Only 32-bit accesses reach it; others at its ports belong to whoever else is there, such as the
 * reset control register at 0xcf9, and to nobody otherwise. Two CPUs that use the ports at once
 * must agree between them, as on any PC; here no more is promised than that the address is read and
 * written whole. */
#include "hw/pci/host.h"

#include "hw/board.h"
#include "hw/pci/bridge.h"
#include "hw/pci/internal.h"
#include "vm/vm.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu

/* --- buses ----------------------------------------------------------------------------------- */

void pci_bus_init(struct pci_bus *bus, struct device *parent, struct pci_host *host,
                  struct pci_function *bridge, bool express, const char *name)
{
    bus->host = host;
    bus->bridge = bridge;
    bus->express = express;
    bus->slots = ~0u;
    bus_init(&bus->bus, &bus_pci, parent, name);
}

unsigned pci_bus_number(const struct pci_bus *bus)
{
    return bus->bridge ? bus->bridge->config[PCI_SECONDARY_BUS] : 0;
}

/* Goes down through the bridges whose ranges of buses the number is in. The tree has no loops,
 * whatever numbers the guest gives. */
struct pci_function *pci_bus_find(struct pci_bus *bus, unsigned number, unsigned devfn)
{
    if (pci_bus_number(bus) == number)
        return bus->functions[devfn];
    for (unsigned i = 0; i < PCI_FUNCTION_COUNT; i++) {
        struct pci_function *bridge = bus->functions[i];
        if (!bridge || !bridge->pci->bridge)
            continue;
        const uint8_t *config = bridge->config;
        if (config[PCI_SECONDARY_BUS] && number >= config[PCI_SECONDARY_BUS]
            && number <= config[PCI_SUBORDINATE_BUS])
            return pci_bus_find(pci_bridge_bus(bridge), number, devfn);
    }
    return NULL;
}

/* --- ports ----------------------------------------------------------------------------------- */

static struct pci_host *host_of(struct device *dev)
{
    return container_of(dev, struct pci_host, dev);
}

static uint64_t address_read(struct device *dev, uint64_t offset, unsigned size)
{
    return size == 4 ? atomic_load(&host_of(dev)->address) : UINT32_MAX;
}

static void address_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    if (size == 4)
        atomic_store(&host_of(dev)->address, value & ADDRESS_WRITABLE);
}

static struct pci_function *address_function(struct pci_host *host, uint32_t address)
{
    if (!(address & ADDRESS_ENABLE))
        return NULL;
    return pci_bus_find(&host->bus, address >> 16 & 0xff, address >> 8 & 0xff);
}

static uint64_t data_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_host *host = host_of(dev);
    uint32_t address = atomic_load(&host->address);
    return pci_function_read(address_function(host, address), (address & 0xfc) + offset, size);
}

static void data_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = host_of(dev);
    uint32_t address = atomic_load(&host->address);
    pci_function_write(address_function(host, address), (address & 0xfc) + offset, value, size);
}

static const struct region_ops address_ops = {
    .read = address_read,
    .write = address_write,
    .max_size = 4,
    .unlocked = true,
};
static const struct region_ops data_ops = {
    .read = data_read,
    .write = data_write,
    .max_size = 4,
    .unlocked = true,
};

/* --- memory-mapped configuration space ------------------------------------------------------- */

static uint64_t ecam_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_function *function =
        pci_bus_find(&host_of(dev)->bus, offset >> 20, offset >> 12 & 0xff);
    return pci_function_read(function, offset & 0xfff, size);
}

static void ecam_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_function *function =
        pci_bus_find(&host_of(dev)->bus, offset >> 20, offset >> 12 & 0xff);
    pci_function_write(function, offset & 0xfff, value, size);
}

static const struct region_ops ecam_ops = {
    .read = ecam_read,
    .write = ecam_write,
    .max_size = 4,
    .unlocked = true,
};

void pci_host_map_ecam(struct pci_host *host, uint64_t base, uint64_t bytes)
{
    struct address_space *memory = host->dev.vm->memory;
    if (host->ecam.size == bytes && (!bytes || host->ecam.base == base))
        return;
    address_space_begin(memory);
    if (host->ecam.size)
        address_space_remove(memory, &host->ecam);
    host->ecam = (struct region){
        .name = "pcie-mmcfg-mmio",
        .base = base,
        .size = bytes,
        .ops = &ecam_ops,
        .dev = &host->dev,
        .priority = 1,
    };
    if (bytes)
        address_space_add(memory, &host->ecam);
    address_space_end(memory);
}

/* --- life ------------------------------------------------------------------------------------ */

struct pci_bus *pci_root_bus(struct vm *vm)
{
    struct bus *bus = bus_find_class(vm, &bus_pci);
    return bus ? &pci_bus_of(bus)->host->bus : NULL;
}

static void host_map(struct pci_host *host, struct region *region, const char *name, uint16_t base,
                     const struct region_ops *ops)
{
    *region = (struct region){
        .name = name,
        .base = base,
        .size = 4,
        .ops = ops,
        .dev = &host->dev,
    };
    address_space_add(host->dev.vm->io, region);
}

void pci_host_init(struct pci_host *host, const char *bus_name, bool express, bool ports)
{
    pthread_mutex_init(&host->irq_lock, NULL);
    pci_bus_init(&host->bus, &host->dev, host, NULL, express, bus_name);
    if (!ports)
        return;
    host_map(host, &host->address_port, "pci-conf-idx", PCI_ADDRESS_PORT, &address_ops);
    host_map(host, &host->data_port, "pci-conf-data", PCI_DATA_PORT, &data_ops);
}

void pci_host_end(struct pci_host *host)
{
    struct vm *vm = host->dev.vm;
    pci_host_map_ecam(host, 0, 0);
    if (host->address_port.size) {
        address_space_remove(vm->io, &host->address_port);
        address_space_remove(vm->io, &host->data_port);
    }
    bus_destroy(&host->bus.bus);
    pthread_mutex_destroy(&host->irq_lock);
}

void pci_host_reset(struct pci_host *host)
{
    atomic_store(&host->address, 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-host: the ports that lead to bus 0, configuration mechanism #1 (PCI Local Bus Specification
 * 3.0, 3.2.2.3.2): a register's address goes to port 0xcf8, and 0xcfc to 0xcff are that register.
 *
 *      31      30..24    23..16  15..11   10..8      7..2      1..0
 *      enable  reserved  bus     slot     function   register  zero
 *
 * Only 32-bit accesses reach the address register; others at its ports belong to whoever else is
 * there, such as the reset control register at 0xcf9, and to nobody otherwise.
 *
 * Two CPUs that use the ports at once must agree between them, as on any PC; here no more is
 * promised than that the address is read and written whole. */
#include "hw/pci/pci.h"

#include <stdatomic.h>
#include <string.h>

#include "hw/board.h"
#include "vm/vm.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu

struct pci_host {
    struct device dev;
    struct region address_port, data_port;
    struct pci_bus bus;
    _Atomic(uint32_t) address; /* [atomic] so that no lock is held when a function's is taken */
};

/* --- functions ------------------------------------------------------------------------------- */

void pci_config_define(struct pci_function *function, uint8_t offset, unsigned size, uint32_t value,
                       uint32_t writable)
{
    assert(offset + size <= PCI_CONFIG_SIZE);
    for (unsigned i = 0; i < size; i++) {
        function->power_on[offset + i] = value >> (8 * i);
        function->writable[offset + i] = writable >> (8 * i);
    }
}

bool pci_function_attach(struct pci_function *function, struct pci_bus *bus, uint8_t devfn,
                         GError **error)
{
    const struct pci_function *other = bus->functions[devfn];
    if (other)
        return fail(error, "%s: PCI slot %u function %u is taken by %s", function->dev.type->name,
                    devfn >> 3, devfn & 7, other->dev.type->name);
    function->bus = bus;
    function->devfn = devfn;
    bus->functions[devfn] = function;
    return true;
}

void pci_function_detach(struct pci_function *function)
{
    function->bus->functions[function->devfn] = NULL;
    function->bus = NULL;
}

void pci_function_reset(struct pci_function *function)
{
    memcpy(function->config, function->power_on, PCI_CONFIG_SIZE);
}

uint32_t pci_config_load(const struct pci_function *function, uint8_t offset, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)function->config[offset + i] << (8 * i);
    return value;
}

void pci_config_store(struct pci_function *function, uint8_t offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = function->writable[offset + i], *reg = &function->config[offset + i];
        *reg = (*reg & ~mask) | (value >> (8 * i) & mask);
    }
}

/* --- configuration cycles -------------------------------------------------------------------- */

uint32_t pci_bus_read(struct pci_bus *bus, uint8_t devfn, uint8_t offset, unsigned size)
{
    struct pci_function *function = bus->functions[devfn];
    if (!function)
        return UINT32_MAX;
    const struct pci_function_ops *ops = function->ops;
    pthread_mutex_lock(&function->dev.lock);
    uint32_t value = ops && ops->config_read ? ops->config_read(function, offset, size)
                                             : pci_config_load(function, offset, size);
    pthread_mutex_unlock(&function->dev.lock);
    return value;
}

void pci_bus_write(struct pci_bus *bus, uint8_t devfn, uint8_t offset, uint32_t value,
                   unsigned size)
{
    struct pci_function *function = bus->functions[devfn];
    if (!function)
        return;
    const struct pci_function_ops *ops = function->ops;
    pthread_mutex_lock(&function->dev.lock);
    if (ops && ops->config_write)
        ops->config_write(function, offset, value, size);
    else
        pci_config_store(function, offset, value, size);
    pthread_mutex_unlock(&function->dev.lock);
}

/* --- ports ----------------------------------------------------------------------------------- */

static uint64_t address_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    return size == 4 ? atomic_load(&host->address) : UINT32_MAX;
}

static void address_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    if (size == 4)
        atomic_store(&host->address, value & ADDRESS_WRITABLE);
}

/* There are no bridges, so bus 0 is the only one that exists. */
static bool address_selects_root(uint32_t address)
{
    return (address & ADDRESS_ENABLE) && (address >> 16 & 0xff) == 0;
}

static uint64_t data_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    uint32_t address = atomic_load(&host->address);
    if (!address_selects_root(address))
        return UINT32_MAX;
    return pci_bus_read(&host->bus, address >> 8, (address & 0xfc) + offset, size);
}

static void data_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    uint32_t address = atomic_load(&host->address);
    if (address_selects_root(address))
        pci_bus_write(&host->bus, address >> 8, (address & 0xfc) + offset, value, size);
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

/* --- life ------------------------------------------------------------------------------------ */

struct pci_bus *pci_root_bus(struct vm *vm)
{
    struct device *dev = board_find(vm, "pci-host");
    return dev ? &container_of(dev, struct pci_host, dev)->bus : NULL;
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

static bool host_realize(struct device *dev, GError **error)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    host_map(host, &host->address_port, "pci-config-address", PCI_ADDRESS_PORT, &address_ops);
    host_map(host, &host->data_port, "pci-config-data", PCI_DATA_PORT, &data_ops);
    return true;
}

static void host_reset(struct device *dev)
{
    atomic_store(&container_of(dev, struct pci_host, dev)->address, 0);
}

static void host_unrealize(struct device *dev)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    address_space_remove(dev->vm->io, &host->address_port);
    address_space_remove(dev->vm->io, &host->data_port);
}

static const struct state_field host_state[] = {
    STATE(U32, struct pci_host, address, .since = 1),
    {},
};

DEVICE_TYPE(pci_host) = {
    .name = "pci-host",
    .description = "PCI bus 0 and its configuration ports",
    .bus = &bus_system,
    .size = sizeof(struct pci_host),
    .state = host_state,
    .realize = host_realize,
    .reset = host_reset,
    .unrealize = host_unrealize,
};

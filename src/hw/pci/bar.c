/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base address registers: what the guest writes there decides where a function's regions are. (PCI
 * Local Bus Specification 3.0, 6.2.5)
 *
 * A BAR is mapped if the command register enables its kind of access, if the address is one that a
 * BAR can have (not 0, not reaching the end of what its width can address, which a BAR has while
 * its size is being found out), and if all bridges on the way pass it on. RAM hides BARs. */
#include <string.h>

#include "hw/pci/bridge.h"
#include "hw/pci/internal.h"
#include "vm/vm.h"

#define ADDRESS_LIMIT (1ull << 52)
#define BAR_PRIORITY (-1)

static unsigned bar_register(const struct pci_function *function, unsigned index)
{
    if (index != PCI_BAR_ROM)
        return PCI_BARS + 4 * index;
    return function->pci->bridge ? PCI_BRIDGE_ROM : PCI_ROM;
}

void pci_bar_define(struct pci_function *function, unsigned index, unsigned kind, uint64_t size)
{
    struct pci_bar *bar = &function->bars[index];
    unsigned reg = bar_register(function, index);
    uint64_t mask = ~(size - 1);
    bool wide = kind & PCI_BAR_MEMORY64;
    assert(index <= PCI_BAR_ROM && !bar->size && size && !(size & (size - 1)));
    assert(size >= (kind & PCI_BAR_IO ? 4 : 16) && (wide || size <= 1u << 31));
    bar->size = size;
    bar->kind = kind;
    if (index == PCI_BAR_ROM)
        pci_config_define(function, reg, 4, 0, (mask & 0xfffff800) | PCI_ROM_ENABLE);
    else
        pci_config_define(function, reg, 4, kind & 0xf, mask & ~0xfull);
    if (kind & PCI_BAR_IO)
        pci_config_define(function, reg, 4, PCI_BAR_IO, mask & ~3ull);
    if (wide)
        pci_config_define(function, reg + 4, 4, 0, mask >> 32);
}

void pci_bar_add_region(struct pci_function *function, unsigned index, uint64_t offset,
                        struct region *region)
{
    struct pci_bar *bar = &function->bars[index];
    assert(bar->count < PCI_BAR_REGIONS && region->size && offset + region->size <= bar->size);
    if (!region->priority)
        region->priority = BAR_PRIORITY;
    bar->regions[bar->count].region = region;
    bar->regions[bar->count++].offset = offset;
}

uint64_t pci_bar_address(const struct pci_function *function, unsigned index)
{
    return __atomic_load_n(&function->bars[index].address, __ATOMIC_RELAXED);
}

/* Where the registers want it; PCI_UNMAPPED: nowhere. */
static uint64_t wanted_address(const struct pci_function *function, unsigned index,
                               const uint8_t *header)
{
    const struct pci_bar *bar = &function->bars[index];
    const uint8_t *reg = header + bar_register(function, index);
    bool io = bar->kind & PCI_BAR_IO, wide = bar->kind & PCI_BAR_MEMORY64;
    uint64_t address = load_le(reg, 4), limit = io ? 1 << 16 : 1ull << 32, last;
    if (!(header[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
        return PCI_UNMAPPED;
    if (index == PCI_BAR_ROM && !(address & PCI_ROM_ENABLE))
        return PCI_UNMAPPED;
    if (wide) {
        address |= (uint64_t)load_le(reg + 4, 4) << 32;
        limit = ADDRESS_LIMIT;
    }
    address &= ~(bar->size - 1);
    if (!address || __builtin_add_overflow(address, bar->size - 1, &last) || last >= limit - 1)
        return PCI_UNMAPPED;
    for (struct pci_function *b = function->bus->bridge; b; b = b->bus->bridge)
        if (!pci_bridge_passes(b, io, address, last))
            return PCI_UNMAPPED;
    return address;
}

static void bar_move(struct pci_function *function, struct pci_bar *bar, uint64_t address)
{
    struct vm *vm = function->dev.vm;
    struct address_space *space = bar->kind & PCI_BAR_IO ? vm->io : vm->memory;
    if (bar->address == address)
        return;
    for (unsigned i = 0; i < bar->count; i++) {
        struct region *region = bar->regions[i].region;
        if (bar->address != PCI_UNMAPPED)
            address_space_remove(space, region);
        region->base = address + bar->regions[i].offset;
        if (address != PCI_UNMAPPED)
            address_space_add(space, region);
    }
    __atomic_store_n(&bar->address, address, __ATOMIC_RELAXED);
}

void pci_bars_remap(struct pci_function *function, const uint8_t *header)
{
    for (unsigned i = 0; i <= PCI_BAR_ROM; i++) {
        struct pci_bar *bar = &function->bars[i];
        if (bar->size)
            bar_move(function, bar, header ? wanted_address(function, i, header) : PCI_UNMAPPED);
    }
}

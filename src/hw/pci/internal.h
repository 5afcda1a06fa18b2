/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the PCI core. */
#ifndef YADO_HW_PCI_INTERNAL_H
#define YADO_HW_PCI_INTERNAL_H

#include "hw/pci/host.h"
#include "hw/pci/pci.h"

static inline unsigned pci_slot(const struct pci_function *function)
{
    return function->devfn >> 3;
}

static inline uint32_t load_le(const uint8_t *bytes, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return value;
}

static inline void store_le(uint8_t *bytes, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = value >> (8 * i);
}

static inline struct pci_host *pci_host_of(const struct pci_function *function)
{
    return function->bus->host;
}

/* bar.c. Puts the BARs where `header`, a copy of the first 64 bytes, says; inside changes of both
 * topologies. With NULL everything is unmapped. */
void pci_bars_remap(struct pci_function *function, const uint8_t *header);
bool pci_rom_init(struct pci_function *function, GError **error);
void pci_rom_end(struct pci_function *function);

/* bridge.c. Does the bridge pass on the addresses from `base` to `last`? */
bool pci_bridge_passes(struct pci_function *bridge, bool io, uint64_t base, uint64_t last);

/* interrupt.c: the command register's disable bit may have changed. */
void pci_intx_update(struct pci_function *function);

/* msi.c, msix.c: message control may have changed; what was pending is sent. Without dev.lock. */
void pci_msi_update(struct pci_function *function);
uint32_t pci_msi_pending(const struct pci_function *function, unsigned offset, unsigned size);
void pci_msi_reset(struct pci_function *function);
void pci_msix_update(struct pci_function *function);
void pci_msix_reset(struct pci_function *function);
void pci_msix_end(struct pci_function *function);

#endif

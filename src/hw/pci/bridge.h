/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all PCI-to-PCI bridges and PCI Express ports have in common: header type 1, a bus behind
 * them, and windows of addresses they pass on. (PCI-to-PCI Bridge Architecture Specification 1.2)
 *
 * A bridge's struct begins with `struct pci_bridge`; its type's .pci->bridge is true, its ops'
 * config_write is pci_bridge_config_write() or calls it. */
#ifndef YADO_HW_PCI_BRIDGE_H
#define YADO_HW_PCI_BRIDGE_H

#include "hw/pci/pci.h"

struct pci_bridge {
    struct pci_function function;
    struct pci_bus bus; /* behind it */
    bool reset_due;     /* [function.dev.lock] the guest asked to reset what is behind */
};

extern const struct pci_function_ops pci_bridge_ops;

/* From realize: the bus is called like the bridge's id, or gets a number. `slots` is a bit for each
 * that can be used: 1 behind a port. */
void pci_bridge_init(struct pci_bridge *bridge, bool express, uint32_t slots);
void pci_bridge_end(struct pci_bridge *bridge); /* from unrealize */

void pci_bridge_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                             unsigned size);

void pci_bridge_written(struct pci_function *function);

static inline struct pci_bus *pci_bridge_bus(struct pci_function *function)
{
    return &container_of(function, struct pci_bridge, function)->bus;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A root bus and the ways to its configuration space: mechanism #1 at ports 0xcf8 and 0xcfc (PCI
 * Local Bus Specification 3.0, 3.2.2.3.2), and the memory-mapped one of PCI Express (Base
 * Specification 3.1, 7.2.2). The first member of the board's host bridge
 * device. */
#ifndef YADO_HW_PCI_HOST_H
#define YADO_HW_PCI_HOST_H

#include "hw/pci/pci.h"

#define PCI_PIRQ_COUNT 8u

struct pci_host {
    struct device dev; /* of the board's type */
    struct pci_bus bus;
    struct region address_port, data_port;
    _Atomic(uint32_t) address; /* [atomic] so that no lock is held when a
                                  function's is taken */
    struct region ecam;        /* size 0: not mapped */
    pthread_mutex_t irq_lock;
    unsigned asserted[PCI_PIRQ_COUNT]; /* [irq_lock] functions that do so */
    /* [const] once the board is complete: which of the host's interrupts the pin (0 to 3) of a slot
     * on the root bus drives, and who receives it, under irq_lock. */
    unsigned (*route)(unsigned slot, unsigned pin);
    void (*pirq_set)(void *opaque, unsigned pirq, bool level);
    void *opaque;
};

/* From the host bridge's realize and unrealize. */
void pci_host_init(struct pci_host *host, const char *bus_name, bool express, bool ports);
void pci_host_end(struct pci_host *host);
void pci_host_reset(struct pci_host *host);

/* Maps configuration space at `base`, 1 MiB per bus from 0 on; bytes 0: unmaps it. In a change of
 * the memory's topology, or with no vCPU running. */
void pci_host_map_ecam(struct pci_host *host, uint64_t base, uint64_t bytes);

/* Who receives the interrupts; lines that are asserted are driven at once. */
void pci_host_connect(struct pci_host *host, unsigned (*route)(unsigned slot, unsigned pin),
                      void (*pirq_set)(void *opaque, unsigned pirq, bool level), void *opaque);
/* The level of one of them; for who receives them. */
bool pci_host_pirq(const struct pci_host *host, unsigned pirq);

#endif

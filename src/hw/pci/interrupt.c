/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INTx: four wires shared by all functions of a bus. On its way up, a bridge turns a slot's pins by
 * the slot's number (PCI-to-PCI Bridge Architecture Specification 1.2, 9.1), so that slots use
 * different wires; the host bridge maps slots and pins of the root bus to its inputs, and counts
 * which of them are asserted. */
#include "hw/pci/internal.h"

static unsigned function_pirq(const struct pci_function *function)
{
    unsigned pin = function->power_on[PCI_INTERRUPT_PIN] - 1;
    while (function->bus->bridge) {
        pin = (pin + pci_slot(function)) % 4;
        function = function->bus->bridge;
    }
    return pci_host_of(function)->route(pci_slot(function), pin);
}

/* Under the host's irq_lock. */
static void intx_send(struct pci_function *function)
{
    struct pci_host *host = pci_host_of(function);
    bool level = function->intx_asserted && !atomic_load(&function->intx_disabled);
    if (level == function->intx_sent || !function->power_on[PCI_INTERRUPT_PIN] || !host->route)
        return;
    function->intx_sent = level;
    unsigned pirq = function_pirq(function), *count = &host->asserted[pirq];
    *count += level ? 1 : -1;
    if (*count == (level ? 1 : 0))
        host->pirq_set(host->opaque, pirq, level);
}

void pci_irq_set(struct pci_function *function, bool level)
{
    struct pci_host *host = pci_host_of(function);
    pthread_mutex_lock(&host->irq_lock);
    function->intx_asserted = level;
    intx_send(function);
    pthread_mutex_unlock(&host->irq_lock);
}

void pci_intx_update(struct pci_function *function)
{
    struct pci_host *host = pci_host_of(function);
    pthread_mutex_lock(&host->irq_lock);
    intx_send(function);
    pthread_mutex_unlock(&host->irq_lock);
}

void pci_host_connect(struct pci_host *host, unsigned (*route)(unsigned slot, unsigned pin),
                      void (*pirq_set)(void *opaque, unsigned pirq, bool level), void *opaque)
{
    pthread_mutex_lock(&host->irq_lock);
    host->route = route;
    host->pirq_set = pirq_set;
    host->opaque = opaque;
    pthread_mutex_unlock(&host->irq_lock);
}

bool pci_host_pirq(const struct pci_host *host, unsigned pirq)
{
    return host->asserted[pirq];
}

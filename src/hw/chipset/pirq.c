/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/chipset/pirq.h"

#include <string.h>

#include "hw/board.h"

void pirq_init(struct pirq *pirq, struct pci_host *host)
{
    pirq->host = host;
    memset(pirq->route, PIRQ_OFF, sizeof(pirq->route));
    for (unsigned i = 0; i < 16; i++)
        if (PIRQ_ALLOWED >> i & 1)
            pirq->isa[i] = board_gsi_shared(host->dev.vm, i);
}

void pirq_update(struct pirq *pirq)
{
    uint16_t wanted = 0;
    for (unsigned i = 0; i < PCI_PIRQ_COUNT; i++)
        if (!(pirq->route[i] & PIRQ_OFF) && pci_host_pirq(pirq->host, i))
            wanted |= 1u << (pirq->route[i] & 0x0f);
    for (unsigned i = 0; i < 16; i++)
        if ((wanted ^ pirq->driven) >> i & 1)
            irq_set(&pirq->isa[i], wanted >> i & 1);
    pirq->driven = wanted;
}

void pirq_set_routes(struct pirq *pirq, unsigned first, const uint8_t *routes, unsigned count)
{
    struct pci_host *host = (struct pci_host *)pirq->host;
    pthread_mutex_lock(&host->irq_lock);
    memcpy(pirq->route + first, routes, count);
    pirq_update(pirq);
    pthread_mutex_unlock(&host->irq_lock);
}

void pirq_end(struct pirq *pirq)
{
    uint8_t off[PCI_PIRQ_COUNT];
    memset(off, PIRQ_OFF, sizeof(off));
    pirq_set_routes(pirq, 0, off, sizeof(off));
}

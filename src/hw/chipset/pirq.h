/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt links: how PIIX3 and ICH9 lead the PCI bus's interrupt wires to ISA interrupts, by one
 * routing byte per wire: bit 7 disconnects, the low four bits are the interrupt. Several wires may
 * share one. Under the PCI host's irq_lock. */
#ifndef YADO_HW_CHIPSET_PIRQ_H
#define YADO_HW_CHIPSET_PIRQ_H

#include "hw/pci/host.h"

#define PIRQ_OFF 0x80u
#define PIRQ_ROUTE_BITS 0x8fu
/* Interrupts a link can lead to; not those of timer, keyboard, cascade, RTC and FPU. */
#define PIRQ_ALLOWED 0xdef8u

struct pirq {
    const struct pci_host *host;
    struct irq_line isa[16];       /* [const] */
    uint8_t route[PCI_PIRQ_COUNT]; /* [host irq_lock] */
    uint16_t driven;               /* [host irq_lock] ISA interrupts that are asserted */
};

/* Sources of the board's ISA interrupts, shared with others there may be. */
void pirq_init(struct pirq *pirq, struct pci_host *host);
/* Drives the interrupts by wires and routes. */
void pirq_update(struct pirq *pirq);
/* New routes, `count` of them from link `first` on; takes the lock. */
void pirq_set_routes(struct pirq *pirq, unsigned first, const uint8_t *routes, unsigned count);
void pirq_end(struct pirq *pirq);

#endif

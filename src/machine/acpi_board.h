/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tables depend on, as the devices have it at the moment: firmware chooses some of it. */
#ifndef YADO_MACHINE_ACPI_BOARD_H
#define YADO_MACHINE_ACPI_BOARD_H

#include "util/util.h"

struct vm;

#define ACPI_HPET_BASE 0xfed00000u
#define ACPI_HPET_BYTES 0x400u

struct acpi_board {
    bool pci, q35;
    bool isa_bridge; /* PIIX3 or ICH9, with its interrupt links */
    bool hpet;
    uint64_t ecam_base, ecam_bytes; /* PCI Express configuration space; 0 bytes: off */
    uint16_t pm_base;               /* PM1 event, then control and timer */
    uint16_t gpe0;
    uint8_t gpe0_bytes;
};

/* Any thread. */
void acpi_board_look(struct vm *vm, struct acpi_board *board);
unsigned board_phys_bits(const struct vm *vm);

#endif

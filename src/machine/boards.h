/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The boards behind the machine types; machine.h is what the rest sees. Main loop. */
#ifndef YADO_MACHINE_BOARDS_H
#define YADO_MACHINE_BOARDS_H

#include "util/util.h"

struct vm;

/* For a kernel that starts without firmware: what firmware would have done to the chipset (shadow
 * RAM open, ACPI's ports and interrupt links in place, ACPI mode on) and to the PCI bus (bus
 * numbers, BARs and windows assigned, decoding enabled). All vCPUs are stopped, all devices reset.
 */
void pci_setup(struct vm *vm);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI tables of a board. Main loop. */
#ifndef YADO_MACHINE_ACPI_H
#define YADO_MACHINE_ACPI_H

#include "machine/boot.h"

struct vm;

/* Writes the tables into [BOOT_TABLES, BOOT_TABLES + BOOT_TABLES_SIZE) and gives the address of the
 * root pointer. Fails only if they do not fit. */
bool acpi_load(const struct vm *vm, const struct boot *boot, uint64_t *rsdp, GError **error);

#endif

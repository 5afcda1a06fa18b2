/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ACPI tables of a board: built once for no address in particular, then either put into place
 * for a kernel that starts without firmware, or handed to firmware through fw_cfg with a list of
 * what to patch. Main loop, but for acpi_tables_build(), which any thread may call while no device
 * comes or goes. */
#ifndef YADO_MACHINE_ACPI_H
#define YADO_MACHINE_ACPI_H

#include "machine/boot.h"

struct vm;
struct fw_cfg;
struct acpi_header;

struct acpi_pointer {
    uint32_t offset; /* of the pointer, which holds an offset into the tables */
    uint8_t size;    /* 4 or 8 */
};

struct acpi_sum {
    uint32_t offset, start, length; /* of the checksum's byte; of what it is over */
};

/* All tables one after the other, aligned to 64. Pointers among them are offsets from the first
 * byte, and checksums are zero, until both are put right. */
struct acpi_tables {
    GByteArray *bytes;
    GArray *pointers;    /* struct acpi_pointer */
    GArray *sums;        /* struct acpi_sum */
    uint32_t rsdt, xsdt; /* offsets */
    /* while they are built */
    GArray *listed; /* uint32_t: offsets of what the root tables list */
};

void acpi_tables_build(struct vm *vm, struct acpi_tables *tables);
void acpi_tables_free(struct acpi_tables *tables);

/* Writes the tables into [BOOT_TABLES, BOOT_TABLES + BOOT_TABLES_SIZE) and gives the address of the
 * root pointer. Fails only if they do not fit. */
bool acpi_load(struct vm *vm, const struct boot *boot, uint64_t *rsdp, GError **error);

/* Adds etc/acpi/tables, etc/acpi/rsdp and etc/table-loader. They are made anew when the guest first
 * looks at them after a reset, because they depend on how firmware has set up PCI. */
void acpi_describe(struct vm *vm, struct fw_cfg *cfg);
void acpi_describe_reset(struct vm *vm);

/* --- between the files of the tables --- */

struct acpi_header acpi_header_make(const char *signature, uint8_t revision);
/* Appends a table whose first bytes are its header; fills in its length. Returns its offset. */
uint32_t acpi_table_add(struct acpi_tables *tables, void *table, size_t size);
void acpi_table_add_pointer(struct acpi_tables *tables, uint32_t offset, uint8_t size);

uint32_t acpi_dsdt_add(struct vm *vm, struct acpi_tables *tables);

#endif

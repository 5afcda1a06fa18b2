/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small emitter of ACPI Machine Language: appends definitions to a byte array.
 * (ACPI specification 6.4, chapter 20) */
#ifndef YADO_MACHINE_AML_H
#define YADO_MACHINE_AML_H

#include "util/util.h"

/* Blocks nest: each aml_begin_…() returns where its length goes, for the matching aml_end().
 *
 *     size_t scope = aml_begin_scope(aml, "\\_SB_");
 *     aml_name(aml, "TEST");
 *     aml_integer(aml, 7);
 *     aml_end(aml, scope);
 *
 * Names are segments of exactly four characters, with a leading backslash for the root. */
size_t aml_begin_scope(GByteArray *aml, const char *name);
size_t aml_begin_device(GByteArray *aml, const char *name);
size_t aml_begin_package(GByteArray *aml, uint8_t elements);
void aml_end(GByteArray *aml, size_t block);

/* Name(name, …): the value that is appended next. */
void aml_name(GByteArray *aml, const char *name);
void aml_integer(GByteArray *aml, uint32_t value);
void aml_string(GByteArray *aml, const char *text);
/* A plug and play id such as "PNP0501". */
void aml_eisa_id(GByteArray *aml, const char *id);

/* Name(_CRS, ResourceTemplate() { … }) of ports and ISA interrupts. */
struct aml_ports {
    uint16_t base;
    uint8_t count; /* 0 ends a list */
};
#define AML_NO_IRQ 0xff
void aml_resources(GByteArray *aml, const struct aml_ports *ports, uint8_t irq);

/* The same for a bridge: ports of its own, and what it passes on to the bus behind it. */
struct aml_window {
    enum aml_window_kind { AML_MEMORY = 0, AML_IO = 1, AML_BUS = 2 } kind; /* of 6.4.3.5.1 */
    uint32_t first, last; /* 32 bits for memory, 16 for others; `last` 0 ends a list */
};
void aml_bridge_resources(GByteArray *aml, const struct aml_ports *ports,
                          const struct aml_window *windows);

#endif

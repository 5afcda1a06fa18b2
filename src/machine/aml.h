/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small emitter of ACPI Machine Language: appends definitions to a byte array.
 * (ACPI specification 6.4, chapter 20) */
#ifndef YADO_MACHINE_AML_H
#define YADO_MACHINE_AML_H

#include "util/util.h"

/* AML is written in prefix order and, but for blocks, without lengths: an operation is its opcode
 * followed by its operands, each an integer, a name or another operation.
 *
 *     aml_op(aml, AML_STORE);        Store (Arg0, PICF)
 *     aml_op(aml, AML_ARG(0));
 *     aml_path(aml, "PICF"); */
enum aml_op {
    AML_STORE = 0x70,        /* value, target */
    AML_ADD = 0x72,          /* a, b, target */
    AML_INCREMENT = 0x75,    /* target */
    AML_AND = 0x7b,          /* a, b, target */
    AML_OR = 0x7d,           /* a, b, target */
    AML_NOTIFY = 0x86,       /* device, value */
    AML_CREATE_DWORD = 0x8a, /* buffer, byte index; then the name */
    AML_LAND = 0x90,         /* a, b */
    AML_LNOT = 0x92,         /* a */
    AML_LEQUAL = 0x93,       /* a, b */
    AML_LLESS = 0x95,        /* a, b */
    AML_IF = 0xa0,           /* a block: condition, then what is done */
    AML_ELSE = 0xa1,         /* a block */
    AML_WHILE = 0xa2,        /* a block: condition, then what is done */
    AML_RETURN = 0xa4,       /* value */
    AML_BREAK = 0xa5,
    AML_MUTEX = 0x5b01,   /* name, zero */
    AML_ACQUIRE = 0x5b23, /* mutex, two bytes of time-out */
    AML_RELEASE = 0x5b27, /* mutex */
};
#define AML_LOCAL(n) (0x60 + (n))
#define AML_ARG(n) (0x68 + (n))
#define AML_NOWHERE 0 /* a target that keeps nothing */
void aml_op(GByteArray *aml, unsigned op);

/* Blocks nest: each aml_begin_…() returns where its length goes, for the matching aml_end().
 *
 *     size_t scope = aml_begin_scope(aml, "\\_SB_");
 *     aml_name(aml, "TEST");
 *     aml_integer(aml, 7);
 *     aml_end(aml, scope); */
size_t aml_begin(GByteArray *aml, enum aml_op block);
size_t aml_begin_scope(GByteArray *aml, const char *path);
size_t aml_begin_device(GByteArray *aml, const char *path);
size_t aml_begin_method(GByteArray *aml, const char *path, unsigned arguments);
/* A method that two callers never run at once. */
size_t aml_begin_method_serialized(GByteArray *aml, const char *path, unsigned arguments);
size_t aml_begin_package(GByteArray *aml, uint8_t elements);
void aml_end(GByteArray *aml, size_t block);

/* A name: segments of exactly four characters, separated by dots; a backslash first for the root.
 */
void aml_path(GByteArray *aml, const char *path);
/* Name(path, …): the value that is appended next. */
void aml_name(GByteArray *aml, const char *path);
void aml_integer(GByteArray *aml, uint64_t value);
void aml_string(GByteArray *aml, const char *text);
void aml_buffer(GByteArray *aml, const void *data, size_t size);
/* A plug and play id such as "PNP0501". */
void aml_eisa_id(GByteArray *aml, const char *id);
/* 16 bytes as ToUUID() makes them. */
void aml_uuid(GByteArray *aml, const char *text);
/* Name(_HID, EISAID(…)) and so on. */
void aml_name_eisa_id(GByteArray *aml, const char *path, const char *id);
void aml_name_integer(GByteArray *aml, const char *path, uint64_t value);
void aml_name_string(GByteArray *aml, const char *path, const char *text);

/* Registers: OperationRegion(), and a Field() of it, whose units are listed from bit 0 on; one
 * without a name is a gap. */
enum aml_space { AML_SYSTEM_MEMORY = 0, AML_SYSTEM_IO = 1, AML_PCI_CONFIG = 2 };
enum aml_access { AML_ANY = 0, AML_BYTE_ACCESS = 1, AML_DWORD_ACCESS = 3 };
#define AML_WRITE_AS_ZEROS 0x40u /* what the bits around a unit become; else they are kept */
void aml_region(GByteArray *aml, const char *name, enum aml_space space, uint32_t offset,
                uint32_t size);
size_t aml_begin_field(GByteArray *aml, const char *region, unsigned access);
void aml_field(GByteArray *aml, const char *name, unsigned bits);

/* Resource descriptors (6.4) are collected in a list of their own; aml_resources() appends them as
 * a buffer, the list's end added, and frees the list. */
struct aml_items;
enum aml_window_kind { AML_MEMORY = 0, AML_IO = 1, AML_BUS = 2 }; /* of 6.4.3.5.1 */
struct aml_items *aml_items_new(void);
void aml_item_ports(struct aml_items *items, uint16_t base, uint8_t count);
void aml_item_irqs(struct aml_items *items, uint16_t mask); /* edge, high, exclusive */
void aml_item_dma(struct aml_items *items, uint8_t mask);
void aml_item_memory(struct aml_items *items, uint32_t base, uint32_t size, bool writable);
/* Interrupts of PCI: level, high, shared. */
void aml_item_level_gsis(struct aml_items *items, const uint32_t *gsis, unsigned count);
/* What a bridge passes on to the bus behind it. */
void aml_item_window(struct aml_items *items, enum aml_window_kind kind, uint64_t first,
                     uint64_t last);
void aml_resources(GByteArray *aml, struct aml_items *items);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/aml.h"

#include <string.h>

enum aml_opcode {
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_QWORD = 0x0e,
    AML_SCOPE = 0x10,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_METHOD = 0x14,
    AML_DUAL_NAME = 0x2e,
    AML_MULTI_NAME = 0x2f,
    AML_REGION = 0x5b80,
    AML_FIELD = 0x5b81,
    AML_DEVICE = 0x5b82,
};
#define METHOD_SERIALIZED 0x08
#define SEGMENT_BYTES 4

static void put(GByteArray *aml, const void *data, unsigned size)
{
    g_byte_array_append(aml, data, size);
}

/* The low `size` bytes of a number, little endian. */
static void put_number(GByteArray *aml, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> (8 * i);
        put(aml, &byte, 1);
    }
}

static void put8(GByteArray *aml, uint8_t value)
{
    put(aml, &value, 1);
}

void aml_op(GByteArray *aml, unsigned op)
{
    if (op > 0xff)
        put8(aml, op >> 8);
    put8(aml, op);
}

/* --- blocks ---------------------------------------------------------------------------------- */

size_t aml_begin(GByteArray *aml, enum aml_op block)
{
    aml_op(aml, block);
    return aml->len;
}

static size_t begin_named(GByteArray *aml, unsigned opcode, const char *path)
{
    aml_op(aml, opcode);
    size_t block = aml->len;
    aml_path(aml, path);
    return block;
}

size_t aml_begin_scope(GByteArray *aml, const char *path)
{
    return begin_named(aml, AML_SCOPE, path);
}

size_t aml_begin_device(GByteArray *aml, const char *path)
{
    return begin_named(aml, AML_DEVICE, path);
}

size_t aml_begin_method(GByteArray *aml, const char *path, unsigned arguments)
{
    size_t block = begin_named(aml, AML_METHOD, path);
    put8(aml, arguments);
    return block;
}

size_t aml_begin_method_serialized(GByteArray *aml, const char *path, unsigned arguments)
{
    size_t block = begin_named(aml, AML_METHOD, path);
    put8(aml, arguments | METHOD_SERIALIZED);
    return block;
}

size_t aml_begin_package(GByteArray *aml, uint8_t elements)
{
    aml_op(aml, AML_PACKAGE);
    size_t block = aml->len;
    put8(aml, elements);
    return block;
}

/* One byte holds up to 63; of more, the first holds the low four bits and, in bits 7:6, how many
 * follow. (20.2.4) */
static unsigned length_encode(size_t length, uint8_t *out)
{
    if (length <= 0x3f) {
        out[0] = length;
        return 1;
    }
    unsigned more = length < 1u << 12 ? 1 : length < 1u << 20 ? 2 : 3;
    out[0] = more << 6 | (length & 0xf);
    for (unsigned i = 1; i <= more; i++)
        out[i] = length >> (4 + 8 * (i - 1));
    return 1 + more;
}

/* A block's length counts its own bytes. */
static unsigned block_length_encode(size_t content, uint8_t *out)
{
    unsigned bytes = content + 1 <= 0x3f      ? 1
                     : content + 2 < 1u << 12 ? 2
                     : content + 3 < 1u << 20 ? 3
                                              : 4;
    return length_encode(content + bytes, out);
}

void aml_end(GByteArray *aml, size_t block)
{
    uint8_t length[4];
    size_t content = aml->len - block;
    unsigned bytes = block_length_encode(content, length);
    g_byte_array_set_size(aml, aml->len + bytes);
    memmove(aml->data + block + bytes, aml->data + block, content);
    memcpy(aml->data + block, length, bytes);
}

/* --- names and values ------------------------------------------------------------------------ */

void aml_path(GByteArray *aml, const char *path)
{
    if (*path == '\\')
        put8(aml, *path++);
    size_t segments = (strlen(path) + 1) / (SEGMENT_BYTES + 1);
    assert(strlen(path) == segments * (SEGMENT_BYTES + 1) - 1);
    if (segments == 2) {
        put8(aml, AML_DUAL_NAME);
    } else if (segments > 2) {
        put8(aml, AML_MULTI_NAME);
        put8(aml, segments);
    }
    for (size_t i = 0; i < segments; i++)
        put(aml, path + i * (SEGMENT_BYTES + 1), SEGMENT_BYTES);
}

void aml_name(GByteArray *aml, const char *path)
{
    aml_op(aml, AML_NAME);
    aml_path(aml, path);
}

void aml_integer(GByteArray *aml, uint64_t value)
{
    static const struct {
        uint8_t opcode, bytes;
    } forms[] = { { AML_BYTE, 1 }, { AML_WORD, 2 }, { AML_DWORD, 4 }, { AML_QWORD, 8 } };
    if (value <= 1) { /* ZeroOp and OneOp are their own values */
        put8(aml, value);
        return;
    }
    unsigned form = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= UINT32_MAX ? 2 : 3;
    put8(aml, forms[form].opcode);
    put_number(aml, value, forms[form].bytes);
}

void aml_string(GByteArray *aml, const char *text)
{
    put8(aml, AML_STRING);
    put(aml, text, strlen(text) + 1);
}

void aml_buffer(GByteArray *aml, const void *data, size_t size)
{
    put8(aml, AML_BUFFER);
    size_t block = aml->len;
    aml_integer(aml, size);
    put(aml, data, size);
    aml_end(aml, block);
}

/* Three letters of five bits and four hexadecimal digits, big endian. (19.3.4, EISAID) */
void aml_eisa_id(GByteArray *aml, const char *id)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | (id[i] & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | g_ascii_xdigit_value(id[i]);
    put8(aml, AML_DWORD);
    put_number(aml, GUINT32_SWAP_LE_BE(value), 4);
}

/* The first three groups of digits are little endian numbers. (19.6.142) */
void aml_uuid(GByteArray *aml, const char *text)
{
    static const uint8_t digit_of_byte[16] = { 6,  4,  2,  0,  11, 9,  16, 14,
                                               19, 21, 24, 26, 28, 30, 32, 34 };
    uint8_t bytes[16];
    assert(strlen(text) == 36);
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        const char *digits = text + digit_of_byte[i];
        bytes[i] = g_ascii_xdigit_value(digits[0]) << 4 | g_ascii_xdigit_value(digits[1]);
    }
    aml_buffer(aml, bytes, sizeof(bytes));
}

void aml_name_eisa_id(GByteArray *aml, const char *path, const char *id)
{
    aml_name(aml, path);
    aml_eisa_id(aml, id);
}

void aml_name_integer(GByteArray *aml, const char *path, uint64_t value)
{
    aml_name(aml, path);
    aml_integer(aml, value);
}

void aml_name_string(GByteArray *aml, const char *path, const char *text)
{
    aml_name(aml, path);
    aml_string(aml, text);
}

/* --- registers ------------------------------------------------------------------------------- */

void aml_region(GByteArray *aml, const char *name, enum aml_space space, uint32_t offset,
                uint32_t size)
{
    aml_op(aml, AML_REGION);
    aml_path(aml, name);
    put8(aml, space);
    aml_integer(aml, offset);
    aml_integer(aml, size);
}

size_t aml_begin_field(GByteArray *aml, const char *region, unsigned access)
{
    size_t block = begin_named(aml, AML_FIELD, region);
    put8(aml, access);
    return block;
}

void aml_field(GByteArray *aml, const char *name, unsigned bits)
{
    uint8_t length[4];
    unsigned bytes = length_encode(bits, length);
    if (name)
        put(aml, name, SEGMENT_BYTES);
    else
        put8(aml, 0);
    put(aml, length, bytes);
}

/* --- resources ------------------------------------------------------------------------------- */

/* Small and large resource items. (6.4.2, 6.4.3.5) */
#define RESOURCE_IRQ 0x22
#define RESOURCE_DMA 0x2a
#define RESOURCE_IO 0x47
#define RESOURCE_END 0x79
#define RESOURCE_MEMORY32 0x86
#define RESOURCE_DWORD 0x87
#define RESOURCE_WORD 0x88
#define RESOURCE_INTERRUPT 0x89
#define RESOURCE_QWORD 0x8a
#define IO_DECODE_16 1
#define WINDOW_FIXED 0x0c     /* neither end moves; the bridge passes it on */
#define INTERRUPT_SHARED 0x09 /* for its consumer; level, active high, shared */

struct aml_items {
    GByteArray *bytes;
};

struct aml_items *aml_items_new(void)
{
    struct aml_items *items = g_new(struct aml_items, 1);
    items->bytes = g_byte_array_new();
    return items;
}

void aml_item_ports(struct aml_items *items, uint16_t base, uint8_t count)
{
    put8(items->bytes, RESOURCE_IO);
    put8(items->bytes, IO_DECODE_16);
    put_number(items->bytes, base, 2);
    put_number(items->bytes, base, 2);
    put8(items->bytes, 1);
    put8(items->bytes, count);
}

void aml_item_irqs(struct aml_items *items, uint16_t mask)
{
    put8(items->bytes, RESOURCE_IRQ);
    put_number(items->bytes, mask, 2);
}

void aml_item_dma(struct aml_items *items, uint8_t mask)
{
    put8(items->bytes, RESOURCE_DMA);
    put8(items->bytes, mask);
    put8(items->bytes, 0); /* compatible timing, 8 bits, not a master */
}

void aml_item_memory(struct aml_items *items, uint32_t base, uint32_t size, bool writable)
{
    put8(items->bytes, RESOURCE_MEMORY32);
    put_number(items->bytes, 9, 2);
    put8(items->bytes, writable);
    put_number(items->bytes, base, 4);
    put_number(items->bytes, size, 4);
}

void aml_item_level_gsis(struct aml_items *items, const uint32_t *gsis, unsigned count)
{
    put8(items->bytes, RESOURCE_INTERRUPT);
    put_number(items->bytes, 2 + 4 * count, 2);
    put8(items->bytes, INTERRUPT_SHARED);
    put8(items->bytes, count);
    for (unsigned i = 0; i < count; i++)
        put_number(items->bytes, gsis[i], 4);
}

/* The numbers are granularity, first, last, offset, length. */
void aml_item_window(struct aml_items *items, enum aml_window_kind kind, uint64_t first,
                     uint64_t last)
{
    static const uint8_t type_flags[] = {
        [AML_MEMORY] = 1, /* read and write, not cached */
        [AML_IO] = 3,     /* all addresses of the range */
        [AML_BUS] = 0,
    };
    const uint64_t numbers[] = { 0, first, last, 0, last - first + 1 };
    unsigned size = kind != AML_MEMORY ? 2 : last > UINT32_MAX ? 8 : 4;
    put8(items->bytes, size == 2 ? RESOURCE_WORD : size == 4 ? RESOURCE_DWORD : RESOURCE_QWORD);
    put_number(items->bytes, 3 + G_N_ELEMENTS(numbers) * size, 2);
    put8(items->bytes, kind);
    put8(items->bytes, WINDOW_FIXED);
    put8(items->bytes, type_flags[kind]);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        put_number(items->bytes, numbers[i], size);
}

void aml_resources(GByteArray *aml, struct aml_items *items)
{
    put8(items->bytes, RESOURCE_END);
    put8(items->bytes, 0); /* no checksum */
    aml_buffer(aml, items->bytes->data, items->bytes->len);
    g_byte_array_unref(items->bytes);
    g_free(items);
}

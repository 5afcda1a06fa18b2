/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/aml.h"

#include <string.h>

enum aml_opcode {
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_SCOPE = 0x10,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_EXTENDED = 0x5b,
    AML_EXTENDED_DEVICE = 0x82,
};

static void put(GByteArray *aml, const void *data, unsigned size)
{
    g_byte_array_append(aml, data, size);
}

static void put8(GByteArray *aml, uint8_t value)
{
    put(aml, &value, 1);
}

static void put16(GByteArray *aml, uint16_t value)
{
    const uint8_t bytes[] = { value, value >> 8 };
    put(aml, bytes, sizeof(bytes));
}

size_t aml_begin_scope(GByteArray *aml, const char *name)
{
    put8(aml, AML_SCOPE);
    size_t block = aml->len;
    put(aml, name, strlen(name));
    return block;
}

size_t aml_begin_device(GByteArray *aml, const char *name)
{
    put8(aml, AML_EXTENDED);
    put8(aml, AML_EXTENDED_DEVICE);
    size_t block = aml->len;
    put(aml, name, strlen(name));
    return block;
}

size_t aml_begin_package(GByteArray *aml, uint8_t elements)
{
    put8(aml, AML_PACKAGE);
    size_t block = aml->len;
    put8(aml, elements);
    return block;
}

/* PkgLength counts itself. One byte holds up to 63; of more, the first holds the low four bits and,
 * in bits 7:6, how many follow. (20.2.4) */
static unsigned length_encode(size_t content, uint8_t *out)
{
    if (content + 1 <= 0x3f) {
        out[0] = content + 1;
        return 1;
    }
    unsigned more = content + 2 < 1u << 12 ? 1 : content + 3 < 1u << 20 ? 2 : 3;
    size_t length = content + 1 + more;
    out[0] = more << 6 | (length & 0xf);
    for (unsigned i = 1; i <= more; i++)
        out[i] = length >> (4 + 8 * (i - 1));
    return 1 + more;
}

void aml_end(GByteArray *aml, size_t block)
{
    uint8_t length[4];
    size_t content = aml->len - block;
    unsigned bytes = length_encode(content, length);
    g_byte_array_set_size(aml, aml->len + bytes);
    memmove(aml->data + block + bytes, aml->data + block, content);
    memcpy(aml->data + block, length, bytes);
}

void aml_name(GByteArray *aml, const char *name)
{
    put8(aml, AML_NAME);
    put(aml, name, strlen(name));
}

void aml_integer(GByteArray *aml, uint32_t value)
{
    if (value <= 1) { /* ZeroOp and OneOp are their own values */
        put8(aml, value);
    } else if (value <= 0xff) {
        put8(aml, AML_BYTE);
        put8(aml, value);
    } else if (value <= 0xffff) {
        put8(aml, AML_WORD);
        put16(aml, value);
    } else {
        put8(aml, AML_DWORD);
        put16(aml, value);
        put16(aml, value >> 16);
    }
}

void aml_string(GByteArray *aml, const char *text)
{
    put8(aml, AML_STRING);
    put(aml, text, strlen(text) + 1);
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
    put16(aml, GUINT16_SWAP_LE_BE(value >> 16));
    put16(aml, GUINT16_SWAP_LE_BE(value & 0xffff));
}

/* Small and large resource items. (6.4.2, 6.4.3.5) */
#define RESOURCE_IRQ 0x22
#define RESOURCE_IO 0x47
#define RESOURCE_END 0x79
#define RESOURCE_DWORD 0x87
#define RESOURCE_WORD 0x88
#define IO_DECODE_16 1
#define WINDOW_FIXED 0x0c /* neither end moves; the bridge passes it on */

static void ports_put(GByteArray *items, const struct aml_ports *ports)
{
    for (; ports->count; ports++) {
        put8(items, RESOURCE_IO);
        put8(items, IO_DECODE_16);
        put16(items, ports->base);
        put16(items, ports->base);
        put8(items, 1);
        put8(items, ports->count);
    }
}

/* Name(_CRS, Buffer() { items }), after adding the end to them. */
static void resources_put(GByteArray *aml, GByteArray *items)
{
    put8(items, RESOURCE_END);
    put8(items, 0); /* no checksum */
    aml_name(aml, "_CRS");
    put8(aml, AML_BUFFER);
    size_t block = aml->len;
    aml_integer(aml, items->len);
    put(aml, items->data, items->len);
    aml_end(aml, block);
}

void aml_resources(GByteArray *aml, const struct aml_ports *ports, uint8_t irq)
{
    g_autoptr(GByteArray) items = g_byte_array_new();
    ports_put(items, ports);
    if (irq != AML_NO_IRQ) {
        put8(items, RESOURCE_IRQ);
        put16(items, 1u << irq);
    }
    resources_put(aml, items);
}

/* Numbers are 16 bits wide, but 32 for memory: granularity, first, last, offset, length. */
static void window_put(GByteArray *items, const struct aml_window *window)
{
    static const uint8_t type_flags[] = {
        [AML_MEMORY] = 1, /* read and write, not cached */
        [AML_IO] = 3,     /* all addresses of the range */
        [AML_BUS] = 0,
    };
    bool wide = window->kind == AML_MEMORY;
    const uint32_t numbers[] = { 0, window->first, window->last, 0,
                                 window->last - window->first + 1 };
    put8(items, wide ? RESOURCE_DWORD : RESOURCE_WORD);
    put16(items, 3 + G_N_ELEMENTS(numbers) * (wide ? 4 : 2));
    put8(items, window->kind);
    put8(items, WINDOW_FIXED);
    put8(items, type_flags[window->kind]);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        put16(items, numbers[i]);
        if (wide)
            put16(items, numbers[i] >> 16);
    }
}

void aml_bridge_resources(GByteArray *aml, const struct aml_ports *ports,
                          const struct aml_window *windows)
{
    g_autoptr(GByteArray) items = g_byte_array_new();
    ports_put(items, ports);
    for (; windows->last; windows++)
        window_put(items, windows);
    resources_put(aml, items);
}

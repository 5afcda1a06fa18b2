/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/aml.h"

#include "tap.h"

static char *hex(const GByteArray *aml)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < aml->len; i++)
        g_string_append_printf(text, "%02x", aml->data[i]);
    return g_string_free(text, FALSE);
}

/* Expected bytes by the grammar. (ACPI specification 6.4, 20.2) */
static void test_integers(void)
{
    static const struct {
        uint64_t value;
        const char *bytes;
    } cases[] = {
        { 0, "00" },
        { 1, "01" },
        { 2, "0a02" },
        { 255, "0aff" },
        { 256, "0b0001" },
        { 65535, "0bffff" },
        { 65536, "0c00000100" },
        { 1ull << 32, "0e0000000001000000" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) aml = g_byte_array_new();
        aml_integer(aml, cases[i].value);
        g_autofree char *bytes = hex(aml);
        g_autofree char *name = g_strdup_printf("integer %" G_GUINT64_FORMAT, cases[i].value);
        tap_is(bytes, cases[i].bytes, name);
    }
}

static void test_eisa_ids(void)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_eisa_id(aml, "PNP0501");
    aml_eisa_id(aml, "PNP0F13");
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "0c41d00501"
           "0c41d00f13",
           "plug and play ids");
}

static void test_resources(void)
{
    static const uint32_t gsis[] = { 5, 10 };
    struct aml_items *items = aml_items_new();
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_item_ports(items, 0x3f8, 8);
    aml_item_irqs(items, 1 << 4);
    aml_item_dma(items, 1 << 2);
    aml_item_memory(items, 0xfed00000, 0x400, false);
    aml_item_level_gsis(items, gsis, 2);
    aml_resources(aml, items);
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "112c"
           "0a29"
           "4701f803f8030108"
           "221000"
           "2a0400"
           "860900000000d0fe00040000"
           "890a000902050000000a000000"
           "7900",
           "resources of devices");
}

static void test_bridge_resources(void)
{
    struct aml_items *items = aml_items_new();
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_item_ports(items, 0xcf8, 8);
    aml_item_window(items, AML_BUS, 0, 0xff);
    aml_item_window(items, AML_IO, 0xd00, 0xffff);
    aml_item_window(items, AML_MEMORY, 0xc0000000, 0xfebfffff);
    aml_item_window(items, AML_MEMORY, 1ull << 32, (1ull << 33) - 1);
    aml_resources(aml, items);
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "1146070a72"
           "4701f80cf80c0108"
           "880d00020c00"
           "00000000ff0000000001"
           "880d00010c03"
           "0000000dffff000000f3"
           "871700000c01"
           "00000000000000c0ffffbffe000000000000c03e"
           "8a2b00000c01"
           "00000000000000000000000001000000ffffffff0100000000000000000000000000000001000000"
           "7900",
           "resources of a host bridge");
}

static void test_paths(void)
{
    static const struct {
        const char *path, *bytes;
    } cases[] = {
        { "ABCD", "41424344" },
        { "\\_SB_", "5c5f53425f" },
        { "\\_SB_.PCI0", "5c2e5f53425f50434930" },
        { "AAAA.BBBB.CCCC", "2f03414141414242424243434343" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) aml = g_byte_array_new();
        aml_path(aml, cases[i].path);
        g_autofree char *bytes = hex(aml);
        tap_is(bytes, cases[i].bytes, cases[i].path);
    }
}

static void test_registers(void)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_region(aml, "PIRQ", AML_PCI_CONFIG, 0x60, 4);
    size_t field = aml_begin_field(aml, "PIRQ", AML_BYTE_ACCESS);
    aml_field(aml, "PRQA", 8);
    aml_field(aml, NULL, 64);
    aml_end(aml, field);
    size_t method = aml_begin_method_serialized(aml, "TEST", 2);
    aml_op(aml, AML_RETURN);
    aml_op(aml, AML_ARG(1));
    aml_end(aml, method);
    aml_uuid(aml, "33DB4D5B-1FF7-401C-9657-7441C03DD766");
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "5b8050495251020a600a04"
           "5b810e5049525101505251410800"
           "4004"
           "1408544553540aa469"
           "11130a105b4ddb33f71f1c4096577441c03dd766",
           "registers, a method, a UUID");
}

/* A block's length counts its own bytes: the encoding grows at 63 and at 4095. */
static void test_lengths(void)
{
    static const struct {
        unsigned content;
        const char *start;
    } cases[] = {
        { 57, "103f" }, /* name of 5, content, 1 byte of length: 63 */
        { 58, "10"
              "4104" },
        { 4088, "10"
                "4fff" },
        { 4089, "10"
                "8100"
                "01" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) aml = g_byte_array_new();
        size_t block = aml_begin_scope(aml, "\\_SB_");
        for (unsigned n = 0; n < cases[i].content; n++)
            aml_integer(aml, 0);
        aml_end(aml, block);
        g_autofree char *bytes = hex(aml);
        tap_ok(g_str_has_prefix(bytes, cases[i].start), "length of a block of %u bytes: %.8s",
               cases[i].content, bytes);
    }
}

int main(void)
{
    test_integers();
    test_eisa_ids();
    test_paths();
    test_registers();
    test_resources();
    test_bridge_resources();
    test_lengths();
    return tap_done();
}

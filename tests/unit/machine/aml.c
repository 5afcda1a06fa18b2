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
        uint32_t value;
        const char *bytes;
    } cases[] = {
        { 0, "00" },       { 1, "01" },         { 2, "0a02" },           { 255, "0aff" },
        { 256, "0b0001" }, { 65535, "0bffff" }, { 65536, "0c00000100" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) aml = g_byte_array_new();
        aml_integer(aml, cases[i].value);
        g_autofree char *bytes = hex(aml);
        g_autofree char *name = g_strdup_printf("integer %u", cases[i].value);
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
    static const struct aml_ports ports[] = { { 0x3f8, 8 }, { 0 } };
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_resources(aml, ports, 4);
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "085f435253"
           "1110"
           "0a0d"
           "4701f803f8030108"
           "221000"
           "7900",
           "resources of a serial port");
}

static void test_bridge_resources(void)
{
    static const struct aml_ports ports[] = { { 0xcf8, 8 }, { 0 } };
    static const struct aml_window windows[] = {
        { AML_BUS, 0, 0xff },
        { AML_IO, 0xd00, 0xffff },
        { AML_MEMORY, 0xc0000000, 0xfebfffff },
        { 0 },
    };
    g_autoptr(GByteArray) aml = g_byte_array_new();
    aml_bridge_resources(aml, ports, windows);
    g_autofree char *bytes = hex(aml);
    tap_is(bytes,
           "085f435253"
           "1148040a"
           "44"
           "4701f80cf80c0108"
           "880d00020c00"
           "00000000ff0000000001"
           "880d00010c03"
           "0000000dffff000000f3"
           "871700000c01"
           "00000000000000c0ffffbffe000000000000c03e"
           "7900",
           "resources of a host bridge");
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
    test_resources();
    test_bridge_resources();
    test_lengths();
    return tap_done();
}

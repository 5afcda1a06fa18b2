/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Framing of gdb's protocol. */
#include "gdb/packet.h"

#include <string.h>

#include "tap.h"

static GString *received, *sent;
static unsigned interrupts;

static void on_packet(void *opaque, char *data, size_t length)
{
    g_string_append_printf(received, "[%zu:", length);
    g_string_append_len(received, data, length);
    g_string_append_c(received, ']');
}
static void on_interrupt(void *opaque)
{
    interrupts++;
}
static void on_send(void *opaque, const void *data, size_t length)
{
    g_string_append_len(sent, data, length);
}

static struct gdb_link gdb_link = { .received = on_packet,
                                    .interrupted = on_interrupt,
                                    .send = on_send };

static void feed(const char *bytes)
{
    g_string_truncate(received, 0);
    g_string_truncate(sent, 0);
    gdb_link_feed(&gdb_link, (const uint8_t *)bytes, strlen(bytes));
}

static void test_in(void)
{
    static const struct {
        const char *bytes, *packets, *answer, *name;
    } cases[] = {
        { "$g#67", "[1:g]", "+", "a packet" },
        { "$g#68", "", "-", "a wrong sum" },
        { "$#00", "[0:]", "+", "an empty packet" },
        { "$X0,1:}\x03#9f", "[6:X0,1:#]", "+", "an escaped '#'" },
        { "$X0,1:*#49", "[6:X0,1:*]", "+", "a star is only a star" },
        { "$ab$g#67", "[1:g]", "+", "a new packet begins inside another" },
        { "$g#6", "", "", "half a sum" },
        { "7", "[1:g]", "+", "and the rest" },
        { "$g#zz", "", "-", "no sum" },
        { "noise$g#67+", "[1:g]", "+", "noise" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        feed(cases[i].bytes);
        tap_is(received->str, cases[i].packets, cases[i].name);
        tap_is(sent->str, cases[i].answer, "and its acknowledgement");
    }
    feed("\x03");
    tap_ok(interrupts == 1, "Ctrl-C");
    feed("$a\x03#64");
    tap_ok(interrupts == 1 && received->len, "which is data inside a packet");
}

static void test_too_long(void)
{
    g_autoptr(GString) packet = g_string_new("$");
    unsigned sum = 0;

    for (unsigned i = 0; i <= GDB_PACKET_BYTES; i++) {
        g_string_append_c(packet, 'a');
        sum += 'a';
    }
    g_string_append_printf(packet, "#%02x", sum & 0xff);
    feed(packet->str);
    tap_is(received->str, "", "a packet that is too long is not taken");
    tap_ok(strstr(sent->str, "$E22#") != NULL, "but answered");
}

static void out(const char *data, size_t length, const char *expected, const char *name)
{
    g_string_truncate(sent, 0);
    gdb_link_packet(&gdb_link, data, length);
    tap_is(sent->str, expected, name);
}

static void test_out(void)
{
    out("OK", 2, "$OK#9a", "a reply");
    feed("-");
    tap_is(sent->str, "$OK#9a", "is sent again if it did not arrive");
    feed("+-");
    tap_is(sent->str, "", "but not once it has");
    out("", 0, "$#00", "nothing");
    out("#$}*", 4, "$}\x03}\x04}]}\x0a#62", "what means something is escaped");
    out("000", 3, "$000#90", "three of a kind");
    out("0000", 4, "$0* #7a", "four of a kind");
    out("0000000", 7, "$0*\"0#ac", "counts that mean something are left out");
    gdb_link.no_ack = true;
    feed("$g#67");
    tap_is(sent->str, "", "no acknowledgement when that is agreed on");
}

static void test_hex(void)
{
    const char *text = "12abZ";
    uint64_t value;
    uint8_t bytes[4];

    tap_ok(hex_number(&text, &value) && value == 0x12ab && *text == 'Z', "a number");
    tap_ok(!hex_number(&text, &value), "none");
    text = "0123456789abcdef0";
    tap_ok(hex_number(&text, &value) && value == 0x0123456789abcdef && *text == '0', "16 digits");
    tap_ok(hex_bytes("0102zz", bytes, sizeof(bytes)) == 2 && bytes[1] == 2,
           "bytes up to what is none");
    tap_ok(hex_bytes("010203040506", bytes, sizeof(bytes)) == 4, "no more than there is room for");
    tap_ok(hex_bytes("012", bytes, sizeof(bytes)) == 1, "half a byte is none");
}

int main(void)
{
    received = g_string_new(NULL);
    sent = g_string_new(NULL);
    gdb_link_init(&gdb_link);
    test_in();
    test_too_long();
    test_out();
    test_hex();
    gdb_link_destroy(&gdb_link);
    return tap_done();
}

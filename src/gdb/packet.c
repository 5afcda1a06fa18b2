/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdb/packet.h"

#include <string.h>

#define INTERRUPT 0x03
#define ESCAPE_BIT 0x20

void gdb_link_init(struct gdb_link *link)
{
    link->sent = g_string_new(NULL);
    gdb_link_reset(link);
}

void gdb_link_destroy(struct gdb_link *link)
{
    g_string_free(link->sent, TRUE);
}

void gdb_link_reset(struct gdb_link *link)
{
    link->state = LINK_IDLE;
    link->no_ack = false;
    g_string_truncate(link->sent, 0);
}

/* --- in --- */

static void packet_begin(struct gdb_link *link)
{
    link->state = LINK_DATA;
    link->length = 0;
    link->sum = 0;
    link->too_long = false;
}

static void packet_byte(struct gdb_link *link, char byte)
{
    if (link->length < GDB_PACKET_BYTES)
        link->data[link->length++] = byte;
    else
        link->too_long = true;
}

static void packet_end(struct gdb_link *link)
{
    bool good = link->sum == link->sent_sum;

    link->state = LINK_IDLE;
    if (!link->no_ack)
        link->send(link->opaque, good ? "+" : "-", 1);
    if (!good)
        return;
    if (link->too_long) {
        gdb_link_packet(link, "E22", 3);
        return;
    }
    link->data[link->length] = '\0';
    link->received(link->opaque, link->data, link->length);
}

static void sum_digit(struct gdb_link *link, char byte)
{
    int digit = hex_digit(byte);

    if (digit < 0) {
        link->state = LINK_IDLE;
        if (!link->no_ack)
            link->send(link->opaque, "-", 1);
    } else if (link->state == LINK_SUM_HIGH) {
        link->sent_sum = digit << 4;
        link->state = LINK_SUM_LOW;
    } else {
        link->sent_sum |= digit;
        packet_end(link);
    }
}

/* Between packets. What is neither of these is noise, perhaps of a client that has just come. */
static void idle_byte(struct gdb_link *link, uint8_t byte)
{
    if (byte == '$')
        packet_begin(link);
    else if (byte == INTERRUPT)
        link->interrupted(link->opaque);
    else if (byte == '+')
        g_string_truncate(link->sent, 0);
    else if (byte == '-' && link->sent->len)
        link->send(link->opaque, link->sent->str, link->sent->len);
}

static void link_byte(struct gdb_link *link, uint8_t byte)
{
    switch (link->state) {
    case LINK_IDLE:
        idle_byte(link, byte);
        break;
    case LINK_DATA:
        if (byte == '$') { /* never inside a packet: the rest of the one before is lost */
            packet_begin(link);
        } else if (byte == '#') {
            link->state = LINK_SUM_HIGH;
        } else {
            link->sum += byte;
            if (byte == '}')
                link->state = LINK_ESCAPE;
            else
                packet_byte(link, byte);
        }
        break;
    case LINK_ESCAPE:
        if (byte == '#') { /* nothing was escaped */
            link->state = LINK_SUM_HIGH;
            break;
        }
        link->sum += byte;
        packet_byte(link, byte ^ ESCAPE_BIT);
        link->state = LINK_DATA;
        break;
    case LINK_SUM_HIGH:
    case LINK_SUM_LOW:
        sum_digit(link, byte);
        break;
    }
}

void gdb_link_feed(struct gdb_link *link, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        link_byte(link, bytes[i]);
}

/* --- out --- */

/* How often the byte may be repeated by one count, itself not included; the count must be a
 * printable character and none that means something. */
#define REPEAT_MIN 3
#define REPEAT_MAX 97
#define REPEAT_BIAS 29

static size_t repeats(const char *data, size_t left)
{
    size_t count = 0;

    while (count + 1 < left && count < REPEAT_MAX && data[count + 1] == data[0])
        count++;
    if (count < REPEAT_MIN)
        return 0;
    while (strchr("#$+-*}", count + REPEAT_BIAS))
        count--;
    return count;
}

static void append_byte(GString *to, char byte)
{
    if (byte == '#' || byte == '$' || byte == '}' || byte == '*') {
        g_string_append_c(to, '}');
        byte ^= ESCAPE_BIT;
    }
    g_string_append_c(to, byte);
}

void gdb_link_packet(struct gdb_link *link, const void *data, size_t length)
{
    const char *bytes = data;
    uint8_t sum = 0;
    GString *out = link->sent;

    g_string_assign(out, "$");
    for (size_t i = 0; i < length; i++) {
        size_t count = g_ascii_isalnum(bytes[i]) ? repeats(bytes + i, length - i) : 0;
        append_byte(out, bytes[i]);
        if (count) {
            g_string_append_c(out, '*');
            g_string_append_c(out, count + REPEAT_BIAS);
            i += count;
        }
    }
    for (size_t i = 1; i < out->len; i++)
        sum += out->str[i];
    g_string_append_printf(out, "#%02x", sum);
    link->send(link->opaque, out->str, out->len);
    if (link->no_ack)
        g_string_truncate(out, 0);
}

/* --- hex --- */

int hex_digit(char c)
{
    return g_ascii_xdigit_value(c);
}

bool hex_number(const char **text, uint64_t *value)
{
    const char *start = *text;

    *value = 0;
    while (hex_digit(**text) >= 0 && *text - start < 16)
        *value = *value << 4 | hex_digit(*(*text)++);
    return *text != start;
}

size_t hex_bytes(const char *text, uint8_t *bytes, size_t max)
{
    size_t count = 0;

    while (count < max && hex_digit(text[0]) >= 0 && hex_digit(text[1]) >= 0) {
        bytes[count++] = hex_digit(text[0]) << 4 | hex_digit(text[1]);
        text += 2;
    }
    return count;
}

void hex_append(GString *to, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;

    for (size_t i = 0; i < length; i++) {
        g_string_append_c(to, digits[from[i] >> 4]);
        g_string_append_c(to, digits[from[i] & 15]);
    }
}

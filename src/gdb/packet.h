/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Framing of gdb's remote protocol: bytes of the connection become packets, and packets bytes.
 *
 *      $<data>#<two hex digits: sum of data, modulo 256>
 *
 * Each packet is answered by '+' (or '-': send it again) until both sides agree to leave that out.
 * In data, '}' escapes the next byte, which is sent XOR 0x20; in what we send, "x*n" means that x
 * comes n - 29 times more. (GDB manual, appendix E.1 "Overview") */
#ifndef YADO_GDB_PACKET_H
#define YADO_GDB_PACKET_H

#include "util/util.h"

/* Longest data of a packet we take; what we send is not longer. */
#define GDB_PACKET_BYTES 0x4000

struct gdb_link {
    /* [const] What comes in. `data` is unescaped and terminated by a zero that is not counted. */
    void (*received)(void *opaque, char *data, size_t length);
    void (*interrupted)(void *opaque); /* the byte 0x03: Ctrl-C */
    void (*send)(void *opaque, const void *data, size_t length);
    void *opaque;

    bool no_ack;
    enum { LINK_IDLE, LINK_DATA, LINK_ESCAPE, LINK_SUM_HIGH, LINK_SUM_LOW } state;
    char data[GDB_PACKET_BYTES + 1];
    size_t length;
    bool too_long;
    uint8_t sum, sent_sum;
    GString *sent; /* the last packet, until it is acknowledged */
};

void gdb_link_init(struct gdb_link *link);
void gdb_link_destroy(struct gdb_link *link);

/* Somebody new is at the other end. */
void gdb_link_reset(struct gdb_link *link);

/* Bytes from the connection. Calls received() for each packet that is complete. */
void gdb_link_feed(struct gdb_link *link, const uint8_t *bytes, size_t length);

/* Sends a packet; `data` may hold any bytes. */
void gdb_link_packet(struct gdb_link *link, const void *data, size_t length);

/* --- hex, as the protocol writes it --- */

int hex_digit(char c); /* -1: none */
/* Reads hex digits from *text on, at most 16, and moves it behind them; false if there is none. */
bool hex_number(const char **text, uint64_t *value);
/* Pairs of digits up to the end or to something else. Returns the number of bytes. */
size_t hex_bytes(const char *text, uint8_t *bytes, size_t max);
void hex_append(GString *to, const void *bytes, size_t length);

#endif

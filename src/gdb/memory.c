/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory packets: by linear address through the page tables of the general thread, or physical. */
#include <string.h>

#include "gdb/server.h"

static size_t read_memory(struct gdb_server *server, uint64_t addr, void *buffer, size_t length)
{
    return server->physical ? debug_read_physical(server->vcpu, addr, buffer, length)
                            : debug_read(server->vcpu, addr, buffer, length);
}

static bool write_memory(struct gdb_server *server, uint64_t addr, const void *buffer,
                         size_t length)
{
    size_t done = server->physical ? debug_write_physical(server->vcpu, addr, buffer, length)
                                   : debug_write(server->vcpu, addr, buffer, length);
    return done == length;
}

/* "addr,length" and then `end`. */
static bool parse_range(const char **args, char end, uint64_t *addr, uint64_t *length)
{
    return hex_number(args, addr) && *(*args)++ == ',' && hex_number(args, length) && **args == end;
}

void gdb_memory_read(struct gdb_server *server, const char *args, size_t args_length)
{
    uint8_t buffer[GDB_PACKET_BYTES / 2];
    uint64_t addr, length;

    if (!parse_range(&args, '\0', &addr, &length)) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    size_t done = read_memory(server, addr, buffer, MIN(length, sizeof(buffer)));
    if (length && !done) {
        gdb_reply_error(server, GDB_EFAULT);
        return;
    }
    g_string_truncate(server->reply, 0);
    hex_append(server->reply, buffer, done);
    gdb_link_packet(&server->link, server->reply->str, server->reply->len);
}

/* As lldb sends it. gdb's own packet of this name answers with one letter more, and is used only
 * with servers that say "binary-upload+". */
void gdb_memory_read_binary(struct gdb_server *server, const char *args, size_t args_length)
{
    uint8_t buffer[GDB_PACKET_BYTES / 2];
    uint64_t addr, length;

    if (!parse_range(&args, '\0', &addr, &length)) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    if (!length) { /* how a client asks whether there is such a packet */
        gdb_reply_ok(server);
        return;
    }
    /* Half a packet, as each byte may need two. */
    size_t done = read_memory(server, addr, buffer, MIN(length, sizeof(buffer)));
    if (!done) {
        gdb_reply_error(server, GDB_EFAULT);
        return;
    }
    gdb_link_packet(&server->link, buffer, done);
}

void gdb_memory_write(struct gdb_server *server, const char *args, size_t args_length)
{
    uint8_t buffer[GDB_PACKET_BYTES / 2];
    uint64_t addr, length;

    if (!parse_range(&args, ':', &addr, &length) || length > sizeof(buffer)
        || hex_bytes(args + 1, buffer, length) != length)
        gdb_reply_error(server, GDB_EINVAL);
    else if (!write_memory(server, addr, buffer, length))
        gdb_reply_error(server, GDB_EFAULT);
    else
        gdb_reply_ok(server);
}

void gdb_memory_write_binary(struct gdb_server *server, const char *args, size_t args_length)
{
    const char *end = args + args_length;
    uint64_t addr, length;

    if (!parse_range(&args, ':', &addr, &length) || length != (size_t)(end - args - 1))
        gdb_reply_error(server, GDB_EINVAL);
    else if (!write_memory(server, addr, args + 1, length))
        gdb_reply_error(server, GDB_EFAULT);
    else
        gdb_reply_ok(server);
}

/* --- qSearch:memory --- */

#define SEARCH_PIECE 0x10000u
#define SEARCH_MAX (1ull << 32) /* of address space, so that no packet takes for ever */

/* What cannot be read ends the search. */
static bool search(struct gdb_server *server, uint64_t addr, uint64_t length, const char *pattern,
                   size_t pattern_length, uint64_t *found)
{
    g_autofree char *buffer = g_malloc(SEARCH_PIECE + pattern_length);

    while (length >= pattern_length) {
        size_t want = MIN(length, SEARCH_PIECE + pattern_length - 1);
        size_t got = read_memory(server, addr, buffer, want);
        const char *at = memmem(buffer, got, pattern, pattern_length);
        if (at) {
            *found = addr + (at - buffer);
            return true;
        }
        if (got < want || want == length)
            return false;
        addr += SEARCH_PIECE;
        length -= SEARCH_PIECE;
    }
    return false;
}

/* "addr;length;pattern", the pattern in bytes */
void gdb_memory_search(struct gdb_server *server, const char *args, size_t args_length)
{
    const char *end = args + args_length;
    uint64_t addr, length, found;

    if (!hex_number(&args, &addr) || *args++ != ';' || !hex_number(&args, &length) || *args++ != ';'
        || args >= end || length > SEARCH_MAX) {
        gdb_reply_error(server, GDB_EINVAL);
        return;
    }
    if (search(server, addr, length, args, end - args, &found))
        gdb_reply(server, "1,%" G_GINT64_MODIFIER "x", found);
    else
        gdb_reply(server, "0");
}

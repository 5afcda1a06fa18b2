/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The gdb server, with a machine behind it whose engine executes nothing. The first byte's lowest
 * bit says what follows: bytes as they come from a connection, or one packet per line, framed here,
 * so that a changed packet does not fall to its sum. */
#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "gdb/server.h"
#include "gdb_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vm *vm;
static struct chardev *chardev;

static void begin(void)
{
    g_autoptr(GError) error = NULL;
    static FILE *quiet;

    quiet = freopen("/dev/null", "w", stderr);
    vm = gdb_machine_new();
    chardev = chardev_new("null,id=fuzz", &error);
    if (!chardev || !quiet)
        __builtin_trap();
}

static void settle(void)
{
    for (int i = 0; i < 50 && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

/* Commands that write files are not for a fuzzer. */
static bool is_harmless(const char *line, size_t length)
{
    static const char prefix[] = "qRcmd,", info[] = "qRcmd,696e666f", kaslr[] = "qRcmd,6b61736c72",
                      arch[] = "qRcmd,61726368";

    return length < strlen(prefix) || memcmp(line, prefix, strlen(prefix))
           || (length > strlen(info)
               && (!memcmp(line, info, strlen(info)) || !memcmp(line, kaslr, strlen(kaslr))
                   || !memcmp(line, arch, strlen(arch))));
}

static void feed_packet(const char *line, size_t length)
{
    g_autoptr(GString) packet = g_string_new("$");
    uint8_t sum = 0;

    if (!is_harmless(line, length))
        return;
    for (size_t i = 0; i < length; i++) {
        if (strchr("#$}", line[i]))
            g_string_append_printf(packet, "}%c", line[i] ^ 0x20);
        else
            g_string_append_c(packet, line[i]);
    }
    for (size_t i = 1; i < packet->len; i++)
        sum += packet->str[i];
    g_string_append_printf(packet, "#%02x", sum);
    gdb_link_feed(&vm->gdb->link, (const uint8_t *)packet->str, packet->len);
}

static void feed_lines(const char *text, size_t size)
{
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        feed_packet(text, length);
        settle();
        text += MIN(length + 1, size);
        size -= MIN(length + 1, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;

    if (!size)
        return 0;
    if (!vm)
        begin();
    if (!gdb_server_start(vm, chardev, &error))
        __builtin_trap();
    if (data[0] & 1)
        gdb_link_feed(&vm->gdb->link, data + 1, size - 1);
    else
        feed_lines((const char *)data + 1, size - 1);
    gdb_server_stop(vm);
    settle();
    vm_pause(vm);
    vm->state = RUN_STATE_PAUSED; /* also if it was to end */
    if (vm->debug.points->len)
        __builtin_trap();
    return 0;
}

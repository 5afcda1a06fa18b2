/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "monitor/console.h"

#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "util/version.h"

#define LINE_BYTES 256
#define PROMPT "(qemu) "

struct monitor {
    struct vm *vm;
    struct chardev *chardev;
    char line[LINE_BYTES];
    size_t length;
    unsigned cpu; /* the chosen vCPU */
    bool greeted;
    bool in_escape; /* inside a terminal's key sequence, which is ignored */
};

static void print(struct monitor *monitor, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void print(struct monitor *monitor, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    chardev_write(monitor->chardev, text, strlen(text));
}

static void run_line(struct monitor *monitor)
{
    g_autofree char *answer = hmp_execute(monitor->vm, &monitor->cpu, monitor->line);
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
    g_autofree char *text = g_strjoinv("\r\n", lines);
    chardev_write(monitor->chardev, text, strlen(text));
}

/* --- the line --- */

static void line_done(struct monitor *monitor)
{
    print(monitor, "\r\n");
    monitor->line[monitor->length] = '\0';
    run_line(monitor);
    monitor->length = 0;
    print(monitor, PROMPT);
}

static void line_erase(struct monitor *monitor)
{
    monitor->length--;
    print(monitor, "\b \b");
}

static void line_key(struct monitor *monitor, uint8_t key)
{
    if (monitor->in_escape) {
        /* ESC [ … letter, or ESC letter */
        monitor->in_escape = key == '[' || !g_ascii_isalpha(key);
    } else if (key == '\r' || key == '\n') {
        line_done(monitor);
    } else if (key == 0x1b) {
        monitor->in_escape = true;
    } else if (key == 0x7f || key == '\b') {
        if (monitor->length)
            line_erase(monitor);
    } else if (key == 0x15 || key == 0x03) { /* Ctrl-U, Ctrl-C */
        while (monitor->length)
            line_erase(monitor);
    } else if (key >= ' ' && monitor->length < LINE_BYTES - 1) {
        monitor->line[monitor->length++] = key;
        print(monitor, "%c", key);
    }
}

static size_t monitor_can_receive(void *opaque)
{
    return LINE_BYTES;
}

static void monitor_receive(void *opaque, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        line_key(opaque, data[i]);
}

static void monitor_event(void *opaque, enum chardev_event event)
{
    struct monitor *monitor = opaque;

    if (event != CHARDEV_OPENED)
        return;
    if (!monitor->greeted)
        print(monitor, "QEMU " QEMU_VERSION " (Yado " YADO_VERSION
                       ") monitor - type 'help' for more information\r\n");
    monitor->greeted = true;
    print(monitor, PROMPT);
}

static const struct chardev_frontend monitor_frontend = {
    .can_receive = monitor_can_receive,
    .receive = monitor_receive,
    .event = monitor_event,
};

struct monitor *monitor_new(struct vm *vm, struct chardev *chardev, GError **error)
{
    struct monitor *monitor = g_new0(struct monitor, 1);
    monitor->vm = vm;
    monitor->chardev = chardev;
    if (chardev_attach(chardev, &monitor_frontend, monitor, error))
        return monitor;
    g_free(monitor);
    return NULL;
}

void monitor_free(struct monitor *monitor)
{
    g_free(monitor);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "monitor/console.h"

#include <stdio.h>
#include <string.h>

#include "chardev/chardev.h"
#include "monitor/hmp.h"
#include "monitor/readline.h"
#include "util/version.h"

#define INPUT_BYTES 256

struct monitor {
    struct vm *vm;
    struct chardev *chardev;
    struct readline *readline;
    unsigned cpu; /* the chosen vCPU */
    bool greeted;
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

/* --- what the line editor asks of us --- */

static void line_write(void *opaque, const char *text, size_t length)
{
    struct monitor *monitor = opaque;
    chardev_write(monitor->chardev, text, length);
}

static void line_run(void *opaque, const char *line)
{
    struct monitor *monitor = opaque;
    g_autofree char *answer = hmp_execute(monitor->vm, &monitor->cpu, line);
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
    g_autofree char *text = g_strjoinv("\r\n", lines);
    chardev_write(monitor->chardev, text, strlen(text));
}

static char **line_complete(void *opaque, const char *start)
{
    return hmp_complete(start);
}

static const struct readline_ops line_ops = {
    .write = line_write,
    .run = line_run,
    .complete = line_complete,
};

/* --- what the chardev does --- */

static size_t monitor_can_receive(void *opaque)
{
    return INPUT_BYTES;
}

static void monitor_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct monitor *monitor = opaque;

    for (size_t i = 0; i < length; i++)
        readline_key(monitor->readline, data[i]);
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
    readline_show(monitor->readline);
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
    monitor->readline = readline_new("(qemu) ", &line_ops, monitor);
    if (chardev_attach(chardev, &monitor_frontend, monitor, error))
        return monitor;
    monitor_free(monitor);
    return NULL;
}

void monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return;
    readline_free(monitor->readline);
    g_free(monitor);
}

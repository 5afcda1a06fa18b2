/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about character devices. */
#include "chardev/chardev.h"

#include <string.h>

#include "monitor/command.h"

static void print_chardev(const char *id, const char *driver, bool connected, void *opaque)
{
    bool waits = !strcmp(driver, "socket") || !strcmp(driver, "pty");

    hmp_print(opaque, "%s: filename=%s%s\n", id, waits && !connected ? "disconnected:" : "",
              driver);
}

static void info_chardev(struct hmp *hmp, const struct hmp_args *args)
{
    chardevs_visit(print_chardev, hmp);
}
HMP_COMMAND(info_chardev) = {
    .info = true,
    .name = "chardev",
    .help = "the character devices, and whether somebody is at their other end",
    .run = info_chardev,
};

static void run_add(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;

    if (!chardev_new(args->value[0].text, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(chardev_add) = {
    .name = "chardev-add",
    .args = "s",
    .params = "args",
    .help = "defines a character device, as -chardev does",
    .run = run_add,
};

static void run_remove(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;

    if (!chardev_remove(args->value[0].text, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(chardev_remove) = {
    .name = "chardev-remove",
    .args = "s",
    .params = "id",
    .help = "closes a character device that nothing uses",
    .run = run_remove,
};

static void run_send_break(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;

    if (!chardev_send_break(args->value[0].text, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(chardev_send_break) = {
    .name = "chardev-send-break",
    .args = "s",
    .params = "id",
    .help = "a break on the serial line",
    .run = run_send_break,
};

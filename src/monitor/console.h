/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor on a chardev: a prompt, and a line that can be edited. */
#ifndef YADO_MONITOR_CONSOLE_H
#define YADO_MONITOR_CONSOLE_H

#include "util/util.h"

struct chardev;
struct monitor;
struct vm;

/* Attaches a monitor to `chardev`. Main loop only. The vm outlives it. */
struct monitor *monitor_new(struct vm *vm, struct chardev *chardev, GError **error);
void monitor_free(struct monitor *monitor);

#endif

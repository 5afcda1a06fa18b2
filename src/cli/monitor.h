/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The human monitor: a prompt on a chardev, with the few commands a machine without disks needs. */
#ifndef YADO_CLI_MONITOR_H
#define YADO_CLI_MONITOR_H

#include "util/util.h"

struct chardev;
struct monitor;
struct vm;

/* Attaches a monitor to `chardev`. Main loop only. The vm outlives it. */
struct monitor *monitor_new(struct vm *vm, struct chardev *chardev, GError **error);
void monitor_free(struct monitor *monitor);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootindex=: which devices the firmware boots from, in which order, as Open Firmware paths. */
#ifndef YADO_MACHINE_BOOT_ORDER_H
#define YADO_MACHINE_BOOT_ORDER_H

#include "util/util.h"

struct vm;
struct device;

/* "/pci@i0cf8/scsi@3/disk@0,0"; free with g_free(). Main loop. */
char *boot_device_path(const struct device *dev);

/* The contents of the file "bootorder": a path per line, ended by a zero byte; NULL if no device
 * has a bootindex, or with an error if two have the same. */
GBytes *boot_order_make(struct vm *vm, bool strict, GError **error);

#endif

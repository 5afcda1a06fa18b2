/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What firmware is told through fw_cfg and CMOS: processors, memory, what to boot from. Main loop.
 */
#ifndef YADO_MACHINE_FIRMWARE_H
#define YADO_MACHINE_FIRMWARE_H

#include "util/util.h"

struct vm;

/* SLP_TYP value that \_S5 gives; firmware reads it from etc/system-states. */
#define FIRMWARE_SLEEP_S5 0u

/* Once, when all devices are there. Fails on what the user asked for with -fw_cfg and -boot. */
bool firmware_describe(struct vm *vm, GError **error);

/* At start and after every reset: what may differ from one start to the next. */
void firmware_reset(struct vm *vm);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI's fixed hardware as the chipsets that contain it see it: they decide where its ports are. A
 * board without such a chipset has them at the numbers of hw/board.h. */
#ifndef YADO_HW_ACPI_PM_H
#define YADO_HW_ACPI_PM_H

#include "hw/device.h"

/* From realize, and with NULL from unrealize: the ports are the caller's to map from now on, and
 * each write to the APM command port is told to `command`, on any vCPU's thread with the fixed
 * hardware's lock held. */
void acpi_pm_connect(struct vm *vm, void (*command)(void *opaque, uint8_t value), void *opaque);

/* PM1 event, control and timer from `base` on, and the general purpose events; 0: nowhere. As
 * memory.h says of changes. */
void acpi_pm_map(struct vm *vm, uint16_t base, uint16_t gpe0);

#endif

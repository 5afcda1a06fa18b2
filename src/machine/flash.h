/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -drive if=pflash and -machine pflash0=: firmware in flash memory. Main loop. */
#ifndef YADO_MACHINE_FLASH_H
#define YADO_MACHINE_FLASH_H

#include "util/util.h"

struct vm;

/* Creates the flash memories that were asked for, the first at the end of 4 GiB and the second
 * below it. `*image` is what the first holds (*size bytes), NULL if there are none. */
bool flash_create(struct vm *vm, const uint8_t **image, uint64_t *size, GError **error);

#endif

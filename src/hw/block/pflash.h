/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cfi.pflash01: flash memory that firmware is in, and its variables. Main loop. */
#ifndef YADO_HW_BLOCK_PFLASH_H
#define YADO_HW_BLOCK_PFLASH_H

#include "hw/storage/drive.h"

#define PFLASH_SECTOR_BYTES 4096u
#define PFLASH_UNITS 2u

/* Adds a flash with the contents of this drive or block node, which ends at `end`. The size is a
 * multiple of PFLASH_SECTOR_BYTES. */
struct device *pflash_create(struct vm *vm, const char *drive, uint64_t end, GError **error);

/* The contents as reads see them, *size bytes; they live as long as the device. */
const uint8_t *pflash_contents(const struct device *dev, uint64_t *size);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SMBus host controller of PIIX4 and ICH9: 64 ports. (82371AB data sheet, 7.3; ICH9 data sheet,
 * 20.2) Nothing is on the bus, so that every transaction ends in a device error. */
#ifndef YADO_HW_MISC_SMBUS_HOST_H
#define YADO_HW_MISC_SMBUS_HOST_H

#include "hw/device.h"
#include "memory/memory.h"

struct smbus_host {
    struct device *dev;                                 /* [const] whose lock is taken */
    struct region region;                               /* size 0: not mapped */
    uint8_t status, control, command, address, data[2]; /* [dev.lock] */
};

/* Under dev.lock. */
void smbus_host_reset(struct smbus_host *host);
uint64_t smbus_host_read(struct smbus_host *host, uint64_t offset);
void smbus_host_write(struct smbus_host *host, uint64_t offset, uint8_t value);

/* At fixed ports; base 0: nowhere. As memory.h says of changes. */
void smbus_host_map(struct smbus_host *host, const struct region_ops *ops, uint16_t base);

#endif

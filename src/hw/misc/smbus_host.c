/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/misc/smbus_host.h"

#include "vm/vm.h"

#define PORTS 64u

enum smbus_register {
    SMBUS_STATUS = 0,
    SMBUS_CONTROL = 2,
    SMBUS_COMMAND = 3,
    SMBUS_ADDRESS = 4,
    SMBUS_DATA = 5,
};
#define STATUS_DEVICE_ERROR 0x04
#define CONTROL_START 0x40
#define CONTROL_KEPT 0x1f

uint64_t smbus_host_read(struct smbus_host *host, uint64_t offset)
{
    switch (offset) {
    case SMBUS_STATUS:
        return host->status;
    case SMBUS_CONTROL:
        return host->control;
    case SMBUS_COMMAND:
        return host->command;
    case SMBUS_ADDRESS:
        return host->address;
    case SMBUS_DATA:
    case SMBUS_DATA + 1:
        return host->data[offset - SMBUS_DATA];
    default:
        return 0;
    }
}

void smbus_host_write(struct smbus_host *host, uint64_t offset, uint8_t value)
{
    switch (offset) {
    case SMBUS_STATUS:
        host->status &= ~value;
        break;
    case SMBUS_CONTROL:
        host->control = value & CONTROL_KEPT;
        if (value & CONTROL_START)
            host->status |= STATUS_DEVICE_ERROR; /* no acknowledge */
        break;
    case SMBUS_COMMAND:
        host->command = value;
        break;
    case SMBUS_ADDRESS:
        host->address = value;
        break;
    case SMBUS_DATA:
    case SMBUS_DATA + 1:
        host->data[offset - SMBUS_DATA] = value;
        break;
    default:
        break;
    }
}

void smbus_host_reset(struct smbus_host *host)
{
    host->status = host->control = host->command = host->address = 0;
    host->data[0] = host->data[1] = 0;
}

void smbus_host_map(struct smbus_host *host, const struct region_ops *ops, uint16_t base)
{
    struct address_space *io = host->dev->vm->io;
    if (host->region.base == base && (base || !host->region.size))
        return;
    address_space_begin(io);
    if (host->region.size)
        address_space_remove(io, &host->region);
    host->region = (struct region){
        .name = "pm-smbus",
        .base = base,
        .size = base ? PORTS : 0,
        .ops = ops,
        .dev = host->dev,
    };
    if (base)
        address_space_add(io, &host->region);
    address_space_end(io);
}

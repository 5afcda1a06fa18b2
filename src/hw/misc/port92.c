/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port92: the PS/2's system control port A (IBM PS/2 Hardware Interface Technical Reference):
 * bit 0 going from 0 to 1 resets, bit 1 opens the address line 20 gate.
 *
 * The gate is the board's: the keyboard controller moves it too, so it is not kept here. */
#include "hw/board.h"
#include "hw/device.h"
#include "vm/vm.h"

#define PORT92_RESET 0x01
#define PORT92_A20 0x02

struct port92 {
    struct device dev;
    struct region region;
    uint8_t value; /* [dev.lock] as last written */
};

static uint64_t port92_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct port92 *port = container_of(dev, struct port92, dev);
    return (port->value & ~PORT92_A20) | (atomic_load(&dev->vm->a20_off) ? 0 : PORT92_A20);
}

static void port92_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct port92 *port = container_of(dev, struct port92, dev);
    bool reset = value & ~port->value & PORT92_RESET;
    port->value = value;
    board_set_a20(dev->vm, value & PORT92_A20);
    if (reset)
        vm_request_reset(dev->vm);
}

static const struct region_ops port92_ops = {
    .read = port92_read,
    .write = port92_write,
    .max_size = 1,
};

static bool port92_realize(struct device *dev, GError **error)
{
    struct port92 *port = container_of(dev, struct port92, dev);
    port->region = (struct region){
        .name = "port92",
        .base = 0x92,
        .size = 1,
        .ops = &port92_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &port->region);
    return true;
}

static void port92_reset(struct device *dev)
{
    container_of(dev, struct port92, dev)->value = PORT92_A20;
    board_set_a20(dev->vm, true);
}

static void port92_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->io, &container_of(dev, struct port92, dev)->region);
}

static const struct state_field port92_state[] = {
    STATE(U8, struct port92, value, .since = 1),
    {},
};

DEVICE_TYPE(port92) = {
    .name = "port92",
    .description = "system control port A: fast reset and A20",
    .bus = &bus_system,
    .size = sizeof(struct port92),
    .state = port92_state,
    .realize = port92_realize,
    .reset = port92_reset,
    .unrealize = port92_unrealize,
};

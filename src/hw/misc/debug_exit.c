/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debug-exit: a write of V ends the whole program with exit status (V << 1) | 1, so that test
 * guests can report; an odd status cannot be mistaken for an ordinary end. Reads give zero. */
#include "hw/device.h"
#include "vm/vm.h"

struct debug_exit {
    struct device dev;
    struct region region;
    uint32_t iobase, iosize; /* [const] properties */
};

static uint64_t debug_exit_read(struct device *dev, uint64_t offset, unsigned size)
{
    return 0;
}

static void debug_exit_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    vm_request_exit(dev->vm, (int)(((uint32_t)value << 1) | 1));
}

static const struct region_ops debug_exit_ops = {
    .read = debug_exit_read,
    .write = debug_exit_write,
    .max_size = 4,
};

static bool debug_exit_realize(struct device *dev, GError **error)
{
    struct debug_exit *de = container_of(dev, struct debug_exit, dev);
    if (de->iosize < 1 || de->iosize > 4)
        return fail(error, "isa-debug-exit: iosize is 1 to 4 bytes, not %u", de->iosize);
    if (de->iobase > 0x10000 - de->iosize)
        return fail(error, "isa-debug-exit: %u ports from iobase 0x%x on end past port 0xffff",
                    de->iosize, de->iobase);
    de->region = (struct region){
        .name = "isa-debug-exit",
        .base = de->iobase,
        .size = de->iosize,
        .ops = &debug_exit_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &de->region);
    return true;
}

static void debug_exit_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->io, &container_of(dev, struct debug_exit, dev)->region);
}

static const struct property debug_exit_properties[] = {
    PROPERTY_U32("iobase", struct debug_exit, iobase, 0x501, .help = "first I/O port"),
    PROPERTY_U32("iosize", struct debug_exit, iosize, 2, .help = "number of ports, 1 to 4"),
    {},
};

DEVICE_TYPE(debug_exit) = {
    .name = "isa-debug-exit",
    .description = "ends the program with a status the guest chooses",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_isa,
    .size = sizeof(struct debug_exit),
    .properties = debug_exit_properties,
    .realize = debug_exit_realize,
    .unrealize = debug_exit_unrealize,
};

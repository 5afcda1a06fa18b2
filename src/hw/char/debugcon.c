/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debugcon: the one-byte debug console of Bochs. A write prints a character; a read returns
 * `readback` (0xe9), by which firmware finds out that somebody listens.
 *
 * Threads: callbacks run on any vCPU's thread; the core takes dev.lock around them. */
#include "chardev/chardev.h"
#include "hw/device.h"
#include "vm/vm.h"

struct debugcon {
    struct device dev;
    struct region region;
    struct chardev *out; /* [const] property; borrowed, outlives the device */
    uint32_t iobase;     /* [const] property */
    uint32_t readback;   /* [const] property */
    uint64_t written;    /* [dev.lock] bytes since reset */
};

static uint64_t debugcon_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct debugcon, dev)->readback;
}

static void debugcon_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct debugcon *con = container_of(dev, struct debugcon, dev);
    uint8_t byte = value;
    con->written++;
    if (con->out)
        chardev_write(con->out, &byte, 1);
}

static const struct region_ops debugcon_ops = {
    .read = debugcon_read,
    .write = debugcon_write,
    .max_size = 1,
};

static size_t debugcon_can_receive(void *opaque)
{
    return 0; /* output only */
}

static const struct chardev_frontend debugcon_frontend = { .can_receive = debugcon_can_receive };

static bool debugcon_realize(struct device *dev, GError **error)
{
    struct debugcon *con = container_of(dev, struct debugcon, dev);
    if (con->iobase > 0xffff)
        return fail(error, "isa-debugcon: iobase 0x%x is not a port (0 to 0xffff)", con->iobase);
    if (con->out && !chardev_attach(con->out, &debugcon_frontend, con, error))
        return fail_prefix(error, "isa-debugcon: ");
    con->region = (struct region){
        .name = "isa-debugcon",
        .base = con->iobase,
        .size = 1,
        .ops = &debugcon_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &con->region);
    return true;
}

static void debugcon_reset(struct device *dev)
{
    container_of(dev, struct debugcon, dev)->written = 0;
}

static void debugcon_unrealize(struct device *dev)
{
    struct debugcon *con = container_of(dev, struct debugcon, dev);
    address_space_remove(dev->vm->io, &con->region);
    if (con->out)
        chardev_detach(con->out);
}

static const struct property debugcon_properties[] = {
    PROPERTY_U32("iobase", struct debugcon, iobase, 0xe9, .help = "I/O port"),
    PROPERTY_U32("readback", struct debugcon, readback, 0xe9, .help = "what a read returns"),
    PROPERTY_CHARDEV("chardev", struct debugcon, out),
    {},
};

static const struct state_field debugcon_state[] = {
    STATE(U64, struct debugcon, written, .since = 1),
    {},
};

DEVICE_TYPE(debugcon) = {
    .name = "isa-debugcon",
    .description = "Bochs debug console, one output port",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_isa,
    .size = sizeof(struct debugcon),
    .properties = debugcon_properties,
    .state = debugcon_state,
    .realize = debugcon_realize,
    .reset = debugcon_reset,
    .unrealize = debugcon_unrealize,
};

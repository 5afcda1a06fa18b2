/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc-testdev: what guests that test a hypervisor (kvm-unit-tests) use to test accesses and
 * interrupts:
 *
 *      port 0xe0     4 bytes that keep what is written, in accesses of any size
 *      port 0xe4     accepts a page's address; here nothing needs to be flushed
 *      port 0xe8     the same 4 bytes as at 0xe0, reached byte by byte
 *      port 0x2000   24 ports: a write drives that input of the interrupt controllers
 *      0xff000000    64 KiB of memory that is a device */
#include "hw/board.h"
#include "hw/device.h"
#include "vm/vm.h"

#define DATA_PORT 0xe0u
#define FLUSH_PORT 0xe4u
#define BYTES_PORT 0xe8u
#define IRQ_PORT 0x2000u
#define MEMORY_BASE 0xff000000u
#define MEMORY_BYTES 0x10000u

struct pc_testdev {
    struct device dev;
    struct region data, flush, bytes, irqs, memory;
    uint8_t content[4]; /* [dev.lock] as all below */
    uint8_t memory_content[MEMORY_BYTES];
};

static struct pc_testdev *testdev_of(struct device *dev)
{
    return container_of(dev, struct pc_testdev, dev);
}

static uint64_t load(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void store(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = value >> (8 * i);
}

static uint64_t data_read(struct device *dev, uint64_t offset, unsigned size)
{
    return load(testdev_of(dev)->content + offset, size);
}
static void data_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    store(testdev_of(dev)->content + offset, value, size);
}
static uint64_t memory_read(struct device *dev, uint64_t offset, unsigned size)
{
    return load(testdev_of(dev)->memory_content + offset, size);
}
static void memory_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    store(testdev_of(dev)->memory_content + offset, value, size);
}
static void irq_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    irq_set(&dev->vm->gsi[offset], value & 1);
}

static const struct region_ops data_ops = { .read = data_read, .write = data_write, .max_size = 4 };
static const struct region_ops bytes_ops = {
    .read = data_read,
    .write = data_write,
    .max_size = 1,
};
static const struct region_ops flush_ops = { .unlocked = true };
static const struct region_ops irq_ops = { .write = irq_write, .max_size = 1 };
static const struct region_ops memory_ops = { .read = memory_read, .write = memory_write };

static void map(struct device *dev, struct address_space *space, struct region *region,
                const char *name, uint64_t base, uint64_t size, const struct region_ops *ops)
{
    *region = (struct region){
        .name = name,
        .base = base,
        .size = size,
        .ops = ops,
        .dev = dev,
    };
    address_space_add(space, region);
}

static bool testdev_realize(struct device *dev, GError **error)
{
    struct pc_testdev *testdev = testdev_of(dev);
    struct address_space *io = dev->vm->io;
    map(dev, io, &testdev->data, "pc-testdev-ioport", DATA_PORT, 4, &data_ops);
    map(dev, io, &testdev->flush, "pc-testdev-flush-page", FLUSH_PORT, 4, &flush_ops);
    map(dev, io, &testdev->bytes, "pc-testdev-ioport-byte", BYTES_PORT, 4, &bytes_ops);
    map(dev, io, &testdev->irqs, "pc-testdev-irq-line", IRQ_PORT, BOARD_GSI_COUNT, &irq_ops);
    map(dev, dev->vm->memory, &testdev->memory, "pc-testdev-iomem", MEMORY_BASE, MEMORY_BYTES,
        &memory_ops);
    return true;
}

static void testdev_unrealize(struct device *dev)
{
    struct pc_testdev *testdev = testdev_of(dev);
    address_space_remove(dev->vm->io, &testdev->data);
    address_space_remove(dev->vm->io, &testdev->flush);
    address_space_remove(dev->vm->io, &testdev->bytes);
    address_space_remove(dev->vm->io, &testdev->irqs);
    address_space_remove(dev->vm->memory, &testdev->memory);
}

DEVICE_TYPE(pc_testdev) = {
    .name = "pc-testdev",
    .description = "memory, ports and interrupts for tests of a hypervisor",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_isa,
    .single = true,
    .size = sizeof(struct pc_testdev),
    .realize = testdev_realize,
    .unrealize = testdev_unrealize,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-testdev: counts writes, for guests that test how accesses reach devices. (QEMU's
 * specification "PCI test device") BAR 0 is memory, BAR 1 ports; each begins with a header:
 *
 *      0  test     written: selects a test     8   data    what the test writes
 *      1  width    of its writes; 0: no test   12  count   how many writes have matched
 *      4  offset   where it writes             16  name
 *
 * With membar=SIZE, BAR 2 is that large and has nothing in it. */
#include <string.h>

#include "hw/pci/pci.h"

#define HEADER_BYTES 144u
#define NAME_OFFSET 16u
#define NAME_BYTES (HEADER_BYTES - NAME_OFFSET)
#define MEMORY_BYTES 4096u
#define PORT_BYTES 256u
#define TEST_WIDTH 1u
#define TEST_DATA 0xfau

static const char *const test_names[] = { "no-eventfd", "wildcard-eventfd", "datamatch-eventfd" };
#define TEST_DATA_MATTERS 2u /* the last one counts writes of its data only */

struct half {
    struct region region;
    uint8_t test;   /* [dev.lock] */
    uint32_t count; /* [dev.lock] of the test selected */
};

struct pci_testdev {
    struct pci_function function;
    struct half memory, ports;
    struct region large;
    uint64_t membar; /* [const] property */
};

static struct pci_testdev *testdev_of(struct device *dev)
{
    return container_of(dev, struct pci_testdev, function.dev);
}

/* --- one BAR --------------------------------------------------------------------------------- */

static uint32_t test_offset(const struct half *half)
{
    return half->region.size / 2 + half->test * TEST_WIDTH;
}

static void header_make(const struct half *half, const char *kind, uint8_t *header)
{
    memset(header, 0, HEADER_BYTES);
    header[0] = half->test;
    if (half->test >= G_N_ELEMENTS(test_names))
        return;
    header[1] = TEST_WIDTH;
    for (unsigned i = 0; i < 4; i++) {
        header[4 + i] = test_offset(half) >> (8 * i);
        header[12 + i] = half->count >> (8 * i);
    }
    header[8] = TEST_DATA;
    g_snprintf((char *)header + NAME_OFFSET, NAME_BYTES, "%s-%s", kind, test_names[half->test]);
}

static uint64_t half_read(const struct half *half, const char *kind, uint64_t offset)
{
    uint8_t header[HEADER_BYTES];
    header_make(half, kind, header);
    return offset < HEADER_BYTES ? header[offset] : 0;
}

static void half_write(struct half *half, uint64_t offset, uint8_t value)
{
    if (offset == 0) {
        half->test = value;
        half->count = 0;
    } else if (half->test < G_N_ELEMENTS(test_names) && offset == test_offset(half)
               && (half->test != TEST_DATA_MATTERS || value == TEST_DATA)) {
        half->count++;
    }
}

static uint64_t memory_read(struct device *dev, uint64_t offset, unsigned size)
{
    return half_read(&testdev_of(dev)->memory, "mmio", offset);
}
static void memory_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    half_write(&testdev_of(dev)->memory, offset, value);
}
static uint64_t ports_read(struct device *dev, uint64_t offset, unsigned size)
{
    return half_read(&testdev_of(dev)->ports, "portio", offset);
}
static void ports_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    half_write(&testdev_of(dev)->ports, offset, value);
}

static const struct region_ops memory_ops = {
    .read = memory_read,
    .write = memory_write,
    .max_size = 1,
};
static const struct region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .max_size = 1,
};
static const struct region_ops large_ops = { .unlocked = true };

/* --- life ------------------------------------------------------------------------------------ */

static void bar_add(struct pci_testdev *testdev, unsigned index, unsigned kind,
                    struct region *region, const char *name, uint64_t size,
                    const struct region_ops *ops)
{
    *region = (struct region){
        .name = name,
        .size = size,
        .ops = ops,
        .dev = &testdev->function.dev,
    };
    pci_bar_define(&testdev->function, index, kind, size);
    pci_bar_add_region(&testdev->function, index, 0, region);
}

static bool testdev_realize(struct device *dev, GError **error)
{
    struct pci_testdev *testdev = testdev_of(dev);
    uint64_t membar = testdev->membar;
    if (membar && (membar & (membar - 1) || membar < 16 || membar > 1ull << 48))
        return fail(error, "pci-testdev: membar is a power of two from 16 to 256T");
    bar_add(testdev, 0, PCI_BAR_MEMORY32, &testdev->memory.region, "pci-testdev-mmio", MEMORY_BYTES,
            &memory_ops);
    bar_add(testdev, 1, PCI_BAR_IO, &testdev->ports.region, "pci-testdev-portio", PORT_BYTES,
            &ports_ops);
    if (membar)
        bar_add(testdev, 2, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH, &testdev->large,
                "pci-testdev-membar", membar, &large_ops);
    return true;
}

static void testdev_reset(struct device *dev)
{
    struct pci_testdev *testdev = testdev_of(dev);
    testdev->memory.test = testdev->ports.test = UINT8_MAX;
    testdev->memory.count = testdev->ports.count = 0;
}

static const struct property testdev_properties[] = {
    PROPERTY_SIZE("membar", struct pci_testdev, membar, 0, .help = "size of BAR 2; 0: none"),
    {},
};

static const struct pci_type testdev_pci = {
    .vendor = 0x1b36,
    .device = 0x0005,
    .class = PCI_CLASS_OTHER,
};

DEVICE_TYPE(pci_testdev) = {
    .name = "pci-testdev",
    .description = "PCI Test Device",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_pci,
    .on_bus = &testdev_pci,
    .size = sizeof(struct pci_testdev),
    .properties = testdev_properties,
    .realize = testdev_realize,
    .reset = testdev_reset,
};

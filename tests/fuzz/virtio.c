/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's side of virtio: register accesses, rings and descriptors, in any order.
 *
 * An input is a list of operations, each a byte and its arguments. Some do what a driver does in
 * one go (negotiate, set a queue up, offer a chain), so that inputs come deep soon; the others
 * write anything anywhere. All devices are there twice, on virtio-mmio and on PCI. */
#include <stdio.h>

#include "../unit/hw/test_board.h"
#include "block/options.h"
#include "chardev/chardev.h"
#include "hw/pci/pci.h"
#include "hw/storage/drive.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_BYTES (1u << 20)
#define MMIO_BASE 0xfeb00000u
#define BAR_BASE 0xc0000000u
#define BAR_STEP 0x10000u
#define PORT_BASE 0xc000u
#define PORT_STEP 0x80u
#define RING_STEP 0x4000u /* each queue's rings: table, driver's area, device's area */
#define RINGS 0x10000u
#define DATA 0x80000u
#define KINDS 4u

static const char *const kinds[KINDS] = { "virtio-blk", "virtio-rng", "virtio-serial",
                                          "virtio-balloon" };

struct target {
    bool pci;
    uint64_t base; /* of the registers in memory */
    uint16_t port; /* of the legacy registers; PCI */
    uint8_t devfn;
    struct virtio_device *vdev;
};

static struct test_board board;
static struct target targets[2 * KINDS];

/* --- the machine ----------------------------------------------------------------------------- */

static void option(struct device *dev, const char *name, const char *value)
{
    g_autoptr(GError) error = NULL;
    if (!device_set(dev, name, value, &error))
        g_error("%s", error->message);
}

static struct device *device_make(const char *type, const char *bus, unsigned kind, unsigned number)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup_printf("d%u", number);
    struct device *dev = device_new(&board.vm, type, id, &error);
    if (!dev)
        g_error("%s", error->message);
    dev->bus_name = g_strdup(bus);
    if (kind == 0) {
        g_autofree char *drive = g_strdup_printf("disk%u", number);
        option(dev, "drive", drive);
    }
    if (kind == 3)
        option(dev, "free-page-reporting", "on");
    if (!device_realize(dev, &error))
        g_error("%s", error->message);
    return dev;
}

static void port_make(const char *type, unsigned number)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bus = g_strdup_printf("d%u.0", number);
    g_autofree char *chardev = g_strdup_printf("null,id=c%u%c", number, type[4]);
    struct device *dev = device_new(&board.vm, type, NULL, &error);
    if (!dev || !chardev_new(chardev, &error))
        g_error("%s", error->message);
    dev->bus_name = g_strdup(bus);
    g_autofree char *id = g_strdup_printf("c%u%c", number, type[4]);
    option(dev, "chardev", id);
    if (!device_realize(dev, &error))
        g_error("%s", error->message);
}

static void disk_make(unsigned number)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("disk%u", number);
    g_autofree char *text =
        g_strdup_printf("driver=null-co,size=1048576,read-zeroes=on,node-name=%s", name);
    auto_json *options = options_from_text(text, NULL, &error);
    if (!options || !block_open_options(options, BLOCK_OPEN_RW, &error))
        g_error("%s", error->message);
}

static void config_write(uint8_t devfn, unsigned offset, uint32_t value, unsigned size)
{
    address_space_write(board.vm.io, PCI_ADDRESS_PORT, 0x80000000u | devfn << 8 | (offset & 0xfc),
                        4);
    address_space_write(board.vm.io, PCI_DATA_PORT + (offset & 3), value, size);
}

static void bars_map(const struct target *target)
{
    config_write(target->devfn, 0x10, target->port, 4);
    config_write(target->devfn, 0x14, target->base + BAR_STEP / 2, 4);
    config_write(target->devfn, 0x20, target->base, 4);
    config_write(target->devfn, 0x24, 0, 4);
    config_write(target->devfn, PCI_COMMAND, 7, 2);
}

static void machine_make(void)
{
    g_autoptr(GError) error = NULL;
    const struct irq_line line = { 0 };
    if (!freopen("/dev/null", "w", stderr)) /* complaints about the driver */
        return;
    test_board_init(&board, 1);
    current_vcpu = NULL; /* this thread is the main loop's */
    if (!guest_ram_init(&board.vm.ram, RAM_BYTES, RAM_BYTES, &error))
        g_error("%s", error->message);
    guest_ram_map(&board.vm.ram, board.vm.memory);
    for (unsigned i = 0; i < KINDS; i++)
        virtio_mmio_create(&board.vm, i, MMIO_BASE + i * VIRTIO_MMIO_BYTES, &line, NULL);
    board_device_create(&board.vm, "i440FX-pcihost", NULL);
    for (unsigned i = 0; i < 2 * KINDS; i++) {
        struct target *target = &targets[i];
        unsigned kind = i % KINDS;
        g_autofree char *type = g_strdup_printf("%s-%s", kinds[kind], i < KINDS ? "device" : "pci");
        g_autofree char *bus = g_strdup_printf("virtio-mmio-bus.%u", i);
        if (kind == 0)
            disk_make(i);
        board.vm.balloon = NULL; /* a machine has one; here each transport */
        struct device *dev = device_make(type, i < KINDS ? bus : NULL, kind, i);
        target->pci = i >= KINDS;
        if (kind == 2) {
            port_make("virtconsole", i);
            port_make("virtserialport", i);
        }
        target->base = MMIO_BASE + i * VIRTIO_MMIO_BYTES;
        target->vdev = target->pci ? container_of(dev, struct virtio_pci, function.dev)->vdev
                                   : container_of(dev, struct virtio_plug, dev)->vdev;
        if (target->pci) {
            target->devfn = container_of(dev, struct virtio_pci, function.dev)->function.devfn;
            target->base = BAR_BASE + i * BAR_STEP;
            target->port = PORT_BASE + i * PORT_STEP;
        }
    }
}

static void machine_reset(void)
{
    for (guint i = 0; i < board.vm.devices->len; i++)
        device_reset(board.vm.devices->pdata[i]);
    for (unsigned i = KINDS; i < 2 * KINDS; i++)
        bars_map(&targets[i]);
}

static void loop(void)
{
    for (unsigned i = 0; i < 20 && g_main_context_iteration(NULL, FALSE); i++)
        ;
}

/* --- what a driver does ---------------------------------------------------------------------- */

static void write_memory(const struct target *target, unsigned offset, uint64_t value,
                         unsigned size)
{
    address_space_write(board.vm.memory, target->base + offset, value, size);
}

static void write_port(const struct target *target, unsigned offset, uint32_t value, unsigned size)
{
    address_space_write(board.vm.io, target->port + offset, value, size);
}

/* Legacy registers: of virtio-mmio, or the ports. */
static void negotiate_legacy(const struct target *target, uint32_t features)
{
    if (target->pci) {
        write_port(target, 18, 0, 1);
        write_port(target, 18, 3, 1);
        write_port(target, 4, features, 4);
    } else {
        write_memory(target, 0x70, 0, 4);
        write_memory(target, 0x70, 3, 4);
        write_memory(target, 0x24, 0, 4);
        write_memory(target, 0x20, features, 4);
    }
}

static void negotiate_modern(const struct target *target, uint32_t low, uint32_t high)
{
    write_memory(target, 20, 0, 1);
    write_memory(target, 20, 3, 1);
    write_memory(target, 8, 0, 4);
    write_memory(target, 12, low & virtio_offered(target->vdev), 4);
    write_memory(target, 8, 1, 4);
    write_memory(target, 12, high | 1, 4);
    write_memory(target, 20, 11, 1);
}

static uint64_t rings_of(unsigned queue)
{
    return RINGS + (queue & 7) * RING_STEP;
}

static void queue_legacy(const struct target *target, unsigned queue)
{
    uint32_t page = rings_of(queue) / 4096;
    if (target->pci) {
        write_port(target, 14, queue, 2);
        write_port(target, 8, page, 4);
    } else {
        write_memory(target, 0x30, queue, 4);
        write_memory(target, 0x38, 64, 4);
        write_memory(target, 0x3c, 4096, 4);
        write_memory(target, 0x40, page, 4);
    }
}

static void queue_modern(const struct target *target, unsigned queue, unsigned size)
{
    write_memory(target, 22, queue, 2);
    write_memory(target, 24, size, 2);
    write_memory(target, 32, rings_of(queue), 8);
    write_memory(target, 40, rings_of(queue) + 0x1000, 8);
    write_memory(target, 48, rings_of(queue) + 0x2000, 8);
    write_memory(target, 28, 1, 2);
}

static void go(const struct target *target, bool modern)
{
    if (modern)
        write_memory(target, 20, 15, 1);
    else if (target->pci)
        write_port(target, 18, 7, 1);
    else
        write_memory(target, 0x70, 7, 4);
}

static void kick(const struct target *target, unsigned queue)
{
    if (target->pci)
        write_memory(target, 0x3000 + 4 * (queue & 63), queue, 2);
    else
        write_memory(target, 0x50, queue, 4);
}

/* --- operations ------------------------------------------------------------------------------ */

struct input {
    const uint8_t *data;
    size_t left;
};

static uint64_t take_bytes(struct input *input, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count && input->left; i++, input->left--)
        value |= (uint64_t)*input->data++ << (8 * i);
    return value;
}

/* One split descriptor. Small addresses are in the data area, so that most are good. */
static void descriptor_write(struct input *input)
{
    unsigned queue = take_bytes(input, 1), index = take_bytes(input, 1);
    uint64_t address = DATA + take_bytes(input, 2);
    uint32_t length = take_bytes(input, 2);
    uint16_t flags = take_bytes(input, 2), next = take_bytes(input, 1);
    if (flags & 0x100)
        address += take_bytes(input, 8);
    struct vring_descriptor descriptor = { address, length, flags, next };
    dma_write(board.vm.memory, rings_of(queue) + 16 * index, &descriptor, sizeof(descriptor));
}

/* Makes a head available in the split ring of 64 entries (legacy) or 256 (as they come). */
static void offer(struct input *input)
{
    unsigned queue = take_bytes(input, 1), place = take_bytes(input, 1);
    uint16_t head = take_bytes(input, 1), index = place + 1;
    uint64_t driver = rings_of(queue) + (place & 0x80 ? 0x1000 : 16 * 64);
    place &= 0x3f;
    dma_write(board.vm.memory, driver + 4 + 2 * place, &head, 2);
    dma_write(board.vm.memory, driver + 2, &index, 2);
}

static void ram_fill(struct input *input)
{
    uint64_t gpa = take_bytes(input, 3) % RAM_BYTES;
    unsigned count = take_bytes(input, 1);
    for (unsigned i = 0; i < count; i++) {
        uint8_t byte = take_bytes(input, 1);
        dma_write(board.vm.memory, gpa + i, &byte, 1);
    }
}

static void operation(struct input *input)
{
    unsigned code = take_bytes(input, 1);
    const struct target *target = &targets[take_bytes(input, 1) % (2 * KINDS)];
    unsigned offset, size, queue;
    switch (code % 14) {
    case 0:
        offset = take_bytes(input, 2);
        size = 1u << (take_bytes(input, 1) & 3);
        write_memory(target, offset % (target->pci ? BAR_STEP : VIRTIO_MMIO_BYTES),
                     take_bytes(input, size), size);
        break;
    case 1:
        offset = take_bytes(input, 2);
        address_space_read(board.vm.memory, target->base + offset % BAR_STEP,
                           1u << (take_bytes(input, 1) & 3));
        break;
    case 2:
        offset = take_bytes(input, 1) % PORT_STEP;
        size = 1u << (take_bytes(input, 1) % 3);
        write_port(target, offset, take_bytes(input, size), size);
        break;
    case 3:
        offset = take_bytes(input, 1) % PORT_STEP;
        address_space_read(board.vm.io, target->port + offset, 1u << (take_bytes(input, 1) % 3));
        break;
    case 4:
        offset = take_bytes(input, 1);
        config_write(target->devfn, offset, take_bytes(input, 4), 4);
        break;
    case 5:
        negotiate_legacy(target, take_bytes(input, 4));
        break;
    case 6:
        size = take_bytes(input, 4);
        negotiate_modern(target, size, take_bytes(input, 1));
        break;
    case 7:
        queue_legacy(target, take_bytes(input, 1));
        break;
    case 8:
        queue = take_bytes(input, 1);
        queue_modern(target, queue, take_bytes(input, 2));
        break;
    case 9:
        go(target, take_bytes(input, 1) & 1);
        break;
    case 10:
        kick(target, take_bytes(input, 1));
        loop();
        break;
    case 11:
        descriptor_write(input);
        break;
    case 12:
        offer(input);
        break;
    case 13:
        ram_fill(input);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, MIN(size, 4096) };
    if (!board.vm.devices)
        machine_make();
    memset(board.vm.ram.host + RINGS, 0, RAM_BYTES - RINGS);
    machine_reset();
    while (input.left)
        operation(&input);
    loop();
    machine_reset();
    return 0;
}

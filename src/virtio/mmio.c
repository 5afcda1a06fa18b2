/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A slot's registers exist whether or not a device is in it; without one its id reads as zero, and
 * drivers leave it alone (4.2.3.1.1). A slot speaks the version its property says: 2, or the legacy
 * one (4.2.4), which QEMU's users get unless they say `-global virtio-mmio.force-legacy=false`.
 *
 * Threads: registers on any vCPU's thread, under the device's vdev->lock. The interrupt status and
 * its line have a lock of their own, inside all others, because devices raise it from their
 * context.
 */
#include "virtio/mmio.h"

#include <inttypes.h>
#include <string.h>

#include "util/log.h"
#include "vm/vm.h"

#define MAGIC 0x74726976u /* "virt" */
#define LEGACY_PAGE 4096u

enum mmio_register { /* 4.2.2; those marked L are legacy, 4.2.4 */
                     REG_MAGIC = 0x000,
                     REG_VERSION = 0x004,
                     REG_DEVICE_ID = 0x008,
                     REG_VENDOR_ID = 0x00c,
                     REG_DEVICE_FEATURES = 0x010,
                     REG_DEVICE_FEATURES_SELECT = 0x014,
                     REG_DRIVER_FEATURES = 0x020,
                     REG_DRIVER_FEATURES_SELECT = 0x024,
                     REG_GUEST_PAGE_SIZE = 0x028, /* L */
                     REG_QUEUE_SELECT = 0x030,
                     REG_QUEUE_SIZE_MAX = 0x034,
                     REG_QUEUE_SIZE = 0x038,
                     REG_QUEUE_ALIGN = 0x03c, /* L */
                     REG_QUEUE_PAGE = 0x040,  /* L */
                     REG_QUEUE_READY = 0x044,
                     REG_QUEUE_NOTIFY = 0x050,
                     REG_INTERRUPT_STATUS = 0x060,
                     REG_INTERRUPT_ACK = 0x064,
                     REG_STATUS = 0x070,
                     REG_QUEUE_DESCRIPTORS = 0x080, /* 64 bits, as the next two */
                     REG_QUEUE_DRIVER = 0x090,
                     REG_QUEUE_DEVICE = 0x0a0,
                     REG_CONFIG_GENERATION = 0x0fc,
                     REG_CONFIG = 0x100,
};

struct virtio_mmio {
    struct device dev;
    struct bus bus;
    struct region region;
    struct region_event event;  /* a kick */
    struct irq_line line;       /* [const] */
    unsigned index;             /* [const] */
    bool force_legacy;          /* [const] property */
    struct virtio_device *vdev; /* [main] NULL: the slot is empty */

    /* [vdev->lock] */
    uint32_t device_features_select, driver_features_select, queue_select;
    uint32_t guest_page_size, queue_align; /* legacy; drivers set them before they reset */

    pthread_mutex_t isr_lock;
    uint8_t isr; /* [isr_lock] */
};

static void plug_reset(struct device *dev)
{
    struct virtio_plug *plug = container_of(dev, struct virtio_plug, dev);
    plug->slot->guest_page_size = plug->slot->queue_align = LEGACY_PAGE;
    virtio_machine_reset(plug->vdev);
}

const struct bus_class virtio_bus = {
    .name = "virtio-bus",
    .noun = "virtio-mmio-bus",
    .reset = plug_reset,
};

/* --- interrupts ----------------------------------------------------------------------------- */

static void isr_change(struct virtio_mmio *slot, uint8_t set, uint8_t clear)
{
    pthread_mutex_lock(&slot->isr_lock);
    slot->isr = (slot->isr | set) & ~clear;
    irq_set(&slot->line, slot->isr != 0);
    pthread_mutex_unlock(&slot->isr_lock);
}

static struct virtio_mmio *slot_of(const struct virtio_device *vdev)
{
    return container_of(vdev->dev, struct virtio_plug, dev)->slot;
}

static void mmio_notify(struct virtio_device *vdev, enum virtio_isr isr, uint16_t vector)
{
    isr_change(slot_of(vdev), isr, 0);
}

static void mmio_reset(struct virtio_device *vdev)
{
    struct virtio_mmio *slot = slot_of(vdev);
    slot->device_features_select = slot->driver_features_select = slot->queue_select = 0;
    vdev->legacy = slot->force_legacy;
    isr_change(slot, 0, 0xff);
}

static const struct virtio_transport mmio_transport = {
    .notify = mmio_notify,
    .reset = mmio_reset,
};

/* --- registers ------------------------------------------------------------------------------ */

static bool register_is_legacy(uint64_t offset)
{
    return offset == REG_GUEST_PAGE_SIZE || offset == REG_QUEUE_ALIGN || offset == REG_QUEUE_PAGE;
}

static bool register_is_modern(uint64_t offset)
{
    return offset == REG_QUEUE_READY || offset >= REG_QUEUE_DESCRIPTORS;
}

static uint32_t queue_page(const struct virtio_mmio *slot, const struct virtio_queue *queue)
{
    return queue && queue->ready && slot->guest_page_size
               ? queue->vq.descriptor_gpa / slot->guest_page_size
               : 0;
}

static uint32_t register_read(struct virtio_mmio *slot, uint64_t offset)
{
    struct virtio_device *vdev = slot->vdev;
    struct virtio_queue *queue = virtio_queue(vdev, slot->queue_select);
    unsigned half = slot->device_features_select;

    if (vdev->legacy ? register_is_modern(offset) : register_is_legacy(offset))
        return 0;
    switch (offset) {
    case REG_DEVICE_ID:
        return vdev->ops->id;
    case REG_DEVICE_FEATURES:
        return half < 2 ? virtio_offered(vdev) >> (32 * half) : 0;
    case REG_QUEUE_SIZE_MAX:
        return queue ? queue->size_max : 0;
    case REG_QUEUE_PAGE:
        return queue_page(slot, queue);
    case REG_QUEUE_READY:
        return queue && queue->ready;
    case REG_INTERRUPT_STATUS:
        return slot->isr;
    case REG_STATUS:
        return virtio_status(vdev);
    case REG_CONFIG_GENERATION:
        return vdev->generation;
    }
    log_if(LOG_GUEST_ERRORS, "virtio-mmio: read of register 0x%" PRIx64, offset);
    return 0;
}

static uint64_t mmio_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct virtio_mmio *slot = container_of(dev, struct virtio_mmio, dev);
    uint64_t value = 0;

    if (offset == REG_MAGIC)
        return MAGIC;
    if (offset == REG_VERSION)
        return slot->force_legacy ? 1 : 2;
    if (offset == REG_VENDOR_ID)
        return VIRTIO_VENDOR_ID;
    if (!slot->vdev)
        return 0;
    virtio_lock(slot->vdev);
    if (offset >= REG_CONFIG)
        value = virtio_config_load(slot->vdev, offset - REG_CONFIG, size);
    else if (size == 4)
        value = register_read(slot, offset);
    else
        log_if(LOG_GUEST_ERRORS, "virtio-mmio: read of %u bytes at 0x%" PRIx64, size, offset);
    virtio_unlock(slot->vdev);
    return value;
}

static void half_write(uint64_t *value, bool high, uint32_t half)
{
    *value =
        high ? (uint32_t)*value | (uint64_t)half << 32 : (*value & ~(uint64_t)UINT32_MAX) | half;
}

static void queue_address_write(struct virtio_queue *queue, uint64_t offset, uint32_t value)
{
    bool high = offset & 4;
    if (!queue || queue->ready)
        return;
    switch (offset & ~4ull) {
    case REG_QUEUE_DESCRIPTORS:
        half_write(&queue->vq.descriptor_gpa, high, value);
        break;
    case REG_QUEUE_DRIVER:
        half_write(&queue->vq.driver_gpa, high, value);
        break;
    case REG_QUEUE_DEVICE:
        half_write(&queue->vq.device_gpa, high, value);
        break;
    }
}

static void legacy_write(struct virtio_mmio *slot, struct virtio_queue *queue, uint64_t offset,
                         uint32_t value)
{
    switch (offset) {
    case REG_GUEST_PAGE_SIZE:
        if (value & (value - 1))
            virtio_fail(slot->vdev, "a page of %u bytes", value);
        else
            slot->guest_page_size = value;
        break;
    case REG_QUEUE_ALIGN:
        slot->queue_align = value;
        break;
    case REG_QUEUE_PAGE:
        if (queue)
            virtio_queue_set_page(queue, value, slot->guest_page_size, slot->queue_align);
        break;
    }
}

static void register_write(struct virtio_mmio *slot, uint64_t offset, uint32_t value)
{
    struct virtio_device *vdev = slot->vdev;
    struct virtio_queue *queue = virtio_queue(vdev, slot->queue_select);

    if (vdev->legacy ? register_is_modern(offset) : register_is_legacy(offset))
        return;
    switch (offset) {
    case REG_DEVICE_FEATURES_SELECT:
        slot->device_features_select = value;
        break;
    case REG_DRIVER_FEATURES:
        virtio_set_features(vdev, slot->driver_features_select, value);
        break;
    case REG_DRIVER_FEATURES_SELECT:
        slot->driver_features_select = value;
        break;
    case REG_QUEUE_SELECT:
        slot->queue_select = value;
        break;
    case REG_QUEUE_SIZE:
        if (queue)
            virtio_queue_set_size(queue, value);
        break;
    case REG_QUEUE_READY:
        if (queue)
            virtio_queue_set_ready(queue, value & 1);
        break;
    case REG_INTERRUPT_ACK:
        isr_change(slot, 0, value);
        break;
    case REG_STATUS:
        virtio_set_status(vdev, value);
        break;
    case REG_GUEST_PAGE_SIZE:
    case REG_QUEUE_ALIGN:
    case REG_QUEUE_PAGE:
        legacy_write(slot, queue, offset, value);
        break;
    default:
        if (offset >= REG_QUEUE_DESCRIPTORS && offset < REG_QUEUE_DEVICE + 8)
            queue_address_write(queue, offset, value);
        else
            log_if(LOG_GUEST_ERRORS, "virtio-mmio: write to register 0x%" PRIx64, offset);
    }
}

static void mmio_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_mmio *slot = container_of(dev, struct virtio_mmio, dev);
    if (!slot->vdev)
        return;
    if (offset == REG_QUEUE_NOTIFY && size == 4) {
        virtio_kick(slot->vdev);
        return;
    }
    virtio_lock(slot->vdev);
    if (offset >= REG_CONFIG)
        virtio_config_store(slot->vdev, offset - REG_CONFIG, value, size);
    else if (size == 4)
        register_write(slot, offset, value);
    else
        log_if(LOG_GUEST_ERRORS, "virtio-mmio: write of %u bytes at 0x%" PRIx64, size, offset);
    virtio_unlock(slot->vdev);
}

static const struct region_ops mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .max_size = 4,
    .unlocked = true,
};

/* --- the slot ------------------------------------------------------------------------------- */

static bool slot_realize(struct device *dev, GError **error)
{
    struct virtio_mmio *slot = container_of(dev, struct virtio_mmio, dev);
    g_autofree char *name = g_strdup_printf("virtio-mmio-bus.%u", slot->index);
    pthread_mutex_init(&slot->isr_lock, NULL);
    bus_init(&slot->bus, &virtio_bus, dev, name);
    slot->bus.max_devices = 1;
    address_space_add(dev->vm->memory, &slot->region);
    return true;
}

static void slot_unrealize(struct device *dev)
{
    struct virtio_mmio *slot = container_of(dev, struct virtio_mmio, dev);
    address_space_remove(dev->vm->memory, &slot->region);
    bus_destroy(&slot->bus);
    pthread_mutex_destroy(&slot->isr_lock);
}

static const struct property slot_properties[] = {
    PROPERTY_BOOL("force-legacy", struct virtio_mmio, force_legacy, true,
                  .help = "the registers before virtio 1.0"),
    {},
};

DEVICE_TYPE(virtio_mmio) = {
    .name = "virtio-mmio",
    .description = "slot for a virtio device with memory-mapped registers",
    .bus = &bus_system,
    .board_only = true,
    .size = sizeof(struct virtio_mmio),
    .properties = slot_properties,
    .realize = slot_realize,
    .unrealize = slot_unrealize,
};

bool virtio_mmio_create(struct vm *vm, unsigned index, uint64_t base, const struct irq_line *line,
                        GError **error)
{
    struct device *dev = device_new(vm, "virtio-mmio", NULL, error);
    if (!dev)
        return false;
    struct virtio_mmio *slot = container_of(dev, struct virtio_mmio, dev);
    slot->index = index;
    slot->line = *line;
    slot->region = (struct region){
        .name = "virtio-mmio",
        .base = base,
        .size = VIRTIO_MMIO_BYTES,
        .ops = &mmio_ops,
        .dev = dev,
    };
    if (device_realize(dev, error))
        return true;
    device_free(dev);
    return false;
}

void virtio_mmio_visit(const struct vm *vm,
                       void (*visit)(unsigned index, uint64_t base, unsigned gsi, void *opaque),
                       void *opaque)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        struct device *dev = vm->devices->pdata[i];
        if (!dev->bus || dev->bus->class != &virtio_bus)
            continue;
        const struct virtio_mmio *slot = container_of(dev, struct virtio_plug, dev)->slot;
        visit(slot->index, slot->region.base, slot->line.pin, opaque);
    }
}

/* --- what is plugged into it ---------------------------------------------------------------- */

/* The registers are mapped anew, so that engines learn which of them is an eventfd. */
static void slot_occupy(struct virtio_mmio *slot, struct virtio_device *vdev)
{
    struct address_space *memory = slot->dev.vm->memory;
    address_space_remove(memory, &slot->region);
    slot->vdev = vdev;
    slot->event = (struct region_event){ .offset = REG_QUEUE_NOTIFY, .size = 4 };
    if (vdev)
        slot->event.fd = vdev->kick_fd;
    slot->region.events = &slot->event;
    slot->region.event_count = vdev ? 1 : 0;
    address_space_add(memory, &slot->region);
}

bool virtio_plug_realize(struct device *dev, GError **error)
{
    struct virtio_plug *plug = container_of(dev, struct virtio_plug, dev);
    const struct virtio_plug_type *type = dev->type->on_bus;
    struct virtio_device *vdev = (void *)((char *)dev + type->offset);

    plug->slot = container_of(dev->bus->parent, struct virtio_mmio, dev);
    plug->vdev = vdev;
    vdev->no_version_1 = vdev->legacy = plug->slot->force_legacy;
    if (!virtio_realize(vdev, dev, type->ops, &mmio_transport, error))
        return false;
    slot_occupy(plug->slot, vdev);
    return true;
}

void virtio_plug_unrealize(struct device *dev)
{
    struct virtio_plug *plug = container_of(dev, struct virtio_plug, dev);
    slot_occupy(plug->slot, NULL);
    virtio_unrealize(plug->vdev);
}

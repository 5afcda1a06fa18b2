/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio over memory-mapped registers: slots a board has, each with a bus for one device.
 * (virtio 1.2, 4.2)
 *
 *      virtio-mmio (slot 7) ── virtio-mmio-bus.7 ── virtio-blk-device
 *
 * Main loop. */
#ifndef YADO_VIRTIO_MMIO_H
#define YADO_VIRTIO_MMIO_H

#include "virtio/virtio.h"

struct vm;
struct virtio_mmio;

#define VIRTIO_MMIO_BYTES 512u /* of a slot's registers */

extern const struct bus_class virtio_bus;

/* Makes a slot. `index` names its bus; `line` is borrowed. */
bool virtio_mmio_create(struct vm *vm, unsigned index, uint64_t base, const struct irq_line *line,
                        GError **error);

/* Calls `visit` for each slot that has a device, in the order the devices were given. */
void virtio_mmio_visit(const struct vm *vm,
                       void (*visit)(unsigned index, uint64_t base, unsigned gsi, void *opaque),
                       void *opaque);

/* What a type on virtio_bus is: device_type.on_bus points to one. Its struct begins with a struct
 * virtio_plug, and has the virtio device at `offset`. */
struct virtio_plug_type {
    const struct virtio_ops *ops;
    size_t offset;
};

struct virtio_plug {
    struct device dev;
    struct virtio_mmio *slot;   /* [const] */
    struct virtio_device *vdev; /* [const] */
};

bool virtio_plug_realize(struct device *dev, GError **error);
void virtio_plug_unrealize(struct device *dev);

/* Registers "<word>-device". `structure` is the device's struct, which begins with its
 * virtio_device; `list` is a macro (structure, field) of its properties, with a comma at the end.
 */
#define VIRTIO_MMIO_TYPE(symbol, word, structure_, list, ops_, category_, description_) \
    struct symbol##_plug { \
        struct virtio_plug plug; \
        structure_ device; \
    }; \
    static const struct property symbol##_plug_properties[] = { \
        list(struct symbol##_plug, device) VIRTIO_PROPERTIES(struct symbol##_plug, device.vdev), \
        {}, \
    }; \
    static const struct virtio_plug_type symbol##_plug_info = { \
        .ops = ops_, \
        .offset = offsetof(struct symbol##_plug, device), \
    }; \
    DEVICE_TYPE(symbol##_plug) = { \
        .name = word "-device", \
        .description = description_, \
        .category = category_, \
        .bus = &virtio_bus, \
        .on_bus = &symbol##_plug_info, \
        .size = sizeof(struct symbol##_plug), \
        .properties = symbol##_plug_properties, \
        .realize = virtio_plug_realize, \
        .unrealize = virtio_plug_unrealize, \
    }

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VIRTIO_TYPES() makes a virtio device a type of each transport. */
#ifndef YADO_VIRTIO_TYPES_H
#define YADO_VIRTIO_TYPES_H

#include "virtio/mmio.h"
#include "virtio/pci.h"

/* `word` is "virtio-blk"; `structure` begins with the device's struct virtio_device, called vdev;
 * `list` is a macro (structure, field) of its properties, each followed by a comma. */
#define VIRTIO_TYPES(symbol, word, structure, list, ops, category, description) \
    VIRTIO_PCI_TYPES(symbol, word, structure, list, ops, category, description); \
    VIRTIO_MMIO_TYPE(symbol, word, structure, list, ops, category, description)

#endif

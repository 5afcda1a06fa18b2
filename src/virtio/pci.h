/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio over PCI: modern registers behind vendor capabilities, and those of before virtio 1.0 in
 * an I/O BAR. (virtio 1.2, 4.1) Main loop. */
#ifndef YADO_VIRTIO_PCI_H
#define YADO_VIRTIO_PCI_H

#include "hw/pci/pci.h"
#include "virtio/virtio.h"

enum virtio_pci_mode {
    VIRTIO_PCI_ANY,          /* as disable-legacy and disable-modern say */
    VIRTIO_PCI_TRANSITIONAL, /* both */
    VIRTIO_PCI_MODERN,
};

/* device_type.on_bus points to `pci`. The type's struct begins with a struct virtio_pci, and has
 * the virtio device at `offset`. */
struct virtio_pci_type {
    struct pci_type pci;
    const struct virtio_ops *ops;
    size_t offset;
    enum virtio_pci_mode mode;
};

struct virtio_pci {
    struct pci_function function;
    struct virtio_device *vdev; /* [const] */
    bool modern, legacy;        /* [const] which registers there are */
    uint32_t vectors;           /* [const] property; UINT32_MAX: one per queue and one more */
    int disable_legacy;         /* [const] property, enum on_off_auto */
    bool disable_modern, page_per_vq, ioeventfd; /* [const] properties */

    struct region common, isr_region, device_config, notify, ports; /* in the BARs */
    struct region_event *notify_events, ports_event;
    unsigned notify_stride; /* [const] bytes between the queues' notify registers */
    uint8_t window_offset;  /* [const] of the capability through which BARs are accessed */

    /* [vdev->lock] */
    uint32_t device_features_select, driver_features_select;
    uint16_t queue_select;

    pthread_mutex_t isr_lock;
    uint8_t isr; /* [isr_lock] */
};

bool virtio_pci_realize(struct device *dev, GError **error);
void virtio_pci_unrealize(struct device *dev);
void virtio_pci_reset(struct device *dev);
extern const struct pci_function_ops virtio_pci_ops;

#define VIRTIO_PCI_VENDOR 0x1af4

#define VIRTIO_PCI_PROPERTIES(structure) \
    PROPERTY_U32("vectors", structure, proxy.vectors, UINT32_MAX, \
                 .help = "of MSI-X; 0: none; 4294967295: enough"), \
        PROPERTY_BOOL("disable-modern", structure, proxy.disable_modern, false, \
                      .help = "no registers of virtio 1.0"), \
        PROPERTY_BOOL("page-per-vq", structure, proxy.page_per_vq, false, \
                      .help = "each queue's notify register in a page of its own"), \
        PROPERTY_BOOL("ioeventfd", structure, proxy.ioeventfd, true, \
                      .help = "let the kernel signal queues")

#define VIRTIO_PCI_LEGACY_PROPERTY(structure) \
    PROPERTY_ON_OFF_AUTO("disable-legacy", structure, proxy.disable_legacy, ON_OFF_AUTO_AUTO, \
                         .help = "no registers from before virtio 1.0")

#define VIRTIO_PCI_TYPE_(symbol, suffix, word, alias_, mode_, ops_, category_, description_) \
    static const struct virtio_pci_type symbol##suffix##_info = { \
        .pci = { .vendor = VIRTIO_PCI_VENDOR, \
                 .device = 0x1000, \
                 .class = PCI_CLASS_OTHER, \
                 .interrupt_pin = 1, \
                 .express = true, \
                 .ops = &virtio_pci_ops }, \
        .ops = ops_, \
        .offset = offsetof(struct symbol##_pci, device), \
        .mode = mode_, \
    }; \
    DEVICE_TYPE(symbol##suffix) = { \
        .name = word, \
        .alias = alias_, \
        .description = description_, \
        .category = category_, \
        .bus = &bus_pci, \
        .on_bus = &symbol##suffix##_info.pci, \
        .size = sizeof(struct symbol##_pci), \
        .properties = symbol##_pci_properties, \
        .realize = virtio_pci_realize, \
        .unrealize = virtio_pci_unrealize, \
        .reset = virtio_pci_reset, \
    }

/* Registers "<word>-pci" and its two relatives; see VIRTIO_MMIO_TYPE(). */
#define VIRTIO_PCI_TYPES(symbol, word, structure_, list, ops, category, description) \
    struct symbol##_pci { \
        struct virtio_pci proxy; \
        structure_ device; \
    }; \
    static const struct property symbol##_pci_properties[] = { \
        list(struct symbol##_pci, device) VIRTIO_PROPERTIES(struct symbol##_pci, device.vdev), \
        VIRTIO_PCI_PROPERTIES(struct symbol##_pci), \
        VIRTIO_PCI_LEGACY_PROPERTY(struct symbol##_pci), \
        {}, \
    }; \
    VIRTIO_PCI_TYPE_(symbol, _pci_any, word "-pci", word, VIRTIO_PCI_ANY, ops, category, \
                     description); \
    VIRTIO_PCI_TYPE_(symbol, _pci_transitional, word "-pci-transitional", NULL, \
                     VIRTIO_PCI_TRANSITIONAL, ops, category, description); \
    VIRTIO_PCI_TYPE_(symbol, _pci_modern, word "-pci-non-transitional", NULL, VIRTIO_PCI_MODERN, \
                     ops, category, description)

#endif

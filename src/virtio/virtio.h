/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all virtio devices have in common, whatever they are attached by: features, status, queues,
 * configuration space. (virtio 1.2, chapters 2 and 3)
 *
 * A device is a struct whose first member is `struct virtio_device`, and a constant virtio_ops. A
 * transport (mmio.c, pci.c) puts registers before it and a `struct device` around it:
 *
 *      driver ── registers ──> transport ── virtio_set_status(), … ──> virtio.c ── ops ──> device
 *             <── interrupt ── transport <── transport->notify() ──── virtio.c <── virtio_…() ──┘
 *
 * Threads. A device has one context, the main loop or an iothread, on which ops->kick() runs and
 * its requests end. A kick is a write to the device's eventfd, from a vCPU's thread or by the
 * kernel (KVM_IOEVENTFD), which wakes the context. vdev->lock guards everything else: the core
 * takes it around ops; a device takes it with virtio_lock() where it is called by others.
 * Interrupts that were asked for meanwhile are sent by virtio_unlock(), without the lock.
 *
 * Reset must not return before the last byte has been written to guest memory. Requests that other
 * layers work on are therefore counted (virtio_request_begin(), virtio_request_end()), and a reset
 * waits until there are none. A vCPU that shall pause does not wait: the reset then completes with
 * the last request, and the status says so. */
#ifndef YADO_VIRTIO_VIRTIO_H
#define YADO_VIRTIO_VIRTIO_H

#include "hw/device.h"
#include "virtio/queue.h"

struct iothread;
struct virtio_device;

#define VIRTIO_QUEUES_MAX 256u
#define VIRTIO_CONFIG_MAX 256u
#define VIRTIO_VENDOR_ID 0x554d4551u /* in virtio-mmio's register; the value drivers know */

enum virtio_id { /* chapter 5 */
                 VIRTIO_ID_NET = 1,
                 VIRTIO_ID_BLOCK = 2,
                 VIRTIO_ID_CONSOLE = 3,
                 VIRTIO_ID_ENTROPY = 4,
                 VIRTIO_ID_BALLOON = 5,
};

enum virtio_status { /* 2.1 */
                     VIRTIO_ACKNOWLEDGE = 1,
                     VIRTIO_DRIVER = 2,
                     VIRTIO_DRIVER_OK = 4,
                     VIRTIO_FEATURES_OK = 8,
                     VIRTIO_NEEDS_RESET = 64,
                     VIRTIO_FAILED = 128,
};

/* Chapter 6, and 6.3 for the legacy ones. */
#define VIRTIO_F_NOTIFY_ON_EMPTY (1ull << 24)
#define VIRTIO_F_ANY_LAYOUT (1ull << 27)
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)
#define VIRTIO_F_RING_PACKED (1ull << 34)
#define VIRTIO_F_LEGACY_ONLY (VIRTIO_F_NOTIFY_ON_EMPTY | VIRTIO_F_ANY_LAYOUT)
#define VIRTIO_NO_VECTOR 0xffffu

enum virtio_isr { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };

/* One kind of device. All with vdev->lock held except realize and unrealize (main loop). */
struct virtio_ops {
    uint16_t id;            /* enum virtio_id */
    uint32_t class_code;    /* as a PCI function: class, subclass, programming interface */
    uint16_t legacy_pci_id; /* transitional PCI device id */
    /* Adds queues, fills vdev->config and vdev->device_features; may set vdev->iothread. */
    bool (*realize)(struct virtio_device *vdev, GError **error);
    void (*unrealize)(struct virtio_device *vdev); /* also after a realize that failed */
    /* The driver asks for these; false: not in this combination. May be NULL. */
    bool (*accept_features)(struct virtio_device *vdev, uint64_t features);
    /* The driver has written config bytes that config_writable allows. May be NULL. */
    void (*config_written)(struct virtio_device *vdev, unsigned offset, unsigned size);
    void (*start)(struct virtio_device *vdev); /* DRIVER_OK. May be NULL */
    /* The driver's doing is over: forget chains. No request is under way. */
    void (*reset)(struct virtio_device *vdev);
    /* On the context: queue `index` has something to pop. */
    void (*kick)(struct virtio_device *vdev, unsigned index);
};

struct virtio_queue {
    struct virtqueue vq;
    struct virtio_device *vdev;
    uint16_t index, size_max; /* [const] */
    uint16_t vector;          /* MSI-X, or VIRTIO_NO_VECTOR */
    bool ready;               /* the driver has enabled it */
    bool notify;              /* an interrupt is to be sent on unlock */
    bool unpublished;         /* see virtio_publish_soon() */
};

struct virtio_transport {
    /* Sends an interrupt: `isr` is set in the ISR status, or `vector` by MSI-X. Any thread, without
     * vdev->lock. */
    void (*notify)(struct virtio_device *vdev, enum virtio_isr isr, uint16_t vector);
    /* Whether the device may reach memory at all now; NULL: always. With vdev->lock. */
    bool (*may_transfer)(const struct virtio_device *vdev);
    /* Drops the line and the ISR. With vdev->lock. */
    void (*reset)(struct virtio_device *vdev);
};

/* Properties of every virtio device; part of it. */
struct virtio_options {
    bool indirect, event_index, packed, notify_on_empty, any_layout, access_platform;
};

struct virtio_device {
    const struct virtio_ops *ops;             /* [const] */
    const struct virtio_transport *transport; /* [const] */
    struct device *dev;                       /* [const] around it: id, machine, name */
    struct virtio_options options;            /* [const] properties */
    struct iothread *iothread;                /* [const] NULL: the main loop */
    bool no_version_1;                        /* [const] a legacy transport */
    unsigned config_size;                     /* [const] bytes */
    uint64_t device_features;                 /* [const] offered */
    unsigned queue_count;                     /* [const] after realize */
    struct virtio_queue *queues;
    int kick_fd;     /* [const] */
    GSource *source; /* [const] its kicks on the context */

    pthread_mutex_t lock;
    pthread_cond_t idle;                        /* in_flight became 0 */
    uint64_t driver_features;                   /* [lock] */
    uint8_t status;                             /* [lock] */
    bool legacy;                                /* [lock] the driver uses the legacy interface */
    bool resetting;                             /* [lock] waits for requests */
    uint32_t generation;                        /* [lock] of config */
    uint16_t config_vector;                     /* [lock] */
    bool notify_config;                         /* [lock] to be sent on unlock */
    unsigned notify_count;                      /* [lock] queues with `notify` */
    unsigned in_flight;                         /* [lock] */
    bool publish_soon;                          /* context's thread: a queue is `unpublished` */
    uint8_t config[VIRTIO_CONFIG_MAX];          /* [lock] */
    uint8_t config_writable[VIRTIO_CONFIG_MAX]; /* [const] masks */
    bool complained;                            /* [lock] about the driver; once is enough */
};

/* --- for transports -------------------------------------------------------------------------- */

/* `vdev` is zeroed but for its options and what is the device's own. */
bool virtio_realize(struct virtio_device *vdev, struct device *dev, const struct virtio_ops *ops,
                    const struct virtio_transport *transport, GError **error);
void virtio_unrealize(struct virtio_device *vdev);

/* With vdev->lock held, all of the following. */
uint64_t virtio_offered(const struct virtio_device *vdev); /* to the interface in use */
void virtio_set_features(struct virtio_device *vdev, unsigned half, uint32_t value);
uint8_t virtio_status(const struct virtio_device *vdev);
void virtio_set_status(struct virtio_device *vdev, uint8_t status); /* 0: reset */
uint64_t virtio_config_load(const struct virtio_device *vdev, uint64_t offset, unsigned size);
void virtio_config_store(struct virtio_device *vdev, uint64_t offset, uint64_t value,
                         unsigned size);
/* NULL if there is none. */
struct virtio_queue *virtio_queue(struct virtio_device *vdev, uint32_t index);
void virtio_queue_set_size(struct virtio_queue *queue, uint32_t size);
void virtio_queue_set_ready(struct virtio_queue *queue, bool ready);
/* Legacy: the whole queue at guest page number * `page_size`; 0 stops it. */
void virtio_queue_set_page(struct virtio_queue *queue, uint32_t page, uint32_t page_size,
                           uint32_t align);

/* Any thread, no lock: the driver has kicked. */
void virtio_kick(struct virtio_device *vdev);
/* Main loop, for the machine's reset. */
void virtio_machine_reset(struct virtio_device *vdev);

/* --- for devices ----------------------------------------------------------------------------- */

void virtio_lock(struct virtio_device *vdev);
void virtio_unlock(struct virtio_device *vdev); /* and sends interrupts */

/* In realize; returns its index. */
unsigned virtio_add_queue(struct virtio_device *vdev, uint16_t size);
static inline struct virtqueue *virtio_vq(struct virtio_device *vdev, unsigned index)
{
    return &vdev->queues[index].vq;
}

static inline bool virtio_has(const struct virtio_device *vdev, uint64_t feature)
{
    return vdev->driver_features & feature;
}

/* Whether the queues may be used: the driver is there, nothing is broken. */
bool virtio_running(const struct virtio_device *vdev);

/* Shows the driver what was pushed, and interrupts it if it wants that. */
void virtio_publish(struct virtio_device *vdev, unsigned index);
/* On the context: the same once before its loop waits, whatever more is pushed until then. */
void virtio_publish_soon(struct virtio_device *vdev, unsigned index);
/* vdev->config was changed by the device. */
void virtio_config_changed(struct virtio_device *vdev);
/* The driver is wrong: NEEDS_RESET. Returns false. */
bool virtio_fail(struct virtio_device *vdev, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A chain was given to another layer; it came back (on the context). */
void virtio_request_begin(struct virtio_device *vdev);
void virtio_request_end(struct virtio_device *vdev);

/* The loop of the device's context. */
GMainContext *virtio_loop(const struct virtio_device *vdev);

/* Properties every virtio device has, for the table of a type around `structure.field`. */
#define VIRTIO_PROPERTIES(structure, field) \
    PROPERTY_BOOL("indirect_desc", structure, field.options.indirect, true, \
                  .help = "indirect descriptors"), \
        PROPERTY_BOOL("event_idx", structure, field.options.event_index, true, \
                      .help = "event index"), \
        PROPERTY_BOOL("packed", structure, field.options.packed, false, .help = "packed rings"), \
        PROPERTY_BOOL("notify_on_empty", structure, field.options.notify_on_empty, true, \
                      .help = "legacy: interrupt when a queue has run empty"), \
        PROPERTY_BOOL("any_layout", structure, field.options.any_layout, true, \
                      .help = "legacy: no framing assumed"), \
        PROPERTY_BOOL("iommu_platform", structure, field.options.access_platform, false, \
                      .help = "offer VIRTIO_F_ACCESS_PLATFORM")

#endif

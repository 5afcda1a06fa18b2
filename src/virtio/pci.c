/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a function of this kind has:
 *
 *      BAR 0   ports       registers of before virtio 1.0 (4.1.4.10), unless it is modern only
 *      BAR 1   memory      MSI-X
 *      BAR 4   memory, 64  0x0000 common configuration   0x1000 ISR status
 *                          0x2000 the device's own       0x3000 notifications
 *
 * and a vendor capability that names each of the last four. A driver uses one of the two
 * interfaces; which one is known from its first access after a reset.
 *
 * Threads: registers under vdev->lock; the ISR status under its own, innermost lock. */
#include "virtio/pci.h"

#include <inttypes.h>
#include <string.h>

#include "util/log.h"
#include "vm/vm.h"

#define MODERN_BAR 4
#define MSIX_BAR 1
#define LEGACY_BAR 0
#define AREA_BYTES 0x1000u
#define VECTORS_AUTO UINT32_MAX

enum capability_type { /* 4.1.4 */
                       CAP_COMMON = 1,
                       CAP_NOTIFY = 2,
                       CAP_ISR = 3,
                       CAP_DEVICE = 4,
                       CAP_WINDOW = 5,
};
#define CAP_BYTES 16u
#define CAP_NOTIFY_BYTES 20u /* with the multiplier */
#define CAP_WINDOW_BYTES 20u /* with the data */
#define CAP_WINDOW_DATA 16u

enum common_register { /* 4.1.4.3 */
                       COMMON_DEVICE_FEATURES_SELECT = 0,
                       COMMON_DEVICE_FEATURES = 4,
                       COMMON_DRIVER_FEATURES_SELECT = 8,
                       COMMON_DRIVER_FEATURES = 12,
                       COMMON_CONFIG_VECTOR = 16,
                       COMMON_QUEUES = 18,
                       COMMON_STATUS = 20,
                       COMMON_GENERATION = 21,
                       COMMON_QUEUE_SELECT = 22,
                       COMMON_QUEUE_SIZE = 24,
                       COMMON_QUEUE_VECTOR = 26,
                       COMMON_QUEUE_ENABLE = 28,
                       COMMON_QUEUE_NOTIFY_OFFSET = 30,
                       COMMON_QUEUE_DESCRIPTORS = 32, /* 64 bits, as the next two */
                       COMMON_QUEUE_DRIVER = 40,
                       COMMON_QUEUE_DEVICE = 48,
                       COMMON_END = 56,
};

enum legacy_register { /* 4.1.4.10 */
                       LEGACY_DEVICE_FEATURES = 0,
                       LEGACY_DRIVER_FEATURES = 4,
                       LEGACY_QUEUE_PAGE = 8,
                       LEGACY_QUEUE_SIZE = 12,
                       LEGACY_QUEUE_SELECT = 14,
                       LEGACY_QUEUE_NOTIFY = 16,
                       LEGACY_STATUS = 18,
                       LEGACY_ISR = 19,
                       LEGACY_CONFIG_VECTOR = 20, /* only while MSI-X is enabled, as the next */
                       LEGACY_QUEUE_VECTOR = 22,
};
#define LEGACY_CONFIG 20u
#define LEGACY_CONFIG_MSIX 24u
#define LEGACY_PAGE 4096u

static struct virtio_pci *proxy_of(struct device *dev)
{
    return container_of(dev, struct virtio_pci, function.dev);
}

/* --- interrupts ----------------------------------------------------------------------------- */

static uint8_t isr_change(struct virtio_pci *proxy, uint8_t set, uint8_t clear)
{
    pthread_mutex_lock(&proxy->isr_lock);
    uint8_t old = proxy->isr;
    proxy->isr = (old | set) & ~clear;
    if (!old != !proxy->isr)
        pci_irq_set(&proxy->function, proxy->isr && !pci_msix_enabled(&proxy->function));
    pthread_mutex_unlock(&proxy->isr_lock);
    return old;
}

static void pci_notify(struct virtio_device *vdev, enum virtio_isr isr, uint16_t vector)
{
    struct virtio_pci *proxy = proxy_of(vdev->dev);
    bool msix = pci_msix_enabled(&proxy->function);
    if (!msix || isr == VIRTIO_ISR_CONFIG)
        isr_change(proxy, isr, 0);
    if (msix && vector != VIRTIO_NO_VECTOR)
        pci_msix_notify(&proxy->function, vector);
}

static void pci_driver_reset(struct virtio_device *vdev)
{
    struct virtio_pci *proxy = proxy_of(vdev->dev);
    proxy->device_features_select = proxy->driver_features_select = 0;
    proxy->queue_select = 0;
    vdev->legacy = !proxy->modern;
    isr_change(proxy, 0, 0xff);
}

/* Old drivers do not ask for it: Linux before 2.6.34 left bus mastering off. */
static bool pci_may_transfer(const struct virtio_device *vdev)
{
    return vdev->legacy || pci_is_master(&proxy_of(vdev->dev)->function);
}

static const struct virtio_transport pci_transport = {
    .notify = pci_notify,
    .reset = pci_driver_reset,
    .may_transfer = pci_may_transfer,
};

static uint16_t vector_valid(const struct virtio_pci *proxy, uint16_t vector)
{
    return vector < proxy->function.msix.count ? vector : VIRTIO_NO_VECTOR;
}

/* Whose registers a driver uses is settled until the next reset by what it does first. */
static void use_interface(struct virtio_pci *proxy, bool legacy)
{
    if (!virtio_status(proxy->vdev) && proxy->modern && proxy->legacy)
        proxy->vdev->legacy = legacy;
}

/* --- common configuration ------------------------------------------------------------------- */

static uint64_t *queue_address(struct virtio_queue *queue, uint64_t offset)
{
    switch (offset & ~4ull) {
    case COMMON_QUEUE_DESCRIPTORS:
        return &queue->vq.descriptor_gpa;
    case COMMON_QUEUE_DRIVER:
        return &queue->vq.driver_gpa;
    default:
        return &queue->vq.device_gpa;
    }
}

static uint32_t queue_register_read(struct virtio_pci *proxy, uint64_t offset)
{
    struct virtio_queue *queue = virtio_queue(proxy->vdev, proxy->queue_select);
    if (!queue) /* its size of 0 says that there is none */
        return offset == COMMON_QUEUE_VECTOR ? VIRTIO_NO_VECTOR : 0;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return queue->vq.size;
    case COMMON_QUEUE_VECTOR:
        return queue->vector;
    case COMMON_QUEUE_ENABLE:
        return queue->ready;
    case COMMON_QUEUE_NOTIFY_OFFSET:
        return queue->index;
    }
    if (offset < COMMON_QUEUE_DESCRIPTORS || offset >= COMMON_END)
        return 0;
    return *queue_address(queue, offset) >> (offset & 4 ? 32 : 0);
}

static uint32_t common_register_read(struct virtio_pci *proxy, uint64_t offset)
{
    struct virtio_device *vdev = proxy->vdev;
    unsigned half = proxy->device_features_select;
    switch (offset) {
    case COMMON_DEVICE_FEATURES_SELECT:
        return half;
    case COMMON_DEVICE_FEATURES:
        return half < 2 ? virtio_offered(vdev) >> (32 * half) : 0;
    case COMMON_DRIVER_FEATURES_SELECT:
        return proxy->driver_features_select;
    case COMMON_DRIVER_FEATURES:
        half = proxy->driver_features_select;
        return half < 2 ? vdev->driver_features >> (32 * half) : 0;
    case COMMON_CONFIG_VECTOR:
        return vdev->config_vector;
    case COMMON_QUEUES:
        return vdev->queue_count;
    case COMMON_STATUS:
        return virtio_status(vdev);
    case COMMON_GENERATION:
        return vdev->generation & 0xff;
    case COMMON_QUEUE_SELECT:
        return proxy->queue_select;
    default:
        return queue_register_read(proxy, offset);
    }
}

static uint64_t common_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    virtio_lock(proxy->vdev);
    use_interface(proxy, false);
    uint64_t value = common_register_read(proxy, offset);
    virtio_unlock(proxy->vdev);
    return value;
}

static void queue_register_write(struct virtio_pci *proxy, uint64_t offset, uint32_t value)
{
    struct virtio_queue *queue = virtio_queue(proxy->vdev, proxy->queue_select);
    if (!queue)
        return;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        virtio_queue_set_size(queue, value & 0xffff);
        return;
    case COMMON_QUEUE_VECTOR:
        queue->vector = vector_valid(proxy, value);
        return;
    case COMMON_QUEUE_ENABLE:
        if (value & 1) /* only a reset takes it back (4.1.4.3.2) */
            virtio_queue_set_ready(queue, true);
        return;
    }
    if (offset < COMMON_QUEUE_DESCRIPTORS || offset >= COMMON_END || queue->ready)
        return;
    uint64_t *address = queue_address(queue, offset);
    if (offset & 4)
        *address = (uint32_t)*address | (uint64_t)value << 32;
    else
        *address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void common_register_write(struct virtio_pci *proxy, uint64_t offset, uint32_t value)
{
    struct virtio_device *vdev = proxy->vdev;
    switch (offset) {
    case COMMON_DEVICE_FEATURES_SELECT:
        proxy->device_features_select = value;
        break;
    case COMMON_DRIVER_FEATURES_SELECT:
        proxy->driver_features_select = value;
        break;
    case COMMON_DRIVER_FEATURES:
        virtio_set_features(vdev, proxy->driver_features_select, value);
        break;
    case COMMON_CONFIG_VECTOR:
        vdev->config_vector = vector_valid(proxy, value);
        break;
    case COMMON_STATUS:
        virtio_set_status(vdev, value);
        break;
    case COMMON_QUEUE_SELECT:
        proxy->queue_select = value;
        break;
    default:
        queue_register_write(proxy, offset, value);
        break;
    }
}

static void common_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    virtio_lock(proxy->vdev);
    use_interface(proxy, false);
    common_register_write(proxy, offset, value);
    virtio_unlock(proxy->vdev);
}

/* --- the other modern areas ----------------------------------------------------------------- */

static uint64_t isr_read(struct device *dev, uint64_t offset, unsigned size)
{
    return offset ? 0 : isr_change(proxy_of(dev), 0, 0xff);
}

static uint64_t config_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    virtio_lock(proxy->vdev);
    uint64_t value = virtio_config_load(proxy->vdev, offset, size);
    virtio_unlock(proxy->vdev);
    return value;
}

static void config_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    virtio_lock(proxy->vdev);
    virtio_config_store(proxy->vdev, offset, value, size);
    virtio_unlock(proxy->vdev);
}

static void notify_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    virtio_kick(proxy_of(dev)->vdev);
}

static const struct region_ops common_ops = {
    .read = common_read, .write = common_write, .max_size = 4, .unlocked = true
};
static const struct region_ops isr_ops = { .read = isr_read, .max_size = 4, .unlocked = true };
static const struct region_ops config_ops = {
    .read = config_read, .write = config_write, .max_size = 4, .unlocked = true
};
static const struct region_ops notify_ops = { .write = notify_write,
                                              .max_size = 4,
                                              .unlocked = true };

/* --- legacy registers ----------------------------------------------------------------------- */

static unsigned legacy_config_start(const struct virtio_pci *proxy)
{
    return pci_msix_enabled(&proxy->function) ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
}

static uint32_t legacy_register_read(struct virtio_pci *proxy, uint64_t offset)
{
    struct virtio_device *vdev = proxy->vdev;
    const struct virtio_queue *queue = virtio_queue(vdev, proxy->queue_select);
    switch (offset) {
    case LEGACY_DEVICE_FEATURES:
        return virtio_offered(vdev);
    case LEGACY_DRIVER_FEATURES:
        return vdev->driver_features;
    case LEGACY_QUEUE_PAGE:
        return queue && queue->ready ? queue->vq.descriptor_gpa / LEGACY_PAGE : 0;
    case LEGACY_QUEUE_SIZE:
        return queue ? queue->size_max : 0;
    case LEGACY_QUEUE_SELECT:
        return proxy->queue_select;
    case LEGACY_STATUS:
        return virtio_status(vdev);
    case LEGACY_ISR:
        return isr_change(proxy, 0, 0xff);
    case LEGACY_CONFIG_VECTOR:
        return vdev->config_vector;
    case LEGACY_QUEUE_VECTOR:
        return queue ? queue->vector : VIRTIO_NO_VECTOR;
    default:
        return 0;
    }
}

static uint64_t legacy_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    unsigned config = legacy_config_start(proxy);
    virtio_lock(proxy->vdev);
    use_interface(proxy, true);
    uint64_t value = offset >= config ? virtio_config_load(proxy->vdev, offset - config, size)
                                      : legacy_register_read(proxy, offset);
    virtio_unlock(proxy->vdev);
    return value;
}

static void legacy_register_write(struct virtio_pci *proxy, uint64_t offset, uint32_t value)
{
    struct virtio_device *vdev = proxy->vdev;
    struct virtio_queue *queue = virtio_queue(vdev, proxy->queue_select);
    switch (offset) {
    case LEGACY_DRIVER_FEATURES:
        virtio_set_features(vdev, 0, value);
        break;
    case LEGACY_QUEUE_PAGE:
        if (queue)
            virtio_queue_set_page(queue, value, LEGACY_PAGE, LEGACY_PAGE);
        else if (!value)
            virtio_set_status(vdev, 0);
        break;
    case LEGACY_QUEUE_SELECT:
        proxy->queue_select = value;
        break;
    case LEGACY_STATUS:
        virtio_set_status(vdev, value);
        break;
    case LEGACY_CONFIG_VECTOR:
        vdev->config_vector = vector_valid(proxy, value);
        break;
    case LEGACY_QUEUE_VECTOR:
        if (queue)
            queue->vector = vector_valid(proxy, value);
        break;
    default:
        log_if(LOG_GUEST_ERRORS, "virtio-pci: write to legacy register %" PRIu64, offset);
    }
}

static void legacy_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(dev);
    unsigned config = legacy_config_start(proxy);
    if (offset == LEGACY_QUEUE_NOTIFY) {
        virtio_kick(proxy->vdev);
        return;
    }
    virtio_lock(proxy->vdev);
    use_interface(proxy, true);
    if (offset >= config)
        virtio_config_store(proxy->vdev, offset - config, value, size);
    else
        legacy_register_write(proxy, offset, value);
    virtio_unlock(proxy->vdev);
}

static const struct region_ops legacy_ops = {
    .read = legacy_read, .write = legacy_write, .max_size = 4, .unlocked = true
};

/* --- configuration space -------------------------------------------------------------------- */

/* The window of 4.1.4.9: a driver that cannot map BARs names a place in BAR 4 in the capability,
 * and its data field stands for what is there. False: it names no such place. */
static bool window_target(struct virtio_pci *proxy, struct region **region, uint64_t *offset,
                          unsigned *size)
{
    struct pci_function *function = &proxy->function;
    unsigned at = proxy->window_offset;
    uint64_t place = pci_config_load(function, at + 8, 4);
    struct region *const areas[] = { &proxy->common, &proxy->isr_region, &proxy->device_config,
                                     &proxy->notify };
    *size = pci_config_load(function, at + 12, 4);
    if (pci_config_load(function, at + 4, 1) != MODERN_BAR
        || (*size != 1 && *size != 2 && *size != 4) || place % *size)
        return false;
    unsigned area = MIN(place / AREA_BYTES, G_N_ELEMENTS(areas) - 1);
    *offset = place - area * AREA_BYTES;
    *region = areas[area];
    return *offset < (*region)->size;
}

static bool is_window_data(const struct virtio_pci *proxy, unsigned offset)
{
    unsigned data = proxy->window_offset + CAP_WINDOW_DATA;
    return proxy->window_offset && offset >= data && offset < data + 4;
}

static uint32_t pci_config_hook_read(struct pci_function *function, unsigned offset, unsigned size)
{
    struct virtio_pci *proxy = proxy_of(&function->dev);
    struct region *region;
    uint64_t place;
    unsigned width;
    if (!is_window_data(proxy, offset) || !window_target(proxy, &region, &place, &width))
        return pci_config_load(function, offset, size);
    return region->ops->read ? region->ops->read(&function->dev, place, width) : 0;
}

static void pci_config_hook_write(struct pci_function *function, unsigned offset, uint32_t value,
                                  unsigned size)
{
    struct virtio_pci *proxy = proxy_of(&function->dev);
    struct region *region;
    uint64_t place;
    unsigned width;
    pci_config_store(function, offset, value, size);
    if (is_window_data(proxy, offset) && window_target(proxy, &region, &place, &width)
        && region->ops->write)
        region->ops->write(&function->dev, place, value, width);
}

/* The driver may have become able to transfer only now. */
static void pci_config_written(struct pci_function *function)
{
    virtio_kick(proxy_of(&function->dev)->vdev);
}

const struct pci_function_ops virtio_pci_ops = {
    .config_read = pci_config_hook_read,
    .config_write = pci_config_hook_write,
    .written = pci_config_written,
};

/* --- realize -------------------------------------------------------------------------------- */

static bool capability_add(struct virtio_pci *proxy, enum capability_type type, uint32_t offset,
                           uint32_t length, uint8_t bytes, uint8_t *place, GError **error)
{
    struct pci_function *function = &proxy->function;
    bool window = type == CAP_WINDOW;
    uint8_t at = pci_capability_add(function, PCI_CAP_VENDOR, 0, bytes, error);
    if (!at)
        return false;
    pci_config_define(function, at + 2, 1, bytes, 0);
    pci_config_define(function, at + 3, 1, type, 0);
    pci_config_define(function, at + 4, 1, window ? 0 : MODERN_BAR, window ? 0xff : 0);
    pci_config_define(function, at + 8, 4, offset, window ? UINT32_MAX : 0);
    pci_config_define(function, at + 12, 4, length, window ? UINT32_MAX : 0);
    *place = at;
    return true;
}

static struct region area(struct virtio_pci *proxy, const char *name, uint64_t size,
                          const struct region_ops *ops)
{
    return (struct region){ .name = name, .size = size, .ops = ops, .dev = &proxy->function.dev };
}

static uint64_t power_of_two(uint64_t size)
{
    return size <= 1 ? 1 : 1ull << (64 - __builtin_clzll(size - 1));
}

static bool modern_define(struct virtio_pci *proxy, GError **error)
{
    struct pci_function *function = &proxy->function;
    struct virtio_device *vdev = proxy->vdev;
    uint64_t notify_bytes = MAX(AREA_BYTES, (uint64_t)proxy->notify_stride * vdev->queue_count);
    uint8_t at;

    proxy->common = area(proxy, "virtio-pci-common", AREA_BYTES, &common_ops);
    proxy->isr_region = area(proxy, "virtio-pci-isr", AREA_BYTES, &isr_ops);
    proxy->device_config = area(proxy, "virtio-pci-device", AREA_BYTES, &config_ops);
    proxy->notify = area(proxy, "virtio-pci-notify", notify_bytes, &notify_ops);
    proxy->notify_events = g_new0(struct region_event, vdev->queue_count);
    for (unsigned i = 0; i < vdev->queue_count; i++)
        proxy->notify_events[i] = (struct region_event){
            .offset = (uint64_t)proxy->notify_stride * i, .size = 2, .fd = vdev->kick_fd
        };
    proxy->notify.events = proxy->notify_events;
    proxy->notify.event_count = proxy->ioeventfd ? vdev->queue_count : 0;
    pci_bar_define(function, MODERN_BAR, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH,
                   power_of_two(3 * AREA_BYTES + notify_bytes));
    pci_bar_add_region(function, MODERN_BAR, 0, &proxy->common);
    pci_bar_add_region(function, MODERN_BAR, AREA_BYTES, &proxy->isr_region);
    pci_bar_add_region(function, MODERN_BAR, 2 * AREA_BYTES, &proxy->device_config);
    pci_bar_add_region(function, MODERN_BAR, 3 * AREA_BYTES, &proxy->notify);

    if (!capability_add(proxy, CAP_COMMON, 0, AREA_BYTES, CAP_BYTES, &at, error)
        || !capability_add(proxy, CAP_ISR, AREA_BYTES, AREA_BYTES, CAP_BYTES, &at, error)
        || !capability_add(proxy, CAP_DEVICE, 2 * AREA_BYTES, AREA_BYTES, CAP_BYTES, &at, error)
        || !capability_add(proxy, CAP_NOTIFY, 3 * AREA_BYTES, notify_bytes, CAP_NOTIFY_BYTES, &at,
                           error))
        return false;
    pci_config_define(function, at + 16, 4, proxy->notify_stride, 0);
    if (!capability_add(proxy, CAP_WINDOW, 0, 0, CAP_WINDOW_BYTES, &proxy->window_offset, error))
        return false;
    pci_config_define(function, proxy->window_offset + CAP_WINDOW_DATA, 4, 0, UINT32_MAX);
    return true;
}

static void legacy_define(struct virtio_pci *proxy)
{
    unsigned registers = proxy->vectors ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
    uint64_t size = power_of_two(registers + proxy->vdev->config_size);
    proxy->ports = area(proxy, "virtio-pci", size, &legacy_ops);
    proxy->ports_event = (struct region_event){ .offset = LEGACY_QUEUE_NOTIFY,
                                                .size = 2,
                                                .fd = proxy->vdev->kick_fd };
    proxy->ports.events = &proxy->ports_event;
    proxy->ports.event_count = proxy->ioeventfd ? 1 : 0;
    pci_bar_define(&proxy->function, LEGACY_BAR, PCI_BAR_IO, size);
    pci_bar_add_region(&proxy->function, LEGACY_BAR, 0, &proxy->ports);
}

/* Ids: transitional devices have the old ones, by which old drivers know them. (4.1.2) */
static void header_define(struct virtio_pci *proxy)
{
    struct pci_function *function = &proxy->function;
    const struct virtio_ops *ops = proxy->vdev->ops;
    pci_config_define(function, PCI_DEVICE, 2,
                      proxy->legacy ? ops->legacy_pci_id : 0x1040 + ops->id, 0);
    pci_config_define(function, PCI_REVISION, 1, proxy->legacy ? 0 : 1, 0);
    pci_config_define(function, PCI_REVISION + 1, 1, ops->class_code & 0xff, 0);
    pci_config_define(function, PCI_REVISION + 2, 2, ops->class_code >> 8, 0);
    pci_config_define(function, PCI_SUBSYSTEM_VENDOR, 2, VIRTIO_PCI_VENDOR, 0);
    pci_config_define(function, PCI_SUBSYSTEM, 2, proxy->legacy ? ops->id : 0x1100, 0);
}

/* Behind an express port there is little room for ports, and drivers are new. */
static bool modes_choose(struct virtio_pci *proxy, enum virtio_pci_mode mode, bool port,
                         GError **error)
{
    proxy->modern = mode != VIRTIO_PCI_ANY || !proxy->disable_modern;
    proxy->legacy = mode == VIRTIO_PCI_TRANSITIONAL
                    || (mode == VIRTIO_PCI_ANY && !on_off_auto_is(proxy->disable_legacy, port));
    if (!proxy->modern && !proxy->legacy)
        return fail(error, "device cannot work as neither modern nor legacy mode is enabled: set "
                           "either disable-modern or disable-legacy to off");
    return true;
}

static bool registers_define(struct virtio_pci *proxy, bool port, GError **error)
{
    struct pci_function *function = &proxy->function;
    if (proxy->vectors == VECTORS_AUTO)
        proxy->vectors = proxy->vdev->queue_count + 1;
    header_define(proxy);
    if (port
        && !(pci_express_init(function, 0, PCI_EXPRESS_ENDPOINT, 0, error)
             && pci_power_init(function, 0, error)))
        return false;
    if (proxy->legacy)
        legacy_define(proxy);
    if (proxy->modern && !modern_define(proxy, error))
        return false;
    return !proxy->vectors || pci_msix_init(function, proxy->vectors, MSIX_BAR, error);
}

bool virtio_pci_realize(struct device *dev, GError **error)
{
    struct virtio_pci *proxy = proxy_of(dev);
    const struct virtio_pci_type *type =
        container_of(proxy->function.pci, struct virtio_pci_type, pci);
    struct virtio_device *vdev = (void *)((char *)dev + type->offset);
    bool port = pci_is_express(&proxy->function) && proxy->function.bus->bridge;

    proxy->vdev = vdev;
    if (!modes_choose(proxy, type->mode, port, error))
        return false;
    pthread_mutex_init(&proxy->isr_lock, NULL);
    proxy->notify_stride = proxy->page_per_vq ? AREA_BYTES : 4;
    vdev->no_version_1 = vdev->legacy = !proxy->modern;
    if (!virtio_realize(vdev, dev, type->ops, &pci_transport, error))
        return false;
    if (registers_define(proxy, port, error))
        return true;
    virtio_unrealize(vdev);
    return false;
}

void virtio_pci_unrealize(struct device *dev)
{
    struct virtio_pci *proxy = proxy_of(dev);
    virtio_unrealize(proxy->vdev);
    g_free(proxy->notify_events);
    pthread_mutex_destroy(&proxy->isr_lock);
}

void virtio_pci_reset(struct device *dev)
{
    virtio_machine_reset(proxy_of(dev)->vdev);
}

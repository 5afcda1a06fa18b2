/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/virtio.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "block/block.h"
#include "engine/engine.h"
#include "util/log.h"
#include "virtio/iothread.h"
#include "vm/vm.h"

/* --- lock and interrupts -------------------------------------------------------------------- */

void virtio_lock(struct virtio_device *vdev)
{
    pthread_mutex_lock(&vdev->lock);
}

void virtio_unlock(struct virtio_device *vdev)
{
    uint16_t vectors[VIRTIO_QUEUES_MAX], config_vector = vdev->config_vector;
    unsigned count = 0;
    bool config = vdev->notify_config;

    for (unsigned i = 0; vdev->notify_count && i < vdev->queue_count; i++) {
        struct virtio_queue *queue = &vdev->queues[i];
        if (!queue->notify)
            continue;
        queue->notify = false;
        vdev->notify_count--;
        vectors[count++] = queue->vector;
    }
    vdev->notify_config = false;
    pthread_mutex_unlock(&vdev->lock);
    for (unsigned i = 0; i < count; i++)
        vdev->transport->notify(vdev, VIRTIO_ISR_QUEUE, vectors[i]);
    if (config)
        vdev->transport->notify(vdev, VIRTIO_ISR_CONFIG, config_vector);
}

void virtio_publish(struct virtio_device *vdev, unsigned index)
{
    struct virtio_queue *queue = &vdev->queues[index];
    if (virtqueue_publish(&queue->vq) && !queue->notify) {
        queue->notify = true;
        vdev->notify_count++;
    }
}

void virtio_config_changed(struct virtio_device *vdev)
{
    vdev->generation++;
    if (vdev->status & VIRTIO_DRIVER_OK)
        vdev->notify_config = true;
}

void virtio_publish_soon(struct virtio_device *vdev, unsigned index)
{
    vdev->queues[index].unpublished = vdev->publish_soon = true;
}

static void publish_all(struct virtio_device *vdev)
{
    vdev->publish_soon = false;
    for (unsigned i = 0; i < vdev->queue_count; i++) {
        if (vdev->queues[i].unpublished)
            virtio_publish(vdev, i);
        vdev->queues[i].unpublished = false;
    }
}

/* 2.1.2: a driver of 1.0 is told by a configuration interrupt; older ones know of no such state. */
static void needs_reset(struct virtio_device *vdev, const char *reason)
{
    if (!vdev->complained)
        warn("%s: the guest's driver is wrong, the device stops: %s",
             vdev->dev->id ? vdev->dev->id : vdev->dev->type->name, reason);
    vdev->complained = true;
    if (vdev->status & VIRTIO_NEEDS_RESET)
        return;
    vdev->status |= VIRTIO_NEEDS_RESET;
    if (virtio_has(vdev, VIRTIO_F_VERSION_1) && vdev->status & VIRTIO_DRIVER_OK)
        virtio_config_changed(vdev);
}

static void queue_broken(struct virtqueue *vq, const char *reason)
{
    needs_reset(vq->owner, reason);
}

bool virtio_fail(struct virtio_device *vdev, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    log_if(LOG_GUEST_ERRORS, "%s: %s", vdev->dev->type->name, reason);
    needs_reset(vdev, reason);
    return false;
}

/* --- life ----------------------------------------------------------------------------------- */

GMainContext *virtio_loop(const struct virtio_device *vdev)
{
    return vdev->iothread ? iothread_loop(vdev->iothread) : g_main_context_default();
}

unsigned virtio_add_queue(struct virtio_device *vdev, uint16_t size)
{
    unsigned index = vdev->queue_count++;
    assert(index < VIRTIO_QUEUES_MAX && size <= VIRTQUEUE_SIZE_MAX);
    vdev->queues = g_renew(struct virtio_queue, vdev->queues, vdev->queue_count);
    vdev->queues[index] = (struct virtio_queue){ .vdev = vdev, .index = index, .size_max = size };
    virtqueue_init(&vdev->queues[index].vq, vdev->dev->vm->memory, queue_broken, vdev);
    return index;
}

static uint64_t common_features(const struct virtio_device *vdev)
{
    const struct virtio_options *options = &vdev->options;
    return (options->indirect ? VIRTIO_F_INDIRECT_DESC : 0)
           | (options->event_index ? VIRTIO_F_EVENT_IDX : 0)
           | (options->notify_on_empty ? VIRTIO_F_NOTIFY_ON_EMPTY : 0)
           | (options->any_layout ? VIRTIO_F_ANY_LAYOUT : 0)
           | (options->packed ? VIRTIO_F_RING_PACKED : 0)
           | (options->access_platform ? VIRTIO_F_ACCESS_PLATFORM : 0)
           | (vdev->no_version_1 ? 0 : VIRTIO_F_VERSION_1);
}

static void reset_now(struct virtio_device *vdev);
static void source_attach(struct virtio_device *vdev);

bool virtio_realize(struct virtio_device *vdev, struct device *dev, const struct virtio_ops *ops,
                    const struct virtio_transport *transport, GError **error)
{
    vdev->dev = dev;
    vdev->ops = ops;
    vdev->transport = transport;
    vdev->queue_count = 0;
    vdev->queues = NULL;
    vdev->source = NULL;
    pthread_mutex_init(&vdev->lock, NULL);
    pthread_cond_init(&vdev->idle, NULL);
    vdev->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vdev->kick_fd < 0 || !ops->realize(vdev, error)) {
        if (vdev->kick_fd < 0)
            fail_errno(error, "cannot make an eventfd");
        virtio_unrealize(vdev);
        return false;
    }
    vdev->device_features |= common_features(vdev);
    reset_now(vdev);
    source_attach(vdev);
    return true;
}

void virtio_unrealize(struct virtio_device *vdev)
{
    if (vdev->source) {
        virtio_machine_reset(vdev);
        iothread_detach(vdev->iothread, vdev->source);
    }
    vdev->source = NULL;
    vdev->ops->unrealize(vdev);
    util_close_fd(&vdev->kick_fd);
    vdev->kick_fd = -1;
    g_clear_pointer(&vdev->queues, g_free);
    pthread_cond_destroy(&vdev->idle);
    pthread_mutex_destroy(&vdev->lock);
}

/* --- reset ---------------------------------------------------------------------------------- */

/* No request is under way. */
static void reset_now(struct virtio_device *vdev)
{
    if (vdev->ops->reset)
        vdev->ops->reset(vdev);
    for (unsigned i = 0; i < vdev->queue_count; i++) {
        struct virtio_queue *queue = &vdev->queues[i];
        virtqueue_reset(&queue->vq);
        queue->vq.size = queue->size_max;
        queue->vector = VIRTIO_NO_VECTOR;
        queue->ready = queue->notify = queue->unpublished = false;
    }
    vdev->status = 0;
    vdev->driver_features = 0;
    vdev->config_vector = VIRTIO_NO_VECTOR;
    vdev->notify_config = vdev->legacy = vdev->resetting = false;
    vdev->notify_count = 0;
    vdev->transport->reset(vdev);
}

/* Whether this thread must not be held up: somebody waits for it to stop. */
static bool must_pause(void)
{
    return current_vcpu
           && atomic_load_explicit(&current_vcpu->requests, memory_order_relaxed)
                  & (VCPU_PAUSE | VCPU_EXIT);
}

/* Waits a moment for requests to end; the lock is dropped meanwhile. */
static void wait_moment(struct virtio_device *vdev)
{
    if (!vdev->iothread && !current_vcpu) { /* the main loop: nobody else completes them */
        pthread_mutex_unlock(&vdev->lock);
        block_context_poll(block_context_main());
        pthread_mutex_lock(&vdev->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&vdev->idle, &vdev->lock, &until);
}

static void reset(struct virtio_device *vdev)
{
    vdev->resetting = true;
    while (vdev->resetting && vdev->in_flight && !must_pause())
        wait_moment(vdev);
    if (vdev->resetting && !vdev->in_flight)
        reset_now(vdev);
}

void virtio_machine_reset(struct virtio_device *vdev)
{
    virtio_lock(vdev);
    reset(vdev);
    virtio_unlock(vdev);
}

void virtio_request_begin(struct virtio_device *vdev)
{
    vdev->in_flight++;
}

void virtio_request_end(struct virtio_device *vdev)
{
    assert(vdev->in_flight);
    if (--vdev->in_flight)
        return;
    if (vdev->resetting)
        reset_now(vdev);
    pthread_cond_broadcast(&vdev->idle);
}

/* --- features and status -------------------------------------------------------------------- */

uint64_t virtio_offered(const struct virtio_device *vdev)
{
    if (vdev->legacy)
        return (uint32_t)vdev->device_features;
    return vdev->device_features & ~VIRTIO_F_LEGACY_ONLY;
}

void virtio_set_features(struct virtio_device *vdev, unsigned half, uint32_t value)
{
    uint64_t mask = (uint64_t)UINT32_MAX << (32 * half);
    /* Once accepted they are fixed (2.2.1); a legacy driver may write until it starts. */
    if (half > 1 || vdev->resetting || vdev->status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK))
        return;
    vdev->driver_features = (vdev->driver_features & ~mask) | (uint64_t)value << (32 * half);
    if (vdev->legacy) /* there is no way to refuse */
        vdev->driver_features &= virtio_offered(vdev);
}

/* 3.1.1 step 5 and 6: the driver asks whether its choice is good. */
static bool features_acceptable(struct virtio_device *vdev)
{
    uint64_t features = vdev->driver_features;
    if (features & ~virtio_offered(vdev) || !(features & VIRTIO_F_VERSION_1))
        return false;
    if (vdev->device_features & VIRTIO_F_ACCESS_PLATFORM && !(features & VIRTIO_F_ACCESS_PLATFORM))
        return false;
    return !vdev->ops->accept_features || vdev->ops->accept_features(vdev, features);
}

static struct virtqueue_features ring_features(const struct virtio_device *vdev)
{
    return (struct virtqueue_features){
        .packed = virtio_has(vdev, VIRTIO_F_RING_PACKED),
        .event_index = virtio_has(vdev, VIRTIO_F_EVENT_IDX),
        .indirect = virtio_has(vdev, VIRTIO_F_INDIRECT_DESC),
        .notify_on_empty = virtio_has(vdev, VIRTIO_F_NOTIFY_ON_EMPTY),
    };
}

static void start(struct virtio_device *vdev)
{
    for (unsigned i = 0; i < vdev->queue_count; i++)
        if (vdev->queues[i].ready)
            virtqueue_start(&vdev->queues[i].vq, ring_features(vdev));
    if (vdev->ops->start)
        vdev->ops->start(vdev);
    virtio_kick(vdev); /* what was made available before */
}

uint8_t virtio_status(const struct virtio_device *vdev)
{
    return vdev->status;
}

void virtio_set_status(struct virtio_device *vdev, uint8_t status)
{
    uint8_t old = vdev->status;
    if (!status) {
        reset(vdev);
        return;
    }
    if (vdev->resetting)
        return;
    status |= old & VIRTIO_NEEDS_RESET; /* only a reset takes it away */
    if (!vdev->legacy && status & VIRTIO_FEATURES_OK && !(old & VIRTIO_FEATURES_OK)
        && !features_acceptable(vdev)) {
        log_if(LOG_GUEST_ERRORS, "%s: features 0x%" PRIx64 " of 0x%" PRIx64 " are not acceptable",
               vdev->dev->type->name, vdev->driver_features, virtio_offered(vdev));
        status &= ~(VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
    }
    if (!vdev->legacy && !(status & VIRTIO_FEATURES_OK))
        status &= ~VIRTIO_DRIVER_OK; /* 3.1.1: not without agreed features */
    vdev->status = status;
    if (status & VIRTIO_DRIVER_OK && !(old & VIRTIO_DRIVER_OK))
        start(vdev);
}

bool virtio_running(const struct virtio_device *vdev)
{
    /* Old drivers use queues while they probe, before they say that they are ready. */
    uint8_t needed = vdev->legacy ? VIRTIO_DRIVER : VIRTIO_DRIVER_OK;
    return vdev->status & needed && !(vdev->status & VIRTIO_NEEDS_RESET) && !vdev->resetting
           && (!vdev->transport->may_transfer || vdev->transport->may_transfer(vdev));
}

/* --- configuration space -------------------------------------------------------------------- */

uint64_t virtio_config_load(const struct virtio_device *vdev, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (offset >= vdev->config_size || size > vdev->config_size - offset)
        return UINT64_MAX;
    memcpy(&value, vdev->config + offset, size);
    return value;
}

void virtio_config_store(struct virtio_device *vdev, uint64_t offset, uint64_t value, unsigned size)
{
    bool any = false;
    if (offset >= vdev->config_size || size > vdev->config_size - offset || vdev->resetting)
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = vdev->config_writable[offset + i], byte = value >> (8 * i);
        vdev->config[offset + i] = (vdev->config[offset + i] & ~mask) | (byte & mask);
        any |= mask;
    }
    if (any && vdev->ops->config_written)
        vdev->ops->config_written(vdev, offset, size);
}

/* --- queues --------------------------------------------------------------------------------- */

struct virtio_queue *virtio_queue(struct virtio_device *vdev, uint32_t index)
{
    return index < vdev->queue_count ? &vdev->queues[index] : NULL;
}

void virtio_queue_set_size(struct virtio_queue *queue, uint32_t size)
{
    if (queue->vq.started || queue->ready || queue->vdev->resetting)
        return;
    if (!size || size > queue->size_max)
        virtio_fail(queue->vdev, "queue %u has at most %u entries, not %u", queue->index,
                    queue->size_max, size);
    else
        queue->vq.size = size;
}

void virtio_queue_set_ready(struct virtio_queue *queue, bool ready)
{
    struct virtio_device *vdev = queue->vdev;
    if (vdev->resetting || ready == queue->ready)
        return;
    if (!ready) { /* only virtio-mmio's drivers do that, before they free it; 4.2.2.2 */
        if (!vdev->in_flight)
            virtqueue_reset(&queue->vq);
        queue->ready = false;
        queue->vq.size = queue->size_max;
        return;
    }
    queue->ready = true;
    if (vdev->status & VIRTIO_DRIVER_OK) {
        virtqueue_start(&queue->vq, ring_features(vdev));
        virtio_kick(vdev);
    }
}

void virtio_queue_set_page(struct virtio_queue *queue, uint32_t page, uint32_t page_size,
                           uint32_t align)
{
    struct virtqueue *vq = &queue->vq;
    if (!page) {
        virtio_queue_set_ready(queue, false);
        return;
    }
    if (queue->ready || !align || align & (align - 1))
        return;
    /* 2.7.2, "Legacy Interfaces: A Note on Virtqueue Layout" */
    vq->descriptor_gpa = (uint64_t)page * page_size;
    vq->driver_gpa = vq->descriptor_gpa + 16ull * vq->size;
    vq->device_gpa = (vq->driver_gpa + 2ull * (3 + vq->size) + align - 1) & -(uint64_t)align;
    virtio_queue_set_ready(queue, true);
}

void virtio_kick(struct virtio_device *vdev)
{
    eventfd_write(vdev->kick_fd, 1);
}

/* --- the context's loop --------------------------------------------------------------------- */

struct kick_source {
    GSource source;
    struct virtio_device *vdev;
    gpointer tag; /* of the eventfd */
};

/* Which queue it was is not known, and looking at each is cheaper than an eventfd for each. */
static void kicked(struct virtio_device *vdev)
{
    eventfd_t count;

    eventfd_read(vdev->kick_fd, &count);
    virtio_lock(vdev);
    for (unsigned i = 0; i < vdev->queue_count && virtio_running(vdev); i++) {
        struct virtio_queue *queue = &vdev->queues[i];
        if (!queue->ready)
            continue;
        if (!queue->vq.started && !virtqueue_start(&queue->vq, ring_features(vdev)))
            continue;
        if (virtqueue_has_available(&queue->vq))
            vdev->ops->kick(vdev, i);
    }
    virtio_unlock(vdev);
}

/* Before the loop waits: what the callbacks of this round have completed. */
static gboolean source_prepare(GSource *source, gint *timeout)
{
    struct virtio_device *vdev = container_of(source, struct kick_source, source)->vdev;
    *timeout = -1;
    if (vdev->publish_soon) {
        virtio_lock(vdev);
        publish_all(vdev);
        virtio_unlock(vdev);
    }
    return FALSE;
}

static gboolean source_check(GSource *source)
{
    const struct kick_source *kick = container_of(source, struct kick_source, source);
    return g_source_query_unix_fd(source, kick->tag) & G_IO_IN;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    kicked(container_of(source, struct kick_source, source)->vdev);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

static void source_attach(struct virtio_device *vdev)
{
    GSource *source = g_source_new(&source_functions, sizeof(struct kick_source));
    struct kick_source *kick = container_of(source, struct kick_source, source);
    kick->vdev = vdev;
    kick->tag = g_source_add_unix_fd(source, vdev->kick_fd, G_IO_IN);
    g_source_set_name(source, "virtio");
    vdev->source = source;
    g_source_attach(source, virtio_loop(vdev));
}

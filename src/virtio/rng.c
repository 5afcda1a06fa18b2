/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng: the host's randomness. (virtio 1.2, 5.4)
 *
 * A guest gets at most max-bytes in period milliseconds; what it asks for beyond waits for the next
 * period. */
#include <string.h>

#include "hw/property.h"
#include "util/timer.h"
#include "virtio/random.h"
#include "virtio/types.h"
#include "vm/vm.h"

#define QUEUE_SIZE 8u
#define CHUNK_BYTES 4096u /* asked of the source at once */

struct virtio_rng {
    struct virtio_device vdev;
    struct random_source *source; /* [const] property; NULL until realize: the built-in one */
    bool own_source;
    uint64_t max_bytes; /* [const] property; a period */
    uint32_t period_ms; /* [const] property */
    struct vq_chain chain;
    bool pending;        /* [lock] `chain` waits for the source */
    uint64_t quota;      /* [lock] bytes left of this period */
    bool period_running; /* [lock] the timer is set */
    struct timer period;
    struct random_request request;
    uint8_t buffer[CHUNK_BYTES];
};

static struct virtio_rng *rng_of(struct virtio_device *vdev)
{
    return container_of(vdev, struct virtio_rng, vdev);
}

/* Asks for what the driver waits for, if nothing is under way. With the lock. */
static void rng_work(struct virtio_rng *rng)
{
    struct virtqueue *vq = virtio_vq(&rng->vdev, 0);
    while (!rng->pending && rng->quota && virtio_running(&rng->vdev)
           && virtqueue_pop(vq, &rng->chain)) {
        uint64_t bytes = MIN(MIN(rng->chain.in.bytes, sizeof(rng->buffer)), rng->quota);
        if (!bytes) {
            virtio_fail(&rng->vdev, "virtio-rng: a buffer that cannot be written");
            return;
        }
        if (!rng->period_running && rng->max_bytes != INT64_MAX) {
            rng->period_running = true;
            timer_arm(&rng->period, clock_now_ns() + rng->period_ms * 1000000ull);
        }
        rng->quota -= bytes;
        rng->pending = true;
        random_source_ask(rng->source, &rng->request, rng->buffer, bytes);
    }
}

/* Main loop. */
static void rng_arrived(struct random_request *request, size_t bytes)
{
    struct virtio_rng *rng = container_of(request, struct virtio_rng, request);
    virtio_lock(&rng->vdev);
    if (rng->pending) {
        rng->pending = false;
        dma_list_store(&rng->chain.in, 0, rng->buffer, bytes);
        virtqueue_push(virtio_vq(&rng->vdev, 0), &rng->chain, bytes);
        virtio_publish(&rng->vdev, 0);
        rng_work(rng);
    }
    virtio_unlock(&rng->vdev);
}

static void rng_kick(struct virtio_device *vdev, unsigned index)
{
    rng_work(rng_of(vdev));
}

static void period_over(void *opaque)
{
    struct virtio_rng *rng = opaque;
    virtio_lock(&rng->vdev);
    rng->quota = rng->max_bytes;
    rng->period_running = false;
    rng_work(rng);
    virtio_unlock(&rng->vdev);
}

static void rng_reset(struct virtio_device *vdev)
{
    struct virtio_rng *rng = rng_of(vdev);
    if (rng->pending)
        random_source_forget(rng->source, &rng->request);
    rng->pending = false;
}

static bool rng_realize(struct virtio_device *vdev, GError **error)
{
    struct virtio_rng *rng = rng_of(vdev);
    vq_chain_init(&rng->chain, vdev->dev->vm->memory);
    timer_init(&rng->period, period_over, rng);
    if (!rng->period_ms)
        return fail(error, "'period' parameter expects a positive integer");
    if (rng->max_bytes > INT64_MAX)
        return fail(error, "'max-bytes' parameter must be non-negative, and less than 2^63");
    if (!rng->source) {
        rng->source = random_source_builtin(error);
        rng->own_source = true;
    }
    if (!rng->source)
        return false;
    rng->request.arrived = rng_arrived;
    rng->quota = rng->max_bytes;
    virtio_add_queue(vdev, QUEUE_SIZE);
    return true;
}

static void rng_unrealize(struct virtio_device *vdev)
{
    struct virtio_rng *rng = rng_of(vdev);
    timer_cancel(&rng->period);
    if (rng->own_source && rng->source) {
        random_reference.release(vdev->dev, rng->source);
        rng->source = NULL;
    }
    vq_chain_destroy(&rng->chain);
}

static const struct virtio_ops rng_ops = {
    .id = VIRTIO_ID_ENTROPY,
    .class_code = 0x00ff00, /* no class of its own */
    .legacy_pci_id = 0x1005,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
    .reset = rng_reset,
    .kick = rng_kick,
};

#define RNG_PROPERTIES(structure, field) \
    PROPERTY_REFERENCE("rng", structure, field.source, &random_reference, \
                       .help = "-object rng-random or its like; without one the built-in one"), \
        PROPERTY_U64("max-bytes", structure, field.max_bytes, INT64_MAX, \
                     .help = "the guest gets at most so many a period"), \
        PROPERTY_U32("period", structure, field.period_ms, 1 << 16, .help = "milliseconds"),

VIRTIO_TYPES(virtio_rng, "virtio-rng", struct virtio_rng, RNG_PROPERTIES, &rng_ops,
             DEVICE_CATEGORY_MISC, "randomness");

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's side of a virtqueue, in as few lines as possible: a test writes descriptors into
 * guest RAM itself, so that it can write wrong ones. */
#ifndef YADO_TESTS_VIRTIO_RING_H
#define YADO_TESTS_VIRTIO_RING_H

#include <string.h>

#include "tap.h"
#include "virtio/queue.h"

#define RING_RAM (4u << 20)
#define RING_TABLE 0x10000u  /* descriptors */
#define RING_DRIVER 0x18000u /* available ring, or driver event area */
#define RING_DEVICE 0x1a000u /* used ring, or device event area */
#define RING_DATA 0x40000u

struct ring {
    struct address_space *space;
    uint8_t *ram;
    uint16_t size;
    bool packed, wrap, used_wrap;
    uint16_t available, used; /* free running, or places of a packed ring */
};

static inline struct vring_descriptor *ring_split(struct ring *ring, unsigned index)
{
    return (struct vring_descriptor *)(ring->ram + RING_TABLE) + index;
}

static inline struct vring_packed_descriptor *ring_packed(struct ring *ring, unsigned place)
{
    return (struct vring_packed_descriptor *)(ring->ram + RING_TABLE) + place;
}

static inline uint16_t *ring_driver(struct ring *ring)
{
    return (uint16_t *)(ring->ram + RING_DRIVER);
}

static inline uint16_t *ring_device(struct ring *ring)
{
    return (uint16_t *)(ring->ram + RING_DEVICE);
}

/* Split: makes descriptor `head` available. */
static inline void ring_offer(struct ring *ring, uint16_t head)
{
    ring_driver(ring)[2 + ring->available % ring->size] = head;
    ring_driver(ring)[1] = ++ring->available;
}

/* Packed: one more descriptor at the next place, available at once. */
static inline void ring_offer_packed(struct ring *ring, uint64_t address, uint32_t length,
                                     uint16_t id, uint16_t flags)
{
    flags |= ring->wrap ? VRING_PACKED_AVAILABLE : VRING_PACKED_USED;
    *ring_packed(ring, ring->available) =
        (struct vring_packed_descriptor){ address, length, id, flags };
    if (++ring->available == ring->size) {
        ring->available = 0;
        ring->wrap = !ring->wrap;
    }
}

/* Split: the used element at the driver's place, if there is a new one. */
static inline const struct vring_used *ring_take(struct ring *ring)
{
    const struct vring_used *elements = (const void *)(ring_device(ring) + 2);
    if (ring_device(ring)[1] == ring->used)
        return NULL;
    return &elements[ring->used++ % ring->size];
}

#endif

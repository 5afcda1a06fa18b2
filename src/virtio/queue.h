/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtqueues, split and packed, seen from the device. (virtio 1.2, 2.6 to 2.8)
 *
 *      struct vq_chain *chain = &request->chain;            arrays are kept between requests
 *      do {
 *          virtqueue_suppress(vq);                          no kicks while we look anyway
 *          while (virtqueue_pop(vq, chain))
 *              virtqueue_push(vq, chain, work(chain));      bytes written into chain->in
 *          if (virtqueue_publish(vq))
 *              interrupt the driver
 *      } while (!virtqueue_unsuppress(vq) && ...);          false: more came meanwhile
 *
 * The driver is hostile. Rings are reached through host addresses found once, when the queue
 * starts, and only if all of a ring is RAM. A descriptor is copied, then checked, then used;
 * chains are bounded. Whatever is wrong calls `broken` once, after which the queue hands out
 * nothing until virtqueue_reset().
 *
 * Threads: one user at a time; the owner's lock. */
#ifndef YADO_VIRTIO_QUEUE_H
#define YADO_VIRTIO_QUEUE_H

#include "memory/dma.h"

#define VIRTQUEUE_SIZE_MAX 1024u /* that we offer, and the most descriptors of one chain */

struct vring_descriptor { /* 2.7.5 */
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};
static_assert(sizeof(struct vring_descriptor) == 16, "fixed by the specification");

struct vring_packed_descriptor { /* 2.8.13 */
    uint64_t address;
    uint32_t length;
    uint16_t id, flags;
};
static_assert(sizeof(struct vring_packed_descriptor) == 16, "fixed by the specification");

struct vring_used { /* 2.7.8 */
    uint32_t id, length;
};

enum vring_flags {
    VRING_NEXT = 1 << 0,
    VRING_WRITE = 1 << 1, /* the device writes, else it reads */
    VRING_INDIRECT = 1 << 2,
    VRING_PACKED_AVAILABLE = 1 << 7,
    VRING_PACKED_USED = 1 << 15,
    VRING_AVAIL_NO_INTERRUPT = 1,
    VRING_USED_NO_NOTIFY = 1,
};

enum vring_packed_events { /* 2.8.14 */
                           VRING_EVENTS_ENABLE = 0,
                           VRING_EVENTS_DISABLE = 1,
                           VRING_EVENTS_DESCRIPTOR = 2,
};

/* One request of the driver. Buffers are in the driver's order, neighbours joined. */
struct vq_chain {
    struct dma_list out; /* what the device reads */
    struct dma_list in;  /* where it writes */
    uint16_t id;         /* names it to the driver */
    uint16_t slots;      /* places of a packed ring it takes */
    uint32_t epoch;      /* of the queue when it was popped */
};

void vq_chain_init(struct vq_chain *chain, struct address_space *space);
void vq_chain_destroy(struct vq_chain *chain);

/* What the driver has negotiated that concerns rings. */
struct virtqueue_features {
    bool packed, event_index, indirect, notify_on_empty;
};

struct virtqueue {
    struct address_space *space;                              /* [const] */
    void (*broken)(struct virtqueue *vq, const char *reason); /* [const] */
    void *owner;                                              /* [const] for `broken` */

    /* Set by the transport while the queue is stopped. */
    uint16_t size; /* 0: the queue does not exist for the driver */
    uint64_t descriptor_gpa, driver_gpa, device_gpa;

    /* The rest belongs to queue.c. */
    struct virtqueue_features features;
    bool started, failed, suppressed;
    struct vring_descriptor *descriptors;        /* split */
    struct vring_packed_descriptor *packed_ring; /* packed */
    uint16_t *driver_area, *device_area;         /* host addresses, 2.7.6, 2.7.8, 2.8.10 */
    uint16_t next_available, seen_available;     /* split: free running; packed: a place */
    uint16_t next_used;                          /* same */
    bool available_wrap, used_wrap;              /* packed wrap counters */
    uint16_t held_flags, held_place;             /* packed: first unpublished element */
    uint16_t unpublished;                        /* elements (split), places (packed) */
    uint16_t in_use;                             /* descriptors heads or places popped */
    uint32_t epoch;                              /* counts resets, so that late pushes are known */
};

void virtqueue_init(struct virtqueue *vq, struct address_space *space,
                    void (*broken)(struct virtqueue *vq, const char *reason), void *owner);

/* Back to power on: stopped, no addresses. Chains popped before are void. */
void virtqueue_reset(struct virtqueue *vq);

/* Starts to use the rings at the addresses set. False if they are not RAM or not aligned: then the
 * queue is broken. Does nothing if it has started already. */
bool virtqueue_start(struct virtqueue *vq, struct virtqueue_features features);

/* The next request, or false: none, or the queue is stopped or broken. `chain` was initialized;
 * what it held is forgotten. Who finds nothing is kicked when something comes, unless kicks are
 * suppressed. */
bool virtqueue_pop(struct virtqueue *vq, struct vq_chain *chain);

/* Gives a request back, with `written` bytes of chain->in written (trackers are told here). Not
 * visible to the driver before virtqueue_publish(). */
void virtqueue_push(struct virtqueue *vq, struct vq_chain *chain, uint32_t written);

/* Takes back the pop of the newest chain: it will be popped again. */
void virtqueue_unpop(struct virtqueue *vq, const struct vq_chain *chain);

/* Shows the driver what was pushed; true if it wants an interrupt for that. */
bool virtqueue_publish(struct virtqueue *vq);

/* Whether something is there to be popped. */
bool virtqueue_has_available(struct virtqueue *vq);

/* Asks the driver not to kick; to kick again. The latter is false if something has become available
 * before the driver could know. */
void virtqueue_suppress(struct virtqueue *vq);
bool virtqueue_unsuppress(struct virtqueue *vq);

/* Refuses the rest of a request: logs, calls `broken`; returns false. */
bool virtqueue_fail(struct virtqueue *vq, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif

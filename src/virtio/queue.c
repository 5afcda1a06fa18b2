/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's memory is read through volatile or atomic loads of aligned fields, each once: what
 * was checked is a copy. On x86 loads and stores are ordered as the rings need it, so acquire and
 * release cost nothing; the only fences are between writing an index and reading the other side's
 * wish to be told about it, which must not pass each other. */
#include "virtio/queue.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "util/log.h"

#define INDIRECT_MAX 65536u /* an indirect table is indexed by 16 bits */

/* Places in the areas of a split ring, in units of 16 bits. */
enum { AREA_FLAGS = 0, AREA_INDEX = 1, AREA_RING = 2 };
/* Places in the areas of a packed ring. */
enum { EVENT_PLACE = 0, EVENT_FLAGS = 1 };

static uint16_t load16(const uint16_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

void vq_chain_init(struct vq_chain *chain, struct address_space *space)
{
    dma_list_init(&chain->out, space);
    dma_list_init(&chain->in, space);
}

void vq_chain_destroy(struct vq_chain *chain)
{
    dma_list_destroy(&chain->out);
    dma_list_destroy(&chain->in);
}

bool virtqueue_fail(struct virtqueue *vq, const char *format, ...)
{
    va_list args;
    if (vq->failed)
        return false;
    vq->failed = true;
    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    log_if(LOG_GUEST_ERRORS, "virtqueue: %s", reason);
    vq->broken(vq, reason);
    return false;
}

/* --- life ----------------------------------------------------------------------------------- */

void virtqueue_init(struct virtqueue *vq, struct address_space *space,
                    void (*broken)(struct virtqueue *vq, const char *reason), void *owner)
{
    *vq = (struct virtqueue){ .space = space, .broken = broken, .owner = owner };
}

void virtqueue_reset(struct virtqueue *vq)
{
    uint32_t epoch = vq->epoch + 1;
    virtqueue_init(vq, vq->space, vq->broken, vq->owner);
    vq->epoch = epoch;
}

/* Host address of a ring, all of which must be RAM, one piece in the host. */
static void *ring_map(struct virtqueue *vq, const char *name, uint64_t gpa, uint64_t bytes,
                      unsigned align)
{
    uint64_t run = 0;
    uint8_t *host = address_space_host(vq->space, gpa, true, &run);
    if (gpa % align) {
        virtqueue_fail(vq, "the %s at 0x%" PRIx64 " is not aligned to %u bytes", name, gpa, align);
        return NULL;
    }
    for (uint64_t have = run; host && have < bytes; have += run) {
        const uint8_t *next = address_space_host(vq->space, gpa + have, true, &run);
        if (next != host + have)
            host = NULL;
    }
    if (!host)
        virtqueue_fail(vq, "the %s of %" PRIu64 " bytes at 0x%" PRIx64 " is not in RAM", name,
                       bytes, gpa);
    return host;
}

static bool split_map(struct virtqueue *vq)
{
    uint64_t event = vq->features.event_index ? 2 : 0;
    vq->descriptors = ring_map(vq, "descriptor table", vq->descriptor_gpa, 16ull * vq->size, 16);
    vq->driver_area = vq->descriptors ? ring_map(vq, "available ring", vq->driver_gpa,
                                                 4 + 2ull * vq->size + event, 2)
                                      : NULL;
    vq->device_area =
        vq->driver_area ? ring_map(vq, "used ring", vq->device_gpa, 4 + 8ull * vq->size + event, 4)
                        : NULL;
    return vq->device_area;
}

static bool packed_map(struct virtqueue *vq)
{
    vq->packed_ring = ring_map(vq, "descriptor ring", vq->descriptor_gpa, 16ull * vq->size, 16);
    vq->driver_area =
        vq->packed_ring ? ring_map(vq, "driver event area", vq->driver_gpa, 4, 4) : NULL;
    vq->device_area =
        vq->driver_area ? ring_map(vq, "device event area", vq->device_gpa, 4, 4) : NULL;
    return vq->device_area;
}

bool virtqueue_start(struct virtqueue *vq, struct virtqueue_features features)
{
    if (vq->started || vq->failed)
        return vq->started && !vq->failed;
    if (!vq->size || vq->size > VIRTQUEUE_SIZE_MAX
        || (!features.packed && vq->size & (vq->size - 1)))
        return virtqueue_fail(vq, "the queue cannot have %u entries", vq->size);
    vq->features = features;
    vq->available_wrap = vq->used_wrap = true;
    vq->started = features.packed ? packed_map(vq) : split_map(vq);
    return vq->started;
}

/* --- chains --------------------------------------------------------------------------------- */

/* A buffer of a descriptor we have copied. */
static bool chain_add(struct virtqueue *vq, struct vq_chain *chain, uint64_t address,
                      uint32_t length, bool write)
{
    if (!length)
        return virtqueue_fail(vq, "a descriptor has no bytes");
    if (!write && chain->in.bytes)
        return virtqueue_fail(vq, "a buffer to read follows one to write");
    if (!dma_list_add(write ? &chain->in : &chain->out, address, length, write))
        return virtqueue_fail(vq, "a buffer of %u bytes at 0x%" PRIx64 " is not in RAM", length,
                              address);
    return true;
}

/* A table of descriptors: the queue's own, or an indirect one, which may lie anywhere in RAM. */
struct table {
    const uint8_t *host; /* NULL: read by DMA, piece by piece */
    uint64_t gpa;
    uint32_t count;
};

static bool table_indirect(struct virtqueue *vq, struct table *table, uint64_t gpa, uint32_t bytes)
{
    uint64_t run = 0;
    if (!vq->features.indirect)
        return virtqueue_fail(vq, "an indirect descriptor was not negotiated");
    if (!bytes || bytes % 16 || bytes / 16 > INDIRECT_MAX)
        return virtqueue_fail(vq, "an indirect table has %u bytes", bytes);
    table->gpa = gpa;
    table->count = bytes / 16;
    table->host = address_space_host(vq->space, gpa, false, &run);
    if (run < bytes || (uintptr_t)table->host % 8)
        table->host = NULL;
    return true;
}

/* Copies 16 bytes; the two kinds of descriptors have one size. */
static bool table_read(struct virtqueue *vq, const struct table *table, uint32_t index, void *copy)
{
    if (table->host) {
        const volatile uint64_t *at = (const void *)(table->host + 16ull * index);
        uint64_t words[2] = { at[0], at[1] };
        memcpy(copy, words, sizeof(words));
        return true;
    }
    if (dma_read(vq->space, table->gpa + 16ull * index, copy, 16))
        return true;
    return virtqueue_fail(vq, "an indirect table at 0x%" PRIx64 " is not in RAM", table->gpa);
}

static bool chain_read_split(struct virtqueue *vq, struct vq_chain *chain)
{
    struct table table = { (uint8_t *)vq->descriptors, 0, vq->size };
    struct vring_descriptor descriptor;
    uint32_t index = chain->id, limit = vq->size;
    bool indirect = false;

    for (uint32_t n = 0; n < limit; n++) {
        if (!table_read(vq, &table, index, &descriptor))
            return false;
        if (descriptor.flags & VRING_INDIRECT) {
            if (indirect || descriptor.flags & VRING_NEXT)
                return virtqueue_fail(vq, "an indirect descriptor is in the wrong place");
            if (!table_indirect(vq, &table, descriptor.address, descriptor.length))
                return false;
            indirect = true;
            index = 0;
            limit = n + 1 + MIN(table.count, VIRTQUEUE_SIZE_MAX);
            continue;
        }
        if (!chain_add(vq, chain, descriptor.address, descriptor.length,
                       descriptor.flags & VRING_WRITE))
            return false;
        if (!(descriptor.flags & VRING_NEXT))
            return true;
        index = descriptor.next;
        if (index >= table.count)
            return virtqueue_fail(vq, "descriptor %u is beyond the table of %u", index,
                                  table.count);
    }
    return virtqueue_fail(vq, "a chain is a loop, or longer than %u descriptors", limit);
}

static bool chain_read_packed_table(struct virtqueue *vq, struct vq_chain *chain,
                                    const struct vring_packed_descriptor *outer)
{
    struct vring_packed_descriptor inner;
    struct table table;
    if (!table_indirect(vq, &table, outer->address, outer->length))
        return false;
    if (table.count > VIRTQUEUE_SIZE_MAX)
        return virtqueue_fail(vq, "a chain is longer than %u descriptors", VIRTQUEUE_SIZE_MAX);
    for (uint32_t i = 0; i < table.count; i++) {
        if (!table_read(vq, &table, i, &inner)
            || !chain_add(vq, chain, inner.address, inner.length, inner.flags & VRING_WRITE))
            return false;
    }
    return true;
}

static bool chain_read_packed(struct virtqueue *vq, struct vq_chain *chain)
{
    struct table table = { (uint8_t *)vq->packed_ring, 0, vq->size };
    struct vring_packed_descriptor descriptor;
    uint32_t place = vq->next_available;

    for (uint32_t n = 0; n < vq->size; n++) {
        table_read(vq, &table, place, &descriptor);
        chain->id = descriptor.id; /* the last one's counts */
        chain->slots = n + 1;
        if (descriptor.flags & VRING_INDIRECT) {
            if (n || descriptor.flags & VRING_NEXT)
                return virtqueue_fail(vq, "an indirect descriptor is in the wrong place");
            return chain_read_packed_table(vq, chain, &descriptor);
        }
        if (!chain_add(vq, chain, descriptor.address, descriptor.length,
                       descriptor.flags & VRING_WRITE))
            return false;
        if (!(descriptor.flags & VRING_NEXT))
            return true;
        place = place + 1 == vq->size ? 0 : place + 1;
    }
    return virtqueue_fail(vq, "a chain takes more than all %u descriptors", vq->size);
}

/* --- available ------------------------------------------------------------------------------ */

static bool split_has_available(struct virtqueue *vq)
{
    if (vq->seen_available == vq->next_available)
        vq->seen_available = load16(&vq->driver_area[AREA_INDEX]);
    uint16_t pending = vq->seen_available - vq->next_available;
    if (pending > vq->size)
        return virtqueue_fail(vq, "the available index went from %u to %u in a queue of %u",
                              vq->next_available, vq->seen_available, vq->size);
    return pending;
}

static bool packed_flag_set(uint16_t flags, bool wrap)
{
    return !!(flags & VRING_PACKED_AVAILABLE) == wrap && !!(flags & VRING_PACKED_USED) != wrap;
}

static bool packed_has_available(struct virtqueue *vq)
{
    return packed_flag_set(load16(&vq->packed_ring[vq->next_available].flags), vq->available_wrap);
}

bool virtqueue_has_available(struct virtqueue *vq)
{
    if (!vq->started || vq->failed)
        return false;
    return vq->features.packed ? packed_has_available(vq) : split_has_available(vq);
}

/* Moves a place of a packed ring on (or back, with `slots` negative). */
static void packed_move(const struct virtqueue *vq, uint16_t *place, bool *wrap, int slots)
{
    int to = *place + slots;
    if (to >= vq->size || to < 0) {
        to += to < 0 ? vq->size : -vq->size;
        *wrap = !*wrap;
    }
    *place = to;
}

bool virtqueue_pop(struct virtqueue *vq, struct vq_chain *chain)
{
    if (!virtqueue_has_available(vq) && (vq->suppressed || virtqueue_unsuppress(vq)))
        return false;
    if (vq->failed || !vq->started)
        return false;
    dma_list_clear(&chain->out);
    dma_list_clear(&chain->in);
    chain->epoch = vq->epoch;
    chain->slots = 1;
    if (vq->features.packed) {
        if (!chain_read_packed(vq, chain))
            return false;
        if (vq->in_use + chain->slots > vq->size)
            return virtqueue_fail(vq, "more than all %u descriptors are in use", vq->size);
        packed_move(vq, &vq->next_available, &vq->available_wrap, chain->slots);
    } else {
        if (vq->in_use == vq->size)
            return virtqueue_fail(vq, "more than %u requests are in flight", vq->size);
        chain->id = load16(&vq->driver_area[AREA_RING + (vq->next_available & (vq->size - 1))]);
        if (chain->id >= vq->size)
            return virtqueue_fail(vq, "descriptor %u is beyond the table of %u", chain->id,
                                  vq->size);
        if (!chain_read_split(vq, chain))
            return false;
        vq->next_available++;
    }
    vq->in_use += chain->slots;
    return true;
}

void virtqueue_unpop(struct virtqueue *vq, const struct vq_chain *chain)
{
    if (chain->epoch != vq->epoch || !vq->started)
        return;
    if (vq->features.packed)
        packed_move(vq, &vq->next_available, &vq->available_wrap, -(int)chain->slots);
    else
        vq->next_available--;
    vq->in_use -= chain->slots;
}

/* --- used ----------------------------------------------------------------------------------- */

static void split_push(struct virtqueue *vq, const struct vq_chain *chain, uint32_t written)
{
    uint16_t place = vq->next_used++ & (vq->size - 1);
    struct vring_used *ring = (void *)&vq->device_area[AREA_RING];
    ring[place] = (struct vring_used){ chain->id, written };
    ram_written(vq->space, vq->device_gpa + 4 + 8ull * place, sizeof(struct vring_used));
    vq->unpublished++;
}

static void packed_push(struct virtqueue *vq, const struct vq_chain *chain, uint32_t written)
{
    struct vring_packed_descriptor *used = &vq->packed_ring[vq->next_used];
    uint16_t flags = (vq->used_wrap ? VRING_PACKED_AVAILABLE | VRING_PACKED_USED : 0)
                     | (written ? VRING_WRITE : 0);
    used->id = chain->id;
    used->length = written;
    if (vq->unpublished) {
        store16(&used->flags, flags);
    } else { /* the driver looks here first: this one becomes visible last */
        vq->held_flags = flags;
        vq->held_place = vq->next_used;
    }
    ram_written(vq->space, vq->descriptor_gpa + 16ull * vq->next_used, sizeof(*used));
    packed_move(vq, &vq->next_used, &vq->used_wrap, chain->slots);
    vq->unpublished += chain->slots;
}

void virtqueue_push(struct virtqueue *vq, struct vq_chain *chain, uint32_t written)
{
    if (chain->epoch != vq->epoch || !vq->started)
        return;
    vq->in_use -= chain->slots;
    dma_list_written(&chain->in, written);
    if (vq->failed)
        return;
    if (vq->features.packed)
        packed_push(vq, chain, written);
    else
        split_push(vq, chain, written);
}

/* Whether `wanted` is among the entries from `old` up to `now`, excluding it. (2.7.7.2) */
static bool index_passed(uint16_t wanted, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - wanted - 1) < (uint16_t)(now - old);
}

static bool split_wants_interrupt(struct virtqueue *vq, uint16_t pushed)
{
    if (vq->features.notify_on_empty && !vq->in_use && !split_has_available(vq))
        return true;
    if (!vq->features.event_index)
        return !(load16(&vq->driver_area[AREA_FLAGS]) & VRING_AVAIL_NO_INTERRUPT);
    uint16_t wanted = load16(&vq->driver_area[AREA_RING + vq->size]);
    return index_passed(wanted, vq->next_used, vq->next_used - pushed);
}

static bool packed_wants_interrupt(struct virtqueue *vq, uint16_t pushed)
{
    uint16_t flags = load16(&vq->driver_area[EVENT_FLAGS]) & 3;
    if (flags != VRING_EVENTS_DESCRIPTOR || !vq->features.event_index)
        return flags != VRING_EVENTS_DISABLE;
    uint16_t event = load16(&vq->driver_area[EVENT_PLACE]);
    uint16_t wanted = event & 0x7fff;
    bool wrap = event >> 15;
    if (wrap != vq->used_wrap)
        wanted -= vq->size;
    return index_passed(wanted, vq->next_used, vq->next_used - pushed);
}

bool virtqueue_publish(struct virtqueue *vq)
{
    uint16_t pushed = vq->unpublished;
    if (!pushed || !vq->started || vq->failed)
        return false;
    vq->unpublished = 0;
    if (vq->features.packed) {
        store16(&vq->packed_ring[vq->held_place].flags, vq->held_flags);
    } else {
        store16(&vq->device_area[AREA_INDEX], vq->next_used);
        ram_written(vq->space, vq->device_gpa + 2, 2);
    }
    atomic_thread_fence(memory_order_seq_cst);
    return vq->features.packed ? packed_wants_interrupt(vq, pushed)
                               : split_wants_interrupt(vq, pushed);
}

/* --- kicks ---------------------------------------------------------------------------------- */

static void device_area_store(struct virtqueue *vq, unsigned place, uint16_t value)
{
    store16(&vq->device_area[place], value);
    ram_written(vq->space, vq->device_gpa + 2 * place, 2);
}

void virtqueue_suppress(struct virtqueue *vq)
{
    if (!vq->started || vq->failed)
        return;
    vq->suppressed = true;
    if (vq->features.packed)
        device_area_store(vq, EVENT_FLAGS, VRING_EVENTS_DISABLE);
    else if (!vq->features.event_index) /* with it, an index in the past is silence enough */
        device_area_store(vq, AREA_FLAGS, VRING_USED_NO_NOTIFY);
}

bool virtqueue_unsuppress(struct virtqueue *vq)
{
    if (!vq->started || vq->failed)
        return true;
    vq->suppressed = false;
    if (vq->features.packed && vq->features.event_index) {
        device_area_store(vq, EVENT_PLACE, vq->next_available | vq->available_wrap << 15);
        device_area_store(vq, EVENT_FLAGS, VRING_EVENTS_DESCRIPTOR);
    } else if (vq->features.packed) {
        device_area_store(vq, EVENT_FLAGS, VRING_EVENTS_ENABLE);
    } else if (vq->features.event_index) {
        device_area_store(vq, AREA_RING + 4 * vq->size, vq->next_available);
    } else {
        device_area_store(vq, AREA_FLAGS, 0);
    }
    atomic_thread_fence(memory_order_seq_cst);
    return !virtqueue_has_available(vq);
}

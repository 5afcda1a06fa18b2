/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address spaces: the published view, and CPU accesses through it.
 *
 * There are two views: the published one and a spare, which the next change fills and publishes.
 * Before the spare, which a slow reader may still be looking at, is written, `sequence` is counted
 * up; a reader that finds it changed after it has copied what it looked for looks again. Tables
 * only ever grow, so that such a reader sees nonsense at worst. A space over another is changed and
 * published together with it, under the lock of the one below.
 *
 * A device register access is cut into pieces that are aligned and of a size the device declared:
 *
 *      guest: 4 bytes at offset 6,  max_size 4      ->  2 bytes at 6, 2 bytes at 8
 *      guest: 1 byte at offset 0x21, min_size 4     ->  4 bytes at 0x20, second byte taken
 *
 * A write smaller than min_size arrives as a full register with zeros around the value. */
#include "memory/memory.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "hw/device.h"
#include "memory/view.h"
#include "util/log.h"

struct write_listener {
    void (*written)(void *opaque, uint64_t gpa, uint64_t length);
    void *opaque;
};

struct address_space {
    const char *name;            /* [const] */
    uint64_t size;               /* [const] */
    unsigned hint_slot;          /* [const] which of a thread's hints this space uses */
    _Atomic(struct view *) view; /* [atomic] the published one */
    atomic_uint sequence;        /* [atomic] see above */
    struct address_space *below; /* [const] see address_space_new_over() */
    struct address_space *above; /* [main] that one's `below` is this */
    /* Of a space over another, the other's lock, owner and depth count. */
    pthread_mutex_t lock;     /* serialises topology changes */
    _Atomic(pthread_t) owner; /* of the lock; 0: nobody. A thread looks for itself only */
    unsigned depth;           /* [lock] nested begins */
    bool dirty;               /* [lock] regions differ from what is published */
    GPtrArray *regions;       /* [lock] struct region *, oldest first; not those below */
    struct view *spare;       /* [lock] */
    GPtrArray *old_views;     /* [lock] outgrown */
    GArray *listeners;        /* [const] struct address_space_listener */
    GArray *write_listeners;  /* set before vCPUs run */
};

#define VIEW_CAPACITY 64 /* at first */

/* Where this thread last found something; shared by all spaces with the same slot, since any value
 * is a valid hint. */
#define HINT_SLOTS 4
static _Thread_local size_t last_hit[HINT_SLOTS];
static atomic_uint next_hint_slot;

static struct address_space *space_new(const char *name, uint64_t size, struct address_space *below)
{
    struct address_space *space = g_new0(struct address_space, 1);
    space->below = below;
    space->name = name;
    space->size = size;
    space->hint_slot = atomic_fetch_add(&next_hint_slot, 1) % HINT_SLOTS;
    pthread_mutex_init(&space->lock, NULL);
    space->regions = g_ptr_array_new();
    space->old_views = g_ptr_array_new_with_free_func(g_free);
    space->listeners = g_array_new(FALSE, FALSE, sizeof(struct address_space_listener));
    space->write_listeners = g_array_new(FALSE, FALSE, sizeof(struct write_listener));
    atomic_store(&space->view, view_new(VIEW_CAPACITY));
    space->spare = view_new(VIEW_CAPACITY);
    return space;
}

struct address_space *address_space_new(const char *name, uint64_t size)
{
    return space_new(name, size, NULL);
}

static void space_publish(struct address_space *space);

struct address_space *address_space_new_over(const char *name, struct address_space *below)
{
    assert(!below->above && !below->below);
    below->above = space_new(name, below->size, below);
    address_space_begin(below);
    space_publish(below->above);
    address_space_end(below);
    return below->above;
}

void address_space_free(struct address_space *space)
{
    if (!space)
        return;
    assert(!space->above);
    if (space->below)
        space->below->above = NULL;
    g_free(atomic_load(&space->view));
    g_free(space->spare);
    g_ptr_array_free(space->old_views, TRUE);
    g_ptr_array_free(space->regions, TRUE);
    g_array_free(space->listeners, TRUE);
    g_array_free(space->write_listeners, TRUE);
    pthread_mutex_destroy(&space->lock);
    g_free(space);
}

/* --- topology ------------------------------------------------------------------------------- */

/* Fills the spare view and makes it the published one; under the lock. */
static void space_publish(struct address_space *space)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    if (space->below)
        g_ptr_array_extend(all, space->below->regions, NULL, NULL);
    g_ptr_array_extend(all, space->regions, NULL, NULL);
    size_t needed = view_capacity(all);
    if (space->spare->capacity < needed) {
        g_ptr_array_add(space->old_views, space->spare);
        space->spare = view_new(2 * needed);
    }
    atomic_fetch_add(&space->sequence, 1);
    atomic_thread_fence(memory_order_seq_cst);
    view_fill(space->spare, all, space->size);
    space->spare = atomic_exchange(&space->view, space->spare);
}

static const struct address_space_listener *listener_of(const struct address_space *space, guint i)
{
    return &g_array_index(space->listeners, struct address_space_listener, i);
}

static void listeners_begin(const struct address_space *space)
{
    for (guint i = 0; i < space->listeners->len; i++)
        if (listener_of(space, i)->begin)
            listener_of(space, i)->begin(listener_of(space, i)->opaque);
}

static void listeners_end(const struct address_space *space)
{
    for (guint i = space->listeners->len; i-- > 0;)
        if (listener_of(space, i)->end)
            listener_of(space, i)->end(listener_of(space, i)->opaque);
}

static void publish_if_dirty(struct address_space *space)
{
    if (!space->dirty)
        return;
    space->dirty = false;
    space_publish(space);
    for (guint i = 0; i < space->listeners->len; i++)
        listener_of(space, i)->changed(space, listener_of(space, i)->opaque);
}

/* The one whose lock it is. */
static struct address_space *space_root(struct address_space *space)
{
    return space->below ? space->below : space;
}

void address_space_begin(struct address_space *space)
{
    space = space_root(space);
    if (atomic_load(&space->owner) == pthread_self()) {
        space->depth++;
        return;
    }
    listeners_begin(space);
    if (space->above)
        listeners_begin(space->above);
    pthread_mutex_lock(&space->lock);
    atomic_store(&space->owner, pthread_self());
    space->depth = 1;
}

void address_space_end(struct address_space *space)
{
    space = space_root(space);
    if (--space->depth)
        return;
    if (space->above)
        space->above->dirty |= space->dirty;
    publish_if_dirty(space);
    if (space->above)
        publish_if_dirty(space->above);
    atomic_store(&space->owner, (pthread_t)0);
    pthread_mutex_unlock(&space->lock);
    if (space->above)
        listeners_end(space->above);
    listeners_end(space);
}

void address_space_add(struct address_space *space, struct region *region)
{
    uint64_t end;
    assert(region->size && !__builtin_add_overflow(region->base, region->size - 1, &end));
    assert(region->kind == REGION_IO ? region->ops && region->dev : region->host != NULL);
    address_space_begin(space);
    g_ptr_array_add(space->regions, region);
    space->dirty = true;
    address_space_end(space);
}

void address_space_remove(struct address_space *space, struct region *region)
{
    address_space_begin(space);
    bool found = g_ptr_array_remove(space->regions, region);
    assert(found);
    space->dirty = true;
    address_space_end(space);
}

void address_space_listen(struct address_space *space,
                          const struct address_space_listener *listener)
{
    g_array_append_vals(space->listeners, listener, 1);
}

void address_space_visit(struct address_space *space,
                         void (*visit)(const struct region *region, uint64_t base, uint64_t size,
                                       uint64_t offset, void *opaque),
                         void *opaque)
{
    struct address_space *root = space_root(space);
    bool own = atomic_load(&root->owner) == pthread_self(); /* a listener asks */
    if (!own)
        pthread_mutex_lock(&root->lock);
    const struct view *view = atomic_load(&space->view);
    for (size_t i = 0; i < view->count; i++) {
        const struct range *range = &view->ranges[i];
        visit(range->region, range->base, range->end - range->base, range->offset, opaque);
    }
    if (!own)
        pthread_mutex_unlock(&root->lock);
}

/* Copies the range that holds `addr`; false in a hole. */
VIEW_RACY
static bool space_find(struct address_space *space, uint64_t addr, struct range *range)
{
    for (;;) {
        unsigned sequence = atomic_load_explicit(&space->sequence, memory_order_acquire);
        const struct view *view = atomic_load_explicit(&space->view, memory_order_acquire);
        const struct range *found = view_find(view, addr, &last_hit[space->hint_slot], NULL);
        if (found)
            *range = *found;
        atomic_thread_fence(memory_order_acquire);
        if (likely(sequence == atomic_load_explicit(&space->sequence, memory_order_relaxed)))
            return found;
    }
}

bool address_space_is_mapped(struct address_space *space, uint64_t addr)
{
    struct range range;
    return space_find(space, addr, &range);
}

uint8_t *address_space_host(struct address_space *space, uint64_t gpa, bool for_write,
                            uint64_t *run)
{
    struct range range;
    if (!space_find(space, gpa, &range) || range.region->kind == REGION_IO
        || (for_write && range.region->kind == REGION_ROM))
        return NULL;
    if (run)
        *run = range.end - gpa;
    return range.region->host + range.offset + (gpa - range.base);
}

/* --- accesses ------------------------------------------------------------------------------- */

/* Single host accesses, so that another vCPU never sees half of an aligned value. */
static uint64_t host_load(const uint8_t *host, unsigned size)
{
    uint64_t value = 0;
    switch (size) {
    case 1:
        memcpy(&value, host, 1);
        break;
    case 2:
        memcpy(&value, host, 2);
        break;
    case 4:
        memcpy(&value, host, 4);
        break;
    default:
        memcpy(&value, host, 8);
        break;
    }
    return value;
}

static void host_store(uint8_t *host, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        memcpy(host, &value, 1);
        break;
    case 2:
        memcpy(host, &value, 2);
        break;
    case 4:
        memcpy(host, &value, 4);
        break;
    default:
        memcpy(host, &value, 8);
        break;
    }
}

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* The piece of an access that goes to the device next: `size` bytes at `offset` are one register
 * access, of which `used` bytes from byte `skip` on belong to the guest's. */
struct piece {
    uint64_t offset;
    unsigned size, skip, used;
};

static struct piece access_piece(const struct region_ops *ops, uint64_t offset, unsigned left)
{
    unsigned min = ops->min_size ? ops->min_size : 1;
    unsigned size = ops->max_size ? ops->max_size : 8;
    while (size > min && (size > left || (offset & (size - 1))))
        size /= 2;
    unsigned skip = offset & (size - 1);
    return (struct piece){ offset - skip, size, skip, MIN(left, size - skip) };
}

static uint64_t region_read(const struct region *region, uint64_t offset, unsigned size)
{
    const struct region_ops *ops = region->ops;
    uint64_t value = 0;
    if (!ops->unlocked)
        pthread_mutex_lock(&region->dev->lock);
    for (unsigned done = 0; done < size;) {
        struct piece piece = access_piece(ops, offset + done, size - done);
        uint64_t part = ops->read ? ops->read(region->dev, piece.offset, piece.size) : UINT64_MAX;
        part = part >> (8 * piece.skip) & size_mask(piece.used);
        value |= part << (8 * done);
        done += piece.used;
    }
    if (!ops->unlocked)
        pthread_mutex_unlock(&region->dev->lock);
    log_if(LOG_IO, "%s: read %u at 0x%" PRIx64 " gives 0x%" PRIx64, region->name, size, offset,
           value);
    return value;
}

static void region_write(const struct region *region, uint64_t offset, uint64_t value,
                         unsigned size)
{
    const struct region_ops *ops = region->ops;
    log_if(LOG_IO, "%s: write %u at 0x%" PRIx64 " of 0x%" PRIx64, region->name, size, offset,
           value & size_mask(size));
    if (!ops->write)
        return;
    if (!ops->unlocked)
        pthread_mutex_lock(&region->dev->lock);
    for (unsigned done = 0; done < size;) {
        struct piece piece = access_piece(ops, offset + done, size - done);
        uint64_t part = value >> (8 * done) & size_mask(piece.used);
        ops->write(region->dev, piece.offset, part << (8 * piece.skip), piece.size);
        done += piece.used;
    }
    if (!ops->unlocked)
        pthread_mutex_unlock(&region->dev->lock);
}

/* Whether an access that begins in `range` goes to its region whole. A device decodes the first
 * address and takes the full width, whoever lies over its other registers: a 4-byte access to the
 * PCI address port at 0xcf8 is one, though a byte at 0xcf9 is the reset register's. */
static bool range_takes(const struct range *range, uint64_t addr, unsigned size)
{
    const struct region *region = range->region;
    uint64_t offset = addr - range->base;
    return size <= range->end - addr
           || (region->kind == REGION_IO && size <= region->size - range->offset - offset);
}

uint64_t address_space_read(struct address_space *space, uint64_t addr, unsigned size)
{
    struct range range;
    if (unlikely(!space_find(space, addr, &range) || !range_takes(&range, addr, size))) {
        if (size == 1) {
            log_if(LOG_GUEST_ERRORS, "%s: read at 0x%" PRIx64 ", where nothing is", space->name,
                   addr);
            return 0xff;
        }
        return address_space_read(space, addr, size / 2)
               | address_space_read(space, addr + size / 2, size / 2) << (4 * size);
    }
    uint64_t offset = range.offset + (addr - range.base);
    if (range.region->kind == REGION_IO)
        return region_read(range.region, offset, size);
    return host_load(range.region->host + offset, size);
}

void address_space_write(struct address_space *space, uint64_t addr, uint64_t value, unsigned size)
{
    struct range range;
    if (unlikely(!space_find(space, addr, &range) || !range_takes(&range, addr, size))) {
        if (size == 1) {
            log_if(LOG_GUEST_ERRORS, "%s: write at 0x%" PRIx64 ", where nothing is", space->name,
                   addr);
            return;
        }
        address_space_write(space, addr, value & size_mask(size / 2), size / 2);
        address_space_write(space, addr + size / 2, value >> (4 * size), size / 2);
        return;
    }
    uint64_t offset = range.offset + (addr - range.base);
    if (range.region->kind == REGION_IO)
        region_write(range.region, offset, value, size);
    else if (range.region->kind == REGION_ROM && range.region->ops)
        region_write(range.region, offset, value, size);
    else if (range.region->kind == REGION_RAM)
        host_store(range.region->host + offset, value, size);
}

/* --- DMA ------------------------------------------------------------------------------------ */

void ram_written_listen(struct address_space *space,
                        void (*written)(void *opaque, uint64_t gpa, uint64_t length), void *opaque)
{
    struct write_listener listener = { written, opaque };
    g_array_append_val(space->write_listeners, listener);
}

void ram_written(struct address_space *space, uint64_t gpa, uint64_t length)
{
    for (guint i = 0; i < space->write_listeners->len; i++) {
        struct write_listener *listener =
            &g_array_index(space->write_listeners, struct write_listener, i);
        listener->written(listener->opaque, gpa, length);
    }
}

bool dma_read(struct address_space *space, uint64_t gpa, void *buffer, uint64_t length)
{
    uint8_t *out = buffer;
    while (length) {
        uint64_t run;
        const uint8_t *host = address_space_host(space, gpa, false, &run);
        if (!host)
            return false;
        run = MIN(run, length);
        memcpy(out, host, run);
        gpa += run;
        out += run;
        length -= run;
    }
    return true;
}

bool dma_write(struct address_space *space, uint64_t gpa, const void *buffer, uint64_t length)
{
    const uint8_t *in = buffer;
    while (length) {
        uint64_t run;
        uint8_t *host = address_space_host(space, gpa, true, &run);
        if (!host)
            return false;
        run = MIN(run, length);
        memcpy(host, in, run);
        ram_written(space, gpa, run);
        gpa += run;
        in += run;
        length -= run;
    }
    return true;
}

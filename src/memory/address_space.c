/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address spaces: the published view, and CPU accesses through it.
 *
 * Readers load the view's pointer once per access and take no lock. Writers are serialised by
 * `space->lock`, build a whole new view and publish it with a release store; the old one stays
 * valid until the space is freed, because some thread may still be using it. Listeners run after
 * the store, on the thread that made the change, with the lock dropped. A space over another is
 * rebuilt after the one below; its lock comes before the other's.
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

struct change_listener {
    void (*changed)(struct address_space *space, void *opaque);
    void *opaque;
};

struct write_listener {
    void (*written)(void *opaque, uint64_t gpa, uint64_t length);
    void *opaque;
};

struct address_space {
    const char *name;            /* [const] */
    uint64_t size;               /* [const] */
    unsigned hint_slot;          /* [const] which of a thread's hints this space uses */
    _Atomic(struct view *) view; /* [atomic] valid until the space is freed */
    pthread_mutex_t lock;        /* serialises topology changes */
    GPtrArray *regions;          /* [lock] struct region *, oldest first; not those below */
    struct address_space *below; /* [const] see address_space_new_over() */
    struct address_space *above; /* [main] that one's `below` is this */
    GPtrArray *old_views;        /* [lock] */
    GArray *listeners;           /* [main] struct change_listener */
    GArray *write_listeners;     /* set before vCPUs run */
};

/* Where this thread last found something; shared by all spaces with the same slot, since any value
 * is a valid hint. */
#define HINT_SLOTS 4
static _Thread_local size_t last_hit[HINT_SLOTS];
static atomic_uint next_hint_slot;

static struct view *space_build(struct address_space *space)
{
    if (!space->below)
        return view_build(space->regions, space->size);
    pthread_mutex_lock(&space->below->lock);
    g_autoptr(GPtrArray) all = g_ptr_array_copy(space->below->regions, NULL, NULL);
    pthread_mutex_unlock(&space->below->lock);
    g_ptr_array_extend(all, space->regions, NULL, NULL);
    return view_build(all, space->size);
}

static struct address_space *space_new(const char *name, uint64_t size, struct address_space *below)
{
    struct address_space *space = g_new0(struct address_space, 1);
    space->name = name;
    space->size = size;
    space->below = below;
    space->hint_slot = atomic_fetch_add(&next_hint_slot, 1) % HINT_SLOTS;
    pthread_mutex_init(&space->lock, NULL);
    space->regions = g_ptr_array_new();
    space->old_views = g_ptr_array_new_with_free_func(g_free);
    space->listeners = g_array_new(FALSE, FALSE, sizeof(struct change_listener));
    space->write_listeners = g_array_new(FALSE, FALSE, sizeof(struct write_listener));
    atomic_store(&space->view, space_build(space));
    return space;
}

struct address_space *address_space_new(const char *name, uint64_t size)
{
    return space_new(name, size, NULL);
}

struct address_space *address_space_new_over(const char *name, struct address_space *below)
{
    assert(!below->above && !below->below);
    return below->above = space_new(name, below->size, below);
}

void address_space_free(struct address_space *space)
{
    if (!space)
        return;
    assert(!space->above);
    if (space->below)
        space->below->above = NULL;
    g_free(atomic_load(&space->view));
    g_ptr_array_free(space->old_views, TRUE);
    g_ptr_array_free(space->regions, TRUE);
    g_array_free(space->listeners, TRUE);
    g_array_free(space->write_listeners, TRUE);
    pthread_mutex_destroy(&space->lock);
    g_free(space);
}

/* --- topology ------------------------------------------------------------------------------- */

/* Called with the lock held, drops it. */
static void space_publish(struct address_space *space)
{
    struct view *view = space_build(space);
    g_ptr_array_add(space->old_views, atomic_exchange(&space->view, view));
    pthread_mutex_unlock(&space->lock);
    for (guint i = 0; i < space->listeners->len; i++) {
        struct change_listener *listener =
            &g_array_index(space->listeners, struct change_listener, i);
        listener->changed(space, listener->opaque);
    }
    if (space->above) {
        pthread_mutex_lock(&space->above->lock);
        space_publish(space->above);
    }
}

void address_space_add(struct address_space *space, struct region *region)
{
    uint64_t end;
    assert(region->size && !__builtin_add_overflow(region->base, region->size, &end));
    assert(region->kind == REGION_IO ? region->ops && region->dev : region->host != NULL);
    pthread_mutex_lock(&space->lock);
    g_ptr_array_add(space->regions, region);
    space_publish(space);
}

void address_space_remove(struct address_space *space, struct region *region)
{
    pthread_mutex_lock(&space->lock);
    bool found = g_ptr_array_remove(space->regions, region);
    assert(found);
    space_publish(space);
}

void address_space_listen(struct address_space *space,
                          void (*changed)(struct address_space *space, void *opaque), void *opaque)
{
    struct change_listener listener = { changed, opaque };
    g_array_append_val(space->listeners, listener);
}

void address_space_visit(struct address_space *space,
                         void (*visit)(const struct region *region, uint64_t base, uint64_t size,
                                       uint64_t offset, void *opaque),
                         void *opaque)
{
    const struct view *view = atomic_load_explicit(&space->view, memory_order_acquire);
    for (size_t i = 0; i < view->count; i++) {
        const struct range *range = &view->ranges[i];
        visit(range->region, range->base, range->end - range->base, range->offset, opaque);
    }
}

static const struct range *space_find(struct address_space *space, uint64_t addr)
{
    const struct view *view = atomic_load_explicit(&space->view, memory_order_acquire);
    return view_find(view, addr, &last_hit[space->hint_slot], NULL);
}

bool address_space_is_mapped(struct address_space *space, uint64_t addr)
{
    return space_find(space, addr) != NULL;
}

uint8_t *address_space_host(struct address_space *space, uint64_t gpa, bool for_write,
                            uint64_t *run)
{
    const struct range *range = space_find(space, gpa);
    if (!range || range->region->kind == REGION_IO
        || (for_write && range->region->kind == REGION_ROM))
        return NULL;
    if (run)
        *run = range->end - gpa;
    return range->region->host + range->offset + (gpa - range->base);
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
    const struct range *range = space_find(space, addr);
    if (unlikely(!range || !range_takes(range, addr, size))) {
        if (size == 1) {
            log_if(LOG_GUEST_ERRORS, "%s: read at 0x%" PRIx64 ", where nothing is", space->name,
                   addr);
            return 0xff;
        }
        return address_space_read(space, addr, size / 2)
               | address_space_read(space, addr + size / 2, size / 2) << (4 * size);
    }
    uint64_t offset = range->offset + (addr - range->base);
    if (range->region->kind == REGION_IO)
        return region_read(range->region, offset, size);
    return host_load(range->region->host + offset, size);
}

void address_space_write(struct address_space *space, uint64_t addr, uint64_t value, unsigned size)
{
    const struct range *range = space_find(space, addr);
    if (unlikely(!range || !range_takes(range, addr, size))) {
        if (size == 1) {
            log_if(LOG_GUEST_ERRORS, "%s: write at 0x%" PRIx64 ", where nothing is", space->name,
                   addr);
            return;
        }
        address_space_write(space, addr, value & size_mask(size / 2), size / 2);
        address_space_write(space, addr + size / 2, value >> (4 * size), size / 2);
        return;
    }
    uint64_t offset = range->offset + (addr - range->base);
    if (range->region->kind == REGION_IO)
        region_write(range->region, offset, value, size);
    else if (range->region->kind == REGION_RAM)
        host_store(range->region->host + offset, value, size);
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

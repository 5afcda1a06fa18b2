/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Synchronous I/O: the way of a request through one node, io_sync(), and what is built on it.
 *
 *     io_sync        what the node takes at all; zero detection; reads beyond the end
 *       io_unaligned   bounce buffer and read-modify-write for O_DIRECT
 *       io_whole       alignment is right; writes are counted in the gate
 *         io_extents     lookup() and on to the child, or
 *           driver_call    the driver's read(), write(), … under its lock */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/io.h"

static const uint8_t zero_bytes[64 * 1024];

bool io_is_aligned(const struct block_node *node, enum block_op op, uint64_t offset,
                   uint64_t length, struct iov data)
{
    if (likely(node->alignment <= 1))
        return true;
    if ((offset | length) & (node->alignment - 1))
        return false;
    return (op != BLOCK_READ && op != BLOCK_WRITE) || iov_is_aligned(data, node->memory_alignment);
}

int io_check(struct block_node *node, enum block_op op, uint64_t offset, uint64_t length)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, length, &end) || end > INT64_MAX)
        return -EIO;
    if (!block_op_writes(op))
        return 0;
    if (node->read_only)
        return -EACCES;
    return end > block_length(node) && !node->driver->growable ? -EIO : 0;
}

bool io_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
               uint64_t length, bool wait, struct block_extent *extent)
{
    const struct block_driver *driver = node->driver;
    bool locked = driver->serialized;

    if (!driver->lookup)
        return false;
    if (locked && (wait ? pthread_mutex_lock(&node->lock) : pthread_mutex_trylock(&node->lock)))
        return false;
    *extent = (struct block_extent){ 0 };
    bool found = driver->lookup(node, op, flags, offset, length, extent);
    if (locked)
        pthread_mutex_unlock(&node->lock);
    return found;
}

/* ---- A driver that has only submit() ---- */

struct wait {
    struct block_request request;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
};

static void wait_done(struct block_request *request, int error)
{
    struct wait *wait = container_of(request, struct wait, request);
    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    pthread_cond_signal(&wait->ended);
    pthread_mutex_unlock(&wait->lock);
}

static int submit_and_wait(struct block_node *node, enum block_op op, unsigned flags,
                           uint64_t offset, uint64_t length, struct iov data)
{
    struct wait wait = {
        .request = { .op = op,
                     .flags = flags,
                     .offset = offset,
                     .length = length,
                     .data = data,
                     .done = wait_done,
                     .node = node },
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .ended = PTHREAD_COND_INITIALIZER,
    };
    node->driver->submit(node, &wait.request);
    pthread_mutex_lock(&wait.lock);
    while (!wait.done)
        pthread_cond_wait(&wait.ended, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    return wait.request.error;
}

/* ---- Through one node ---- */

static int driver_call_unlocked(struct block_node *node, enum block_op op, unsigned flags,
                                uint64_t offset, uint64_t length, struct iov data)
{
    const struct block_driver *driver = node->driver;
    switch (op) {
    case BLOCK_READ:
        if (driver->read)
            return driver->read(node, offset, data);
        break;
    case BLOCK_WRITE:
        if (driver->write)
            return driver->write(node, offset, data, flags);
        break;
    case BLOCK_WRITE_ZEROES:
        if (driver->write_zeroes)
            return driver->write_zeroes(node, offset, length, flags);
        break;
    case BLOCK_DISCARD:
        if (driver->discard)
            return driver->discard(node, offset, length);
        break;
    case BLOCK_FLUSH:
        if (driver->flush)
            return driver->flush(node);
        break;
    }
    return driver->submit ? submit_and_wait(node, op, flags, offset, length, data) : -ENOTSUP;
}

static int driver_call(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                       uint64_t length, struct iov data)
{
    if (!node->driver->serialized)
        return driver_call_unlocked(node, op, flags, offset, length, data);
    pthread_mutex_lock(&node->lock);
    int error = driver_call_unlocked(node, op, flags, offset, length, data);
    pthread_mutex_unlock(&node->lock);
    return error;
}

static int write_zero_bytes(struct block_node *node, unsigned flags, uint64_t offset,
                            uint64_t length)
{
    struct iovec vec[16];
    int error = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(vec); i++)
        vec[i] = (struct iovec){ (void *)zero_bytes, sizeof(zero_bytes) };
    while (length && !error) {
        uint64_t part = MIN(length, sizeof(zero_bytes) * G_N_ELEMENTS(vec));
        struct iov data = { .vec = vec, .size = part };
        error = driver_call(node, BLOCK_WRITE, flags & BLOCK_FUA, offset, part, data);
        offset += part;
        length -= part;
    }
    return error;
}

static int io_extents(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                      uint64_t length, struct iov data)
{
    struct block_extent extent;
    int error = 0;

    while (length && !error) {
        uint64_t part = length;
        if (io_lookup(node, op, flags, offset, length, true, &extent)) {
            part = MIN(length, extent.length);
            struct iov piece = data.size ? iov_slice(data, 0, part) : data;
            if (extent.kind == BLOCK_EXTENT_CHILD)
                error = io_sync(extent.node, op, flags, extent.offset, part, piece);
            else if (op == BLOCK_READ)
                iov_fill(piece, 0);
            if (extent.guard)
                block_guard_leave(extent.guard);
        } else {
            if (node->max_transfer && (op == BLOCK_READ || op == BLOCK_WRITE))
                part = MIN(part, node->max_transfer);
            error = driver_call(node, op, flags, offset, part,
                                data.size ? iov_slice(data, 0, part) : data);
        }
        offset += part;
        length -= part;
        if (data.size)
            data = iov_slice(data, part, data.size - part);
    }
    if (op == BLOCK_DISCARD && error == -ENOTSUP)
        return 0;
    return error;
}

/* Alignment is right, and the gate has been passed. */
static int io_inside(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                     uint64_t length, struct iov data)
{
    int error = io_extents(node, op, flags, offset, length, data);
    if (op == BLOCK_WRITE_ZEROES && error == -ENOTSUP && !(flags & BLOCK_NO_FALLBACK))
        error = write_zero_bytes(node, flags, offset, length);
    return error;
}

static int io_whole(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                    uint64_t length, struct iov data)
{
    bool gated = block_op_writes(op) && node->alignment > 1;
    if (gated)
        gate_enter(&node->gate);
    int error = io_inside(node, op, flags, offset, length, data);
    if (gated)
        block_guard_leave(&node->gate.writes);
    return error;
}

static void *bounce_new(struct block_node *node, uint64_t size)
{
    return aligned_alloc(MAX(node->memory_alignment, 4096u), (size + 4095) / 4096 * 4096);
}

/* One piece of an unaligned request, at most BLOCK_BOUNCE_BYTES with its surroundings. */
static int io_bounce(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                     uint64_t length, struct iov data, uint8_t *bounce)
{
    uint64_t mask = node->alignment - 1;
    uint64_t start = offset & ~mask, end = (offset + length + mask) & ~mask;
    struct iovec vec;
    struct iov whole = iov_flat(&vec, bounce, end - start);
    int error = 0;

    if (op == BLOCK_READ) {
        error = io_inside(node, BLOCK_READ, 0, start, end - start, whole);
        if (!error)
            iov_copy_in(data, bounce + (offset - start));
        return error;
    }
    if (offset > start || offset + length < end)
        error = io_inside(node, BLOCK_READ, 0, start, end - start, whole);
    if (error)
        return error;
    if (op == BLOCK_WRITE)
        iov_copy_out(data, bounce + (offset - start));
    else
        memset(bounce + (offset - start), 0, length);
    return io_inside(node, BLOCK_WRITE, flags & (BLOCK_FUA | BLOCK_UNCHANGED), start, end - start,
                     whole);
}

static int io_unaligned(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                        uint64_t length, struct iov data)
{
    uint64_t mask = node->alignment - 1;
    int error = 0;

    if (op == BLOCK_DISCARD) {
        uint64_t start = (offset + mask) & ~mask, end = (offset + length) & ~mask;
        return start < end ? io_whole(node, op, flags, start, end - start, data) : 0;
    }
    uint8_t *bounce = bounce_new(node, MIN(length + 2 * node->alignment, BLOCK_BOUNCE_BYTES));
    if (!bounce)
        return -ENOMEM;
    if (op != BLOCK_READ)
        gate_close(&node->gate);
    while (length && !error) {
        uint64_t limit = BLOCK_BOUNCE_BYTES - (offset & mask) - node->alignment;
        uint64_t part = MIN(length, limit);
        bool middle = op == BLOCK_WRITE_ZEROES && !(offset & mask) && length > mask;
        if (middle) {
            part = length & ~mask;
            error = io_inside(node, op, flags, offset, part, data);
        } else {
            if (op == BLOCK_WRITE_ZEROES) /* only the block that is cut */
                part = MIN(length, node->alignment - (offset & mask));
            error = io_bounce(node, op, flags, offset, part,
                              data.size ? iov_slice(data, 0, part) : data, bounce);
        }
        offset += part;
        length -= part;
        if (data.size)
            data = iov_slice(data, part, data.size - part);
    }
    if (op != BLOCK_READ)
        gate_open(&node->gate);
    free(bounce);
    return error;
}

static int io_flush(struct block_node *node)
{
    int error = 0;
    if (node->driver->is_protocol && (node->flags & BLOCK_OPEN_NO_FLUSH))
        return 0;
    if (!node->read_only && (node->driver->flush || node->driver->submit)) {
        error = driver_call(node, BLOCK_FLUSH, 0, 0, 0, (struct iov){ 0 });
        if (error == -ENOTSUP)
            error = 0;
    }
    for (guint i = 0; !error && i < node->children->len; i++) {
        struct block_child *child = node->children->pdata[i];
        if (child->role != BLOCK_ROLE_BACKING)
            error = io_flush(child->node);
    }
    return error;
}

/* Reads that reach beyond the end get zeroes there. Returns how much is left to be read. */
static uint64_t clip_read(struct block_node *node, uint64_t offset, uint64_t length,
                          struct iov *data)
{
    uint64_t size = block_length(node);
    uint64_t inside = offset >= size ? 0 : MIN(length, size - offset);
    if (inside < length) {
        iov_fill(iov_slice(*data, inside, length - inside), 0);
        *data = iov_slice(*data, 0, inside);
    }
    return inside;
}

int io_sync(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
            uint64_t length, struct iov data)
{
    if (op == BLOCK_FLUSH)
        return io_flush(node);
    int error = io_check(node, op, offset, length);
    if (error)
        return error;
    if (op == BLOCK_DISCARD && !(node->flags & BLOCK_OPEN_UNMAP))
        return 0;
    if (op == BLOCK_READ)
        length = clip_read(node, offset, length, &data);
    if (!length)
        return 0;
    if (op == BLOCK_WRITE && node->detect_zeroes && !(flags & BLOCK_COMPRESSED)
        && iov_is_zero(data)) {
        op = BLOCK_WRITE_ZEROES;
        flags |= node->detect_zeroes == BLOCK_DETECT_UNMAP ? BLOCK_MAY_UNMAP : 0;
        data = (struct iov){ 0 };
    }
    bool flush_after = (flags & BLOCK_FUA) && !node->driver->native_fua;
    if (flush_after)
        flags &= ~BLOCK_FUA;
    error = io_is_aligned(node, op, offset, length, data)
                ? io_whole(node, op, flags, offset, length, data)
                : io_unaligned(node, op, flags, offset, length, data);
    return !error && flush_after ? io_flush(node) : error;
}

/* ---- Public ---- */

int block_preadv(struct block_node *node, uint64_t offset, struct iov data)
{
    return io_sync(node, BLOCK_READ, 0, offset, data.size, data);
}

int block_pwritev(struct block_node *node, uint64_t offset, struct iov data, unsigned flags)
{
    return io_sync(node, BLOCK_WRITE, flags, offset, data.size, data);
}

int block_pread(struct block_node *node, uint64_t offset, void *buffer, size_t length)
{
    struct iovec vec;
    return block_preadv(node, offset, iov_flat(&vec, buffer, length));
}

int block_pwrite(struct block_node *node, uint64_t offset, const void *buffer, size_t length,
                 unsigned flags)
{
    struct iovec vec;
    return block_pwritev(node, offset, iov_flat(&vec, buffer, length), flags);
}

int block_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    return io_sync(node, BLOCK_WRITE_ZEROES, flags, offset, length, (struct iov){ 0 });
}

int block_discard(struct block_node *node, uint64_t offset, uint64_t length)
{
    return io_sync(node, BLOCK_DISCARD, 0, offset, length, (struct iov){ 0 });
}

int block_flush(struct block_node *node)
{
    return io_sync(node, BLOCK_FLUSH, 0, 0, 0, (struct iov){ 0 });
}

int block_pwrite_sync(struct block_node *node, uint64_t offset, const void *buffer, size_t length)
{
    int error = block_pwrite(node, offset, buffer, length, 0);
    return error ? error : block_flush(node);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/formats/blockmap.h"

#include <errno.h>

/* A run of bytes of one kind, and if it is data, in one piece of the file. */
struct run {
    enum blockmap_kind kind;
    uint64_t host, length;
};

static struct run run_find(struct block_node *node, uint64_t offset, uint64_t length)
{
    struct blockmap *map = node->state;
    uint64_t index = offset / map->block_size, inside = offset % map->block_size;
    struct run run = { .length = map->block_size - inside };

    run.kind = map->ops->find(node, index, &run.host);
    while (run.length < length) {
        uint64_t host = 0;
        if (map->ops->find(node, ++index, &host) != run.kind
            || (run.kind == BLOCKMAP_DATA && host != run.host + inside + run.length))
            break;
        run.length += map->block_size;
    }
    run.host += inside;
    run.length = MIN(run.length, length);
    return run;
}

bool blockmap_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                     uint64_t length, struct block_extent *extent)
{
    if (op == BLOCK_FLUSH || op == BLOCK_DISCARD)
        return false;
    struct run run = run_find(node, offset, length);
    if (run.kind == BLOCKMAP_DATA) {
        *extent =
            (struct block_extent){ .length = run.length, .offset = run.host, .node = node->file };
        return true;
    }
    if (op != BLOCK_READ || (run.kind == BLOCKMAP_NONE && node->backing))
        return false;
    *extent = (struct block_extent){ .kind = BLOCK_EXTENT_ZERO, .length = run.length };
    return true;
}

static int read_elsewhere(struct block_node *node, enum blockmap_kind kind, uint64_t offset,
                          struct iov data)
{
    if (kind == BLOCKMAP_NONE && node->backing)
        return block_preadv(node->backing, offset, data);
    iov_fill(data, 0);
    return 0;
}

int blockmap_read(struct block_node *node, uint64_t offset, struct iov data)
{
    while (data.size) {
        struct run run = run_find(node, offset, data.size);
        struct iov part = iov_slice(data, 0, run.length);
        int error = run.kind == BLOCKMAP_DATA ? block_preadv(node->file, run.host, part)
                                              : read_elsewhere(node, run.kind, offset, part);
        if (error)
            return error;
        offset += run.length;
        data = iov_slice(data, run.length, data.size - run.length);
    }
    return 0;
}

/* A block gets a place; what is not written of it is what could be read there before. */
static int write_new(struct block_node *node, enum blockmap_kind kind, uint64_t offset,
                     struct iov data)
{
    struct blockmap *map = node->state;
    uint64_t index = offset / map->block_size, start = index * map->block_size, host;
    g_autofree uint8_t *block = g_try_malloc0(map->block_size);
    struct iovec flat;

    if (!block)
        return -ENOMEM;
    if (data.size < map->block_size) {
        uint64_t size = MIN(map->block_size, block_length(node) - start);
        int error = read_elsewhere(node, kind, start, iov_flat(&flat, block, size));
        if (error)
            return error;
    }
    iov_copy_out(data, block + (offset - start));
    int error = map->ops->reserve(node, index, &host);
    if (!error)
        error = block_pwrite(node->file, host, block, map->block_size, 0);
    return error ? error : map->ops->enter(node, index, host);
}

int blockmap_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags)
{
    struct blockmap *map = node->state;

    while (data.size) {
        uint64_t rest = map->block_size - offset % map->block_size;
        struct run run = run_find(node, offset, data.size);
        if (run.kind != BLOCKMAP_DATA)
            run.length = MIN(run.length, rest);
        struct iov part = iov_slice(data, 0, run.length);
        int error = run.kind == BLOCKMAP_DATA ? block_pwritev(node->file, run.host, part, 0)
                                              : write_new(node, run.kind, offset, part);
        if (error)
            return error;
        offset += run.length;
        data = iov_slice(data, run.length, data.size - run.length);
    }
    return 0;
}

int blockmap_status(struct block_node *node, uint64_t offset, uint64_t length,
                    struct block_status *status)
{
    struct run run = run_find(node, offset, length);

    status->length = run.length;
    if (run.kind == BLOCKMAP_DATA) {
        status->flags = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET;
        status->host_offset = run.host;
        status->file = node->file;
    } else if (run.kind == BLOCKMAP_ZERO || !node->driver->supports_backing) {
        status->flags =
            BLOCK_STATUS_ZERO | (run.kind == BLOCKMAP_ZERO ? BLOCK_STATUS_ALLOCATED : 0);
    }
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is where, how large, and of how many bytes: questions answered through the layers. */
#include <errno.h>
#include <string.h>

#include "block/graph.h"

const char *const block_preallocation_names[] = { "off", "metadata", "falloc", "full", NULL };

static int driver_status(struct block_node *node, uint64_t offset, uint64_t length,
                         struct block_status *status)
{
    const struct block_driver *driver = node->driver;
    int error;

    *status = (struct block_status){ .length = length };
    if (driver->status) {
        if (driver->serialized)
            pthread_mutex_lock(&node->lock);
        error = driver->status(node, offset, length, status);
        if (driver->serialized)
            pthread_mutex_unlock(&node->lock);
        return error;
    }
    if (driver->is_filter)
        return block_status(block_skip_filters(node), offset, length, status);
    status->flags = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED;
    return 0;
}

int block_status(struct block_node *node, uint64_t offset, uint64_t length,
                 struct block_status *status)
{
    uint64_t size = block_length(node);

    *status = (struct block_status){ .length = length, .flags = BLOCK_STATUS_EOF };
    if (offset >= size) {
        status->flags |= BLOCK_STATUS_ZERO;
        return 0;
    }
    length = MIN(length, size - offset);
    if (!length)
        return 0;
    int error = driver_status(node, offset, length, status);
    if (error)
        return error;
    status->length = CLAMP(status->length, 1, length);
    if (!(status->flags & BLOCK_STATUS_ALLOCATED) && node->driver->supports_backing) {
        struct block_node *backing = node->backing;
        if (!backing || offset >= block_length(backing))
            status->flags |= BLOCK_STATUS_ZERO;
        else
            status->length = MIN(status->length, block_length(backing) - offset);
    }
    status->flags &= ~BLOCK_STATUS_EOF;
    if (offset + status->length == size)
        status->flags |= BLOCK_STATUS_EOF;
    return 0;
}

int block_status_above(struct block_node *node, struct block_node *base, uint64_t offset,
                       uint64_t length, struct block_status *status)
{
    unsigned depth = 0;
    uint64_t size = block_length(node);
    bool end = false;

    node = block_skip_filters(node);
    base = block_skip_filters(base);
    for (; node && node != base; node = block_skip_filters(node->backing), depth++) {
        /* Beyond the end of a shorter layer, whoever lies above decides: zeroes, made here. */
        if (depth && offset >= block_length(node)) {
            status->flags = BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
            status->length = length;
            status->file = NULL;
            break;
        }
        int error = block_status(node, offset, length, status);
        if (error)
            return error;
        length = MIN(length, status->length);
        if (!depth)
            end = status->flags & BLOCK_STATUS_EOF;
        if ((status->flags & BLOCK_STATUS_ALLOCATED) || !node->backing)
            break;
    }
    status->depth = depth;
    status->length = length;
    status->flags &= ~BLOCK_STATUS_EOF;
    if (end && offset + length == size)
        status->flags |= BLOCK_STATUS_EOF;
    return 0;
}

int64_t block_allocated_size(struct block_node *node)
{
    int64_t sum = 0;

    if (node->driver->allocated_size)
        return node->driver->allocated_size(node);
    for (guint i = 0; i < node->children->len; i++) {
        struct block_child *child = node->children->pdata[i];
        int64_t size = child->role == BLOCK_ROLE_BACKING ? 0 : block_allocated_size(child->node);
        if (size < 0)
            return size;
        sum += size;
    }
    return sum;
}

bool block_truncate(struct block_node *node, uint64_t length,
                    enum block_preallocation preallocation, GError **error)
{
    if (length > INT64_MAX)
        return fail(error, "Image size is too large: %" PRIu64 " bytes", length);
    if (node->read_only)
        return fail(error, "Image is read-only");
    if (node->driver->truncate)
        return node->driver->truncate(node, length, preallocation, error);
    if (node->driver->is_filter && node->file) {
        if (!block_truncate(node->file, length, preallocation, error))
            return false;
        atomic_store(&node->length, block_length(node->file));
        return true;
    }
    return fail(error, "Image format driver does not support resize");
}

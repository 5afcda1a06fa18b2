/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, and finding without waiting. */
#include "block/qcow2/qcow2.h"

static int read_packed(struct qcow2 *s, uint64_t offset, uint64_t entry, struct iov data)
{
    uint64_t host;
    uint32_t bytes;

    qcow2_packed_place(s, entry, &host, &bytes);
    g_autofree uint8_t *packed = g_try_malloc(bytes);
    g_autofree uint8_t *cluster = g_try_malloc(s->cluster_size);
    if (!packed || !cluster)
        return -ENOMEM;
    int error = block_pread(s->node->file, host, packed, bytes);
    if (!error)
        error = qcow2_decompress(s, packed, bytes, cluster);
    if (!error)
        iov_copy_in(data, cluster + (offset & (s->cluster_size - 1)));
    return error;
}

static int read_encrypted(struct qcow2 *s, uint64_t host, uint64_t offset, struct iov data)
{
    uint64_t start = offset & ~511ull, end = (offset + data.size + 511) & ~511ull;
    uint64_t before = offset - start;
    g_autofree uint8_t *bounce = g_try_malloc(end - start);

    if (!bounce)
        return -ENOMEM;
    int error = block_pread(s->data, host - before, bounce, end - start);
    if (!error)
        error = qcow2_decrypt(s, host - before, start, bounce, end - start);
    if (!error)
        iov_copy_in(data, bounce + before);
    return error;
}

static int read_backing(struct qcow2 *s, uint64_t offset, struct iov data)
{
    if (s->node->backing)
        return block_preadv(s->node->backing, offset, data);
    iov_fill(data, 0);
    return 0;
}

int qcow2_read(struct block_node *node, uint64_t offset, struct iov data)
{
    struct qcow2 *s = node->state;
    int error = 0;

    while (data.size && !error) {
        struct qcow2_map map;
        pthread_mutex_lock(&s->lock);
        error = qcow2_map(s, offset, data.size, false, &map);
        struct block_guard *guard = &s->guards[s->epoch & 1];
        block_guard_enter(guard);
        pthread_mutex_unlock(&s->lock);
        struct iov part = error ? data : iov_slice(data, 0, map.bytes);
        if (error) {
            block_guard_leave(guard);
            return error;
        }
        switch (map.kind) {
        case QCOW2_UNALLOCATED:
            error = read_backing(s, offset, part);
            break;
        case QCOW2_ZEROES:
        case QCOW2_ZEROES_ALLOCATED:
            iov_fill(part, 0);
            break;
        case QCOW2_DATA:
            if (s->crypto)
                part = iov_slice(part, 0, MIN(part.size, 1u << 20));
            map.bytes = part.size;
            error = s->crypto ? read_encrypted(s, map.host, offset, part)
                              : block_preadv(s->data, map.host, part);
            break;
        case QCOW2_PACKED:
            error = read_packed(s, offset, map.packed, part);
            break;
        }
        block_guard_leave(guard);
        offset += map.bytes;
        data = iov_slice(data, map.bytes, data.size - map.bytes);
    }
    return error;
}

/* What a mapped range is to a request; false: somebody has to wait. */
static bool extent_set(struct qcow2 *s, enum block_op op, const struct qcow2_map *map,
                       uint64_t offset, struct block_extent *extent)
{
    struct block_node *backing = s->node->backing;

    extent->length = map->bytes;
    extent->kind = BLOCK_EXTENT_CHILD;
    if (map->kind == QCOW2_DATA) {
        extent->node = s->data;
        extent->offset = map->host;
        return !s->crypto && (op == BLOCK_READ || map->copied);
    }
    if (op != BLOCK_READ)
        return false;
    if (map->kind == QCOW2_UNALLOCATED && backing && offset < block_length(backing)) {
        extent->node = backing;
        extent->offset = offset;
        extent->length = MIN(extent->length, block_length(backing) - offset);
        return true;
    }
    extent->kind = BLOCK_EXTENT_ZERO;
    return map->kind != QCOW2_PACKED;
}

bool qcow2_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                  uint64_t length, struct block_extent *extent)
{
    struct qcow2 *s = node->state;
    struct qcow2_map map;
    bool found = false;

    if ((op != BLOCK_READ && op != BLOCK_WRITE && op != BLOCK_FLUSH) || (flags & BLOCK_COMPRESSED)
        || pthread_mutex_trylock(&s->lock))
        return false;
    if (op == BLOCK_FLUSH) {
        extent->node = node->file;
        extent->kind = BLOCK_EXTENT_CHILD;
        found = qcow2_is_clean(s) && s->data == node->file;
    } else if (!qcow2_map(s, offset, length, true, &map)) {
        found = extent_set(s, op, &map, offset, extent);
    }
    if (found && op != BLOCK_FLUSH) {
        extent->guard = &s->guards[s->epoch & 1];
        block_guard_enter(extent->guard);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

int qcow2_status(struct block_node *node, uint64_t offset, uint64_t length,
                 struct block_status *status)
{
    struct qcow2 *s = node->state;
    struct qcow2_map map, more;

    pthread_mutex_lock(&s->lock);
    int error = qcow2_map(s, offset, length, false, &map);
    /* Runs do not end where tables do. */
    while (!error && map.bytes < length && map.kind != QCOW2_PACKED
           && !(((offset + map.bytes) >> s->header.cluster_bits) & (s->slice_entries - 1))) {
        error = qcow2_map(s, offset + map.bytes, length - map.bytes, false, &more);
        bool same = more.kind == map.kind
                    && (map.kind < QCOW2_ZEROES_ALLOCATED || more.host == map.host + map.bytes);
        if (error || !same)
            break;
        map.bytes += more.bytes;
    }
    pthread_mutex_unlock(&s->lock);
    if (error)
        return error;
    status->length = map.bytes;
    status->file = s->data;
    status->host_offset = map.host;
    switch (map.kind) {
    case QCOW2_UNALLOCATED:
        break;
    case QCOW2_ZEROES:
        status->flags = BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
        break;
    case QCOW2_ZEROES_ALLOCATED:
        status->flags = BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET;
        break;
    case QCOW2_DATA:
        status->flags =
            BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | (s->crypto ? 0 : BLOCK_STATUS_OFFSET);
        break;
    case QCOW2_PACKED:
        status->flags = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_COMPRESSED;
        break;
    }
    return 0;
}

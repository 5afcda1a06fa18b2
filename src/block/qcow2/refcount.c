/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reference counts of host clusters, and allocation. (Specification: "Host cluster management".) */
#include "block/qcow2/qcow2.h"

uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index)
{
    const uint8_t *bytes = block;
    uint16_t value16;
    uint32_t value32;
    uint64_t value64;

    switch (order) {
    case 3:
        return bytes[index];
    case 4:
        memcpy(&value16, bytes + index * 2, 2);
        return be16toh(value16);
    case 5:
        memcpy(&value32, bytes + index * 4, 4);
        return be32toh(value32);
    case 6:
        memcpy(&value64, bytes + index * 8, 8);
        return be64toh(value64);
    default: { /* several in a byte, the first in the low bits */
        unsigned shift = (index << order) & 7;
        return bytes[(index << order) >> 3] >> shift & ((1u << (1u << order)) - 1);
    }
    }
}

void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t count)
{
    uint8_t *bytes = block;

    switch (order) {
    case 3:
        bytes[index] = count;
        break;
    case 4:
        ((uint16_t *)block)[index] = htobe16(count);
        break;
    case 5:
        ((uint32_t *)block)[index] = htobe32(count);
        break;
    case 6:
        ((uint64_t *)block)[index] = htobe64(count);
        break;
    default: {
        unsigned shift = (index << order) & 7, mask = (1u << (1u << order)) - 1;
        uint8_t *byte = &bytes[(index << order) >> 3];
        *byte = (*byte & ~(mask << shift)) | count << shift;
    }
    }
}

/* ---- Refcount blocks ---- */

static uint64_t block_offset(const struct qcow2 *s, uint64_t cluster)
{
    uint64_t index = cluster >> s->refblock_bits;
    return index < s->reftable_entries ? s->reftable[index] & QCOW2_REFTABLE_MASK : 0;
}

/* The cached piece with the count of `cluster`, and the count's place in it; NULL without a block.
 */
static int piece_get(struct qcow2 *s, uint64_t cluster, void **piece, uint64_t *index)
{
    uint64_t offset = block_offset(s, cluster);
    uint64_t in_block = cluster & (s->refblock_entries - 1);
    uint64_t per_piece = (uint64_t)s->slice_size * 8 >> s->header.refcount_order;

    *piece = NULL;
    if (!offset)
        return 0;
    if (offset & (s->cluster_size - 1))
        return qcow2_corrupt(
            s, "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64 ")", offset,
            cluster >> s->refblock_bits);
    if (!s->node->read_only && offset >> s->header.cluster_bits >= s->high_water)
        return qcow2_corrupt(s, "Refblock offset %#" PRIx64 " is beyond the end of the image",
                             offset);
    *index = in_block % per_piece;
    return cache_get(s->refcount_cache, offset + in_block / per_piece * s->slice_size, piece);
}

int qcow2_refcount_get(struct qcow2 *s, uint64_t cluster, uint64_t *count)
{
    void *piece;
    uint64_t index;
    int error = piece_get(s, cluster, &piece, &index);

    *count = error || !piece ? 0 : qcow2_refcount_load(piece, s->header.refcount_order, index);
    return error;
}

static bool reftable_reserve(struct qcow2 *s, uint64_t entries);
static int reftable_move(struct qcow2 *s);

/* Makes a block for the range of clusters number `range`. It lies at the end of the image, beyond
 * which nothing has counts: in the range it counts itself, or in one that has a block. */
static int block_make(struct qcow2 *s, uint64_t range)
{
    for (unsigned depth = 0; depth < 64; depth++) {
        uint64_t cluster = s->high_water;
        uint64_t own_range = cluster >> s->refblock_bits;
        uint64_t made = own_range != range && !block_offset(s, cluster) ? own_range : range;
        uint64_t offset = cluster << s->header.cluster_bits;
        void *piece;
        int error;

        if (offset > QCOW2_OFFSET_MASK || !reftable_reserve(s, MAX(made, own_range) + 1))
            return -EFBIG;
        s->high_water = cluster + 1;
        for (uint32_t at = 0; at < s->cluster_size; at += s->slice_size) {
            error = cache_make(s->refcount_cache, offset + at, &piece);
            if (error)
                return error;
        }
        s->reftable[made] = offset;
        s->reftable_dirty_first = MIN(s->reftable_dirty_first, made);
        s->reftable_dirty_end = MAX(s->reftable_dirty_end, made + 1);
        error = qcow2_refcount_set(s, cluster, 1);
        if (error || made == range)
            return error;
    }
    return -EFBIG;
}

int qcow2_refcount_set(struct qcow2 *s, uint64_t cluster, uint64_t count)
{
    void *piece;
    uint64_t index;

    if (count > s->refcount_max)
        return -EINVAL;
    int error = piece_get(s, cluster, &piece, &index);
    if (error)
        return error;
    if (!piece) {
        if (!count)
            return 0;
        error = block_make(s, cluster >> s->refblock_bits);
        if (!error)
            error = piece_get(s, cluster, &piece, &index);
        if (error || !piece)
            return error ? error : -EIO;
    }
    qcow2_refcount_store(piece, s->header.refcount_order, index, count);
    cache_dirty(s->refcount_cache, piece);
    if (!count && cluster < s->free_hint)
        s->free_hint = cluster;
    return 0;
}

int qcow2_refcount_add(struct qcow2 *s, uint64_t offset, uint64_t bytes, int delta)
{
    uint64_t first = offset >> s->header.cluster_bits;
    uint64_t last = (offset + bytes - 1) >> s->header.cluster_bits;

    for (uint64_t cluster = first; bytes && cluster <= last; cluster++) {
        uint64_t count;
        int error = qcow2_refcount_get(s, cluster, &count);
        if (!error && delta < 0 && !count)
            error = qcow2_corrupt(s, "Refcount of cluster %#" PRIx64 " would become negative",
                                  cluster << s->header.cluster_bits);
        if (!error)
            error = qcow2_refcount_set(s, cluster, count + delta);
        if (error)
            return error;
    }
    return 0;
}

/* ---- The refcount table ---- */

/* Room for `entries` in memory. On disk it grows when it is written (reftable_move()). */
static bool reftable_reserve(struct qcow2 *s, uint64_t entries)
{
    if (entries <= s->reftable_entries)
        return true;
    uint64_t clusters = qcow2_clusters(s, MAX(entries, s->reftable_entries * 3ull / 2) * 8);
    uint64_t room = (clusters << s->header.cluster_bits) / 8;
    if (room * 8 > QCOW2_REFTABLE_BYTES_MAX)
        return false;
    s->reftable = g_renew(uint64_t, s->reftable, room);
    memset(s->reftable + s->reftable_entries, 0, (room - s->reftable_entries) * 8);
    s->reftable_entries = room;
    return true;
}

static int reftable_put(struct qcow2 *s, uint64_t offset, uint32_t first, uint32_t end)
{
    g_autofree uint64_t *raw = g_new(uint64_t, end - first);
    for (uint32_t i = first; i < end; i++)
        raw[i - first] = htobe64(s->reftable[i]);
    return block_pwrite(s->node->file, offset + first * 8ull, raw, (end - first) * 8ull, 0);
}

/* The table became longer than its place: writes it to a new place and changes over. */
static int reftable_move(struct qcow2 *s)
{
    uint64_t old = s->header.reftable_offset, offset;
    uint64_t old_bytes = (uint64_t)s->header.reftable_clusters << s->header.cluster_bits;
    uint64_t clusters = qcow2_clusters(s, s->reftable_entries * 8ull);
    int error = qcow2_alloc(s, clusters, &offset);

    if (!error)
        error = cache_write(s->refcount_cache);
    /* Allocating may have made the table longer still; its place has room for whole clusters. */
    if (!error && qcow2_clusters(s, s->reftable_entries * 8ull) > clusters)
        error = -EAGAIN;
    if (!error)
        error = reftable_put(s, offset, 0, s->reftable_entries);
    if (!error)
        error = block_flush(s->node->file);
    if (error)
        return error;
    s->header.reftable_offset = offset;
    s->header.reftable_clusters = clusters;
    if (!qcow2_header_write(s, NULL))
        return -EIO;
    s->reftable_dirty_first = UINT32_MAX;
    s->reftable_dirty_end = 0;
    qcow2_release(s, old, old_bytes);
    return 0;
}

int qcow2_reftable_write(struct qcow2 *s)
{
    if (s->reftable_dirty_end <= s->reftable_dirty_first)
        return 0;
    int error = block_flush(s->node->file);
    if (error)
        return error;
    uint64_t room = (uint64_t)s->header.reftable_clusters << s->header.cluster_bits;
    if (s->reftable_entries * 8ull > room) {
        do
            error = reftable_move(s);
        while (error == -EAGAIN);
        return error;
    }
    error =
        reftable_put(s, s->header.reftable_offset, s->reftable_dirty_first, s->reftable_dirty_end);
    if (!error) {
        s->reftable_dirty_first = UINT32_MAX;
        s->reftable_dirty_end = 0;
    }
    return error;
}

/* ---- Allocation ---- */

/* The first run of `count` free clusters from the hint on; all beyond the high-water mark is free.
 */
static int find_free(struct qcow2 *s, uint64_t count, uint64_t *first)
{
    uint64_t run = 0, cluster = s->free_hint;

    for (; cluster < s->high_water && run < count; cluster++) {
        uint64_t used;
        int error = qcow2_refcount_get(s, cluster, &used);
        if (error)
            return error;
        run = used ? 0 : run + 1;
    }
    *first = cluster - run;
    return 0;
}

static int take(struct qcow2 *s, uint64_t first, uint64_t count)
{
    int error = 0;

    s->high_water = MAX(s->high_water, first + count);
    for (uint64_t i = 0; i < count && !error; i++)
        error = qcow2_refcount_set(s, first + i, 1);
    return error;
}

int qcow2_alloc(struct qcow2 *s, uint64_t count, uint64_t *offset)
{
    uint64_t first;
    int error = qcow2_mark_dirty(s);

    if (!error)
        error = find_free(s, count, &first);
    if (error)
        return error;
    if (!first)
        return qcow2_corrupt(s, "The cluster of the header is not marked as used");
    if (first + count > QCOW2_OFFSET_MASK >> s->header.cluster_bits)
        return -EFBIG;
    /* Single clusters are taken in order, so that there is nothing free before the next. */
    if (count == 1 || first == s->free_hint)
        s->free_hint = first + count;
    *offset = first << s->header.cluster_bits;
    return take(s, first, count);
}

int qcow2_alloc_some(struct qcow2 *s, uint64_t *count, uint64_t *offset)
{
    uint64_t wanted = *count, first, used = 0, run = 1;
    int error = qcow2_mark_dirty(s);

    if (!error)
        error = find_free(s, 1, &first);
    if (error)
        return error;
    if (!first)
        return qcow2_corrupt(s, "The cluster of the header is not marked as used");
    while (run < wanted && !used) {
        if (first + run < s->high_water)
            error = qcow2_refcount_get(s, first + run, &used);
        if (error)
            return error;
        run += !used;
    }
    if (first + run > QCOW2_OFFSET_MASK >> s->header.cluster_bits)
        return -EFBIG;
    s->free_hint = first + run;
    *count = run;
    *offset = first << s->header.cluster_bits;
    return take(s, first, run);
}

int qcow2_alloc_packed(struct qcow2 *s, uint32_t bytes, uint64_t *offset)
{
    uint64_t at = s->packed_offset;
    uint64_t room = -at & (s->cluster_size - 1);
    int error;

    if (room) {
        uint64_t used, next = (at + room) >> s->header.cluster_bits;
        error = qcow2_refcount_get(s, at >> s->header.cluster_bits, &used);
        if (error)
            return error;
        /* The open cluster may have been filled up to its limit, or given up meanwhile. */
        bool fits = used && used < s->refcount_max;
        if (fits && bytes > room) {
            error = next < s->high_water ? qcow2_refcount_get(s, next, &used) : (used = 0, 0);
            if (error)
                return error;
            fits = !used;
        }
        room = fits ? room : 0;
    }
    if (!room) {
        error = qcow2_alloc(s, 1, &at);
        if (!error)
            s->packed_offset = at + bytes;
        *offset = at;
        return error;
    }
    error = qcow2_refcount_add(s, at, MIN(bytes, room), 1);
    if (!error && bytes > room) {
        uint64_t next = (at + room) >> s->header.cluster_bits;
        error = take(s, next, 1);
        s->free_hint = s->free_hint == next ? next + 1 : s->free_hint;
    }
    *offset = at;
    s->packed_offset = at + bytes;
    return error;
}

void qcow2_release(struct qcow2 *s, uint64_t offset, uint64_t bytes)
{
    struct qcow2_range range = { offset >> s->header.cluster_bits };
    GArray *list = s->released[s->epoch & 1];

    range.count = ((offset + bytes - 1) >> s->header.cluster_bits) - range.cluster + 1;
    if (s->packed_offset >= offset && s->packed_offset < offset + bytes)
        s->packed_offset = 0;
    if (list->len) {
        struct qcow2_range *last = &g_array_index(list, struct qcow2_range, list->len - 1);
        if (last->cluster + last->count == range.cluster) {
            last->count += range.count;
            return;
        }
    }
    g_array_append_val(list, range);
}

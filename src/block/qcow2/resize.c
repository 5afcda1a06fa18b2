/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing the disk's size, and allocating ahead. */
#include "block/qcow2/qcow2.h"

/* Writes the L1 table with room for `entries` to a new place and changes over. [lock] */
static int l1_move(struct qcow2 *s, uint64_t entries)
{
    uint64_t bytes = qcow2_round_up(s, entries * 8), offset;
    uint64_t old = s->header.l1_offset, old_bytes = s->header.l1_size * 8ull;
    g_autofree uint64_t *raw = g_malloc0(bytes);
    int error = qcow2_write_back(s);

    if (!error)
        error = qcow2_alloc(s, bytes >> s->header.cluster_bits, &offset);
    for (uint32_t i = 0; i < s->header.l1_size; i++)
        raw[i] = htobe64(s->l1[i]);
    if (!error)
        error = block_pwrite(s->node->file, offset, raw, bytes, 0);
    if (!error)
        error = qcow2_write_back(s); /* the new refcounts */
    if (!error)
        error = block_flush(s->node->file);
    if (error)
        return error;
    s->l1 = g_renew(uint64_t, s->l1, entries);
    memset(s->l1 + s->header.l1_size, 0, (entries - s->header.l1_size) * 8);
    s->header.l1_offset = offset;
    s->header.l1_size = entries;
    if (!qcow2_header_write(s, NULL))
        return -EIO;
    if (old_bytes && old)
        qcow2_release(s, old, old_bytes);
    return 0;
}

bool qcow2_l1_grow(struct qcow2 *s, uint64_t entries, GError **error)
{
    if (entries <= s->header.l1_size)
        return true;
    if (entries > QCOW2_L1_BYTES_MAX / 8)
        return fail(error, "Image is too large for clusters of %u bytes", s->cluster_size);
    pthread_mutex_lock(&s->lock);
    int result = l1_move(s, entries);
    pthread_mutex_unlock(&s->lock);
    errno = -result;
    return !result || fail_errno(error, "Failed to grow the L1 table");
}

/* Points all unallocated clusters of the range to new, empty ones. */
static int allocate_range(struct qcow2 *s, uint64_t from, uint64_t to, uint64_t *host_end)
{
    int error = 0;

    while (from < to && !error) {
        uint64_t *table, offset, count;
        uint32_t index, left;
        error = qcow2_l2_for_write(s, from, &table, &index, &left);
        if (error)
            return error;
        count = MIN(left, qcow2_clusters(s, to - from));
        if (s->data != s->node->file)
            offset = from;
        else
            error = qcow2_alloc_some(s, &count, &offset);
        if (!error)
            error = qcow2_l2_for_write(s, from, &table, &index, &left);
        for (uint64_t i = 0; i < count && !error; i++) {
            struct qcow2_entry entry = { (offset + (i << s->header.cluster_bits)) | QCOW2_COPIED };
            qcow2_entry_set(s, table, index + i, entry);
        }
        if (error)
            return error;
        cache_dirty(s->l2_cache, table);
        from += count << s->header.cluster_bits;
        *host_end = MAX(*host_end, offset + (count << s->header.cluster_bits));
    }
    return error;
}

bool qcow2_preallocate(struct qcow2 *s, uint64_t from, uint64_t to,
                       enum block_preallocation preallocation, GError **error)
{
    uint64_t end = 0;
    uint64_t old_end = block_length(s->data);

    from = from & ~(uint64_t)(s->cluster_size - 1);
    pthread_mutex_lock(&s->lock);
    int result = allocate_range(s, from, to, &end);
    if (!result)
        result = qcow2_write_back(s);
    pthread_mutex_unlock(&s->lock);
    errno = -result;
    if (result)
        return fail_errno(error, "Could not preallocate metadata");
    if (s->data != s->node->file)
        end = MAX(to, old_end);
    enum block_preallocation how =
        preallocation == BLOCK_PREALLOC_METADATA ? BLOCK_PREALLOC_OFF : preallocation;
    return end <= block_length(s->data) || block_truncate(s->data, end, how, error);
}

/* Gives up what lies behind the new end: data clusters and L2 tables. */
static bool shrink(struct qcow2 *s, uint64_t length, GError **error)
{
    uint64_t first = qcow2_round_up(s, length), span = qcow2_l2_span(s);
    uint64_t end = qcow2_round_up(s, s->header.size);
    int result = first < end ? qcow2_discard_clusters(s, first, end - first, true) : 0;

    pthread_mutex_lock(&s->lock);
    for (uint64_t i = (length + span - 1) / span; i < s->header.l1_size && !result; i++) {
        uint64_t table = s->l1[i] & QCOW2_OFFSET_MASK;
        if (!table)
            continue;
        s->l1[i] = 0;
        s->l1_dirty_first = MIN(s->l1_dirty_first, i);
        s->l1_dirty_end = MAX(s->l1_dirty_end, i + 1);
        qcow2_release(s, table, s->cluster_size);
    }
    if (!result)
        result = qcow2_settle(s);
    pthread_mutex_unlock(&s->lock);
    errno = -result;
    return !result || fail_errno(error, "Failed to discard cropped clusters");
}

/* Takes unused clusters off the file's end. */
static void trim_file(struct qcow2 *s)
{
    uint64_t end, count = 0;

    pthread_mutex_lock(&s->lock);
    for (end = s->high_water; end > 1; end--) {
        if (qcow2_refcount_get(s, end - 1, &count) || count)
            break;
    }
    s->high_water = end;
    s->free_hint = MIN(s->free_hint, end);
    pthread_mutex_unlock(&s->lock);
    uint64_t bytes = end << s->header.cluster_bits;
    if (bytes < block_length(s->node->file))
        block_truncate(s->node->file, bytes, BLOCK_PREALLOC_OFF, NULL);
}

static bool grow(struct qcow2 *s, uint64_t length, enum block_preallocation preallocation,
                 GError **error)
{
    uint64_t span = qcow2_l2_span(s), old = s->header.size;

    if (length > INT64_MAX - span)
        return fail(error, "Image is too large for clusters of %u bytes", s->cluster_size);
    if (!qcow2_l1_grow(s, (length + span - 1) / span, error))
        return false;
    if (s->data != s->node->file && s->external_raw && block_length(s->data) < length
        && !block_truncate(s->data, length, BLOCK_PREALLOC_OFF, error))
        return false;
    /* What lies behind the old end in its last cluster is not zero if the disk was shrunk. */
    if (old & (s->cluster_size - 1)) {
        uint64_t end = MIN(qcow2_round_up(s, old), length);
        atomic_store(&s->node->length, end);
        int result = block_write_zeroes(s->node, old, end - old, 0);
        atomic_store(&s->node->length, old);
        errno = -result;
        if (result)
            return fail_errno(error, "Failed to zero the end of the old disk");
    }
    if (preallocation == BLOCK_PREALLOC_OFF)
        return true;
    return qcow2_preallocate(s, qcow2_round_up(s, old), length, preallocation, error);
}

bool qcow2_truncate(struct block_node *node, uint64_t length,
                    enum block_preallocation preallocation, GError **error)
{
    struct qcow2 *s = node->state;
    uint64_t old = s->header.size;

    if (length & 511)
        return fail(error, "The new size must be a multiple of 512");
    if (length != old && s->header.snapshot_count && s->header.version < 3)
        return fail(error, "Can't resize a v2 image which has snapshots");
    if (length != old && s->bitmap_count)
        return fail(error, "Can't resize an image which has persistent bitmaps");
    if (length < old && preallocation)
        return fail(error, "Preallocation can't be used for shrinking an image");
    bool good = length < old ? shrink(s, length, error) : grow(s, length, preallocation, error);
    if (!good)
        return false;
    int result = qcow2_flush(node);
    if (!result)
        result = block_flush(node->file);
    errno = -result;
    if (result)
        return fail_errno(error, "Failed to flush the image");
    s->header.size = length;
    if (!qcow2_header_write(s, error)) {
        s->header.size = old;
        return false;
    }
    atomic_store(&node->length, length);
    if (length < old)
        trim_file(s);
    return true;
}

/* Everything out, as if nothing had been written. */
bool qcow2_make_empty(struct block_node *node, GError **error)
{
    struct qcow2 *s = node->state;
    if (!shrink(s, 0, error))
        return false;
    trim_file(s);
    return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing. Where the data's clusters are there and ours alone, it is written over; else new
 * clusters are taken, filled with the data and what surrounds it, and only then pointed to. */
#include "block/qcow2/qcow2.h"

enum { CHUNK_BYTES = 4 << 20 };

/* One step of a write: adjacent clusters of one slice that are treated alike. */
struct step {
    uint64_t offset, bytes; /* guest: what the caller writes */
    uint64_t host;          /* of the cluster of `offset` */
    uint32_t clusters;
    bool fresh; /* the host clusters have never been written: they read as zeroes */
    bool whole_first, whole_last; /* fill whole clusters, not only units, around the data */
    bool replaced; /* the entries are to point to `host`, and give up what they point to */
};

static bool cluster_has_data(const struct qcow2 *s, struct qcow2_entry entry)
{
    return (entry.entry & QCOW2_COMPRESSED)
           || ((entry.entry & QCOW2_OFFSET_MASK)
               && (s->units == 1 ? !(entry.entry & QCOW2_ZERO) : entry.bitmap != 0))
           || (s->units > 1 && entry.bitmap);
}

static bool cluster_is_ours(const struct qcow2 *s, struct qcow2_entry entry)
{
    return !(entry.entry & QCOW2_COMPRESSED) && (entry.entry & QCOW2_COPIED)
           && qcow2_is_inside(s, entry.entry)
           && ((entry.entry & QCOW2_OFFSET_MASK) || s->data != s->node->file);
}

/* Decides what to do with the first clusters of the range. [lock] */
static int step_plan(struct qcow2 *s, struct step *step)
{
    uint64_t *table;
    uint32_t index, left, count = 1;
    int error = qcow2_l2_for_write(s, step->offset, &table, &index, &left);

    if (error)
        return error;
    uint64_t in_cluster = step->offset & (s->cluster_size - 1);
    uint32_t wanted = MIN(left, qcow2_clusters(s, in_cluster + step->bytes));
    struct qcow2_entry first = qcow2_entry_get(s, table, index), entry = first;
    bool ours = cluster_is_ours(s, first);
    step->host = first.entry & QCOW2_OFFSET_MASK;
    step->replaced = !ours;
    step->whole_first = step->replaced && (s->units == 1 || cluster_has_data(s, first));
    for (; count < wanted; count++) {
        entry = qcow2_entry_get(s, table, index + count);
        if (cluster_is_ours(s, entry) != ours)
            break;
        if (ours
            && (entry.entry & QCOW2_OFFSET_MASK)
                   != step->host + ((uint64_t)count << s->header.cluster_bits))
            break;
        /* A cluster that is only part of a written range keeps its other subclusters' state. */
    }
    if (!ours) {
        if (s->data != s->node->file) {
            step->host = step->offset - in_cluster;
        } else {
            uint64_t room = count;
            error = qcow2_alloc_some(s, &room, &step->host);
            if (error)
                return error;
            count = room;
            step->fresh = step->host >= block_length(s->data);
        }
    }
    error = qcow2_l2_for_write(s, step->offset, &table, &index, &left);
    if (error)
        return error;
    entry = qcow2_entry_get(s, table, index + count - 1);
    step->whole_last = step->replaced && (s->units == 1 || cluster_has_data(s, entry));
    step->clusters = count;
    step->bytes = MIN(step->bytes, ((uint64_t)count << s->header.cluster_bits) - in_cluster);
    return 0;
}

/* Where what is written must begin and end so that nothing undefined is left in a unit. */
static void fill_range(const struct qcow2 *s, const struct step *step, uint64_t *start,
                       uint64_t *end)
{
    uint64_t unit = s->unit_size - 1, cluster = s->cluster_size - 1;
    uint64_t last = step->offset + step->bytes;
    *start = step->offset & ~(step->whole_first ? cluster : unit);
    *end = (last + (step->whole_last ? cluster : unit)) & ~(step->whole_last ? cluster : unit);
}

static int fill_read(struct qcow2 *s, uint64_t from, uint64_t to, uint8_t *buffer)
{
    struct iovec vec;
    return from < to ? qcow2_read(s->node, from, iov_flat(&vec, buffer, to - from)) : 0;
}

static int write_plain(struct qcow2 *s, const struct step *step, uint64_t start, uint64_t end,
                       uint8_t *head, uint8_t *tail, struct iov data)
{
    uint64_t before = step->offset - start, after = end - step->offset - step->bytes;
    uint64_t host = step->host + (start & (s->cluster_size - 1));
    g_autofree struct iovec *vec = g_new(struct iovec, 1024);
    unsigned count = 0;
    uint64_t size;

    /* What surrounds the data is in the file already if the cluster has never been written. */
    bool skip_head = step->fresh && buffer_is_zero(head, before);
    bool skip_tail = step->fresh && buffer_is_zero(tail, after);
    if (before && !skip_head)
        vec[count++] = (struct iovec){ head, before };
    count += iov_export(data, vec + count, 1022, &size);
    if (size < data.size) { /* too many pieces for one write */
        int error = block_pwritev(s->data, host + before, data, 0);
        if (!error && before && !skip_head)
            error = block_pwrite(s->data, host, head, before, 0);
        if (!error && after && !skip_tail)
            error = block_pwrite(s->data, host + before + step->bytes, tail, after, 0);
        return error;
    }
    if (after && !skip_tail)
        vec[count++] = (struct iovec){ tail, after };
    return block_pwritev(s->data, host + (skip_head ? before : 0), iov_whole(vec, count), 0);
}

static int write_encrypted(struct qcow2 *s, const struct step *step, uint64_t start, uint64_t end,
                           const uint8_t *head, const uint8_t *tail, struct iov data)
{
    uint64_t before = step->offset - start, after = end - step->offset - step->bytes;
    uint64_t host = step->host + (start & (s->cluster_size - 1));
    g_autofree uint8_t *bounce = g_try_malloc(end - start);

    if (!bounce)
        return -ENOMEM;
    memcpy(bounce, head, before);
    iov_copy_out(data, bounce + before);
    memcpy(bounce + before + step->bytes, tail, after);
    int error = qcow2_encrypt(s, host, start, bounce, end - start);
    return error ? error : block_pwrite(s->data, host, bounce, end - start, 0);
}

/* Points the entries to what has been written. [lock] */
static int step_link(struct qcow2 *s, const struct step *step, uint64_t start, uint64_t end)
{
    uint64_t cluster_start = step->offset & ~(uint64_t)(s->cluster_size - 1);
    uint64_t *table;
    uint32_t index, left;
    int error = qcow2_l2_for_write(s, step->offset, &table, &index, &left);

    if (error)
        return error;
    for (uint32_t i = 0; i < step->clusters; i++) {
        uint64_t at = cluster_start + ((uint64_t)i << s->header.cluster_bits);
        struct qcow2_entry old = qcow2_entry_get(s, table, index + i);
        struct qcow2_entry entry = {
            (step->host + ((uint64_t)i << s->header.cluster_bits)) | QCOW2_COPIED, old.bitmap
        };
        if (s->units > 1) {
            unsigned first = (MAX(start, at) - at) >> s->unit_bits;
            unsigned last = (MIN(end, at + s->cluster_size) - at) >> s->unit_bits;
            uint64_t units = ((1ull << last) - 1) & ~((1ull << first) - 1);
            if (step->replaced && (old.entry & QCOW2_COMPRESSED))
                entry.bitmap = 0;
            entry.bitmap = (entry.bitmap | units) & ~(units << 32);
        }
        qcow2_entry_set(s, table, index + i, entry);
        if (step->replaced)
            qcow2_entry_release(s, old);
    }
    cache_dirty(s->l2_cache, table);
    return 0;
}

/* Clusters that were taken for a write that failed. [lock] */
static void step_undo(struct qcow2 *s, const struct step *step)
{
    if (step->replaced && s->data == s->node->file)
        qcow2_release(s, step->host, (uint64_t)step->clusters << s->header.cluster_bits);
}

static int step_write(struct qcow2 *s, struct step *step, struct iov data)
{
    uint64_t start, end;

    fill_range(s, step, &start, &end);
    uint64_t before = step->offset - start, after = end - step->offset - step->bytes;
    g_autofree uint8_t *fill = g_try_malloc0(MAX(before + after, 1));
    int error = fill ? 0 : -ENOMEM;
    if (!error)
        error = fill_read(s, start, step->offset, fill);
    if (!error)
        error = fill_read(s, step->offset + step->bytes, end, fill + before);
    if (!error)
        error = s->crypto ? write_encrypted(s, step, start, end, fill, fill + before, data)
                          : write_plain(s, step, start, end, fill, fill + before, data);
    pthread_mutex_lock(&s->lock);
    if (!error)
        error = step_link(s, step, start, end);
    if (error)
        step_undo(s, step);
    pthread_mutex_unlock(&s->lock);
    return error;
}

/* Writes over what is there. */
static int write_over(struct qcow2 *s, uint64_t host, uint64_t offset, struct iov data)
{
    if (!s->crypto)
        return block_pwritev(s->data, host, data, 0);
    struct step step = { .offset = offset,
                         .bytes = data.size,
                         .host = host - (offset & (s->cluster_size - 1)) };
    uint64_t start = offset & ~511ull, end = (offset + data.size + 511) & ~511ull;
    uint8_t head[512], tail[512];
    int error = fill_read(s, start, offset, head);
    if (!error)
        error = fill_read(s, offset + data.size, end, tail);
    return error ? error : write_encrypted(s, &step, start, end, head, tail, data);
}

/* Writes as much as can be done alike; `*done` is how much. */
static int write_some(struct qcow2 *s, uint64_t offset, struct iov data, uint64_t *done)
{
    uint64_t mask = s->cluster_size - 1;
    uint64_t bytes = MIN(data.size, CHUNK_BYTES);
    struct qcow2_map map;
    struct claim claim = { offset & ~mask, (offset + bytes + mask) & ~mask };

    pthread_mutex_lock(&s->lock);
    qcow2_claim(s, &claim);
    int error = qcow2_map(s, offset, bytes, false, &map);
    if (!error && map.kind == QCOW2_DATA && map.copied) {
        struct block_guard *guard = &s->guards[s->epoch & 1];
        block_guard_enter(guard);
        qcow2_unclaim(s, &claim);
        pthread_mutex_unlock(&s->lock);
        *done = map.bytes;
        error = write_over(s, map.host, offset, iov_slice(data, 0, map.bytes));
        block_guard_leave(guard);
        return error;
    }
    /* Not beyond what is mapped like the first byte: the next may be there to be written over, and
     * then it is no claim that keeps others from doing so. */
    struct step step = { .offset = offset, .bytes = map.bytes };
    if (!error)
        error = step_plan(s, &step);
    pthread_mutex_unlock(&s->lock);
    if (!error)
        error = step_write(s, &step, iov_slice(data, 0, step.bytes));
    *done = step.bytes;
    pthread_mutex_lock(&s->lock);
    qcow2_unclaim(s, &claim);
    pthread_mutex_unlock(&s->lock);
    return error;
}

/* ---- Compressed ---- */

static int packed_link(struct qcow2 *s, uint64_t offset, uint64_t host, uint32_t bytes)
{
    unsigned shift = 62 - (s->header.cluster_bits - 8);
    uint64_t sectors = ((host + bytes - 1) >> 9) - (host >> 9);
    uint64_t *table;
    uint32_t index, left;
    int error = qcow2_l2_for_write(s, offset, &table, &index, &left);

    if (error)
        return error;
    struct qcow2_entry old = qcow2_entry_get(s, table, index);
    struct qcow2_entry entry = { QCOW2_COMPRESSED | sectors << shift | host };
    qcow2_entry_set(s, table, index, entry);
    cache_dirty(s->l2_cache, table);
    qcow2_entry_release(s, old);
    return 0;
}

static int write_packed(struct qcow2 *s, uint64_t offset, struct iov data)
{
    g_autofree uint8_t *cluster = g_try_malloc0(s->cluster_size);
    g_autofree uint8_t *packed = g_try_malloc(s->cluster_size);
    uint64_t host = 0;

    if (!cluster || !packed)
        return -ENOMEM;
    iov_copy_out(data, cluster);
    int bytes = qcow2_compress(s, cluster, packed);
    if (bytes < 0)
        return bytes;
    if (!bytes) {
        uint64_t done = 0, total = 0;
        int error = 0;
        for (; total < data.size && !error; total += done)
            error = write_some(s, offset + total, iov_slice(data, total, data.size - total), &done);
        return error;
    }
    struct claim claim = { offset, offset + s->cluster_size };
    pthread_mutex_lock(&s->lock);
    qcow2_claim(s, &claim);
    int error = qcow2_alloc_packed(s, bytes, &host);
    /* Compressed offsets have fewer bits. */
    if (!error && host >> (62 - (s->header.cluster_bits - 8)))
        error = -EFBIG;
    pthread_mutex_unlock(&s->lock);
    if (!error)
        error = block_pwrite(s->node->file, host, packed, bytes, 0);
    pthread_mutex_lock(&s->lock);
    if (!error)
        error = packed_link(s, offset, host, bytes);
    if (error && host)
        qcow2_release(s, host, bytes);
    qcow2_unclaim(s, &claim);
    pthread_mutex_unlock(&s->lock);
    return error;
}

static int write_all_packed(struct block_node *node, uint64_t offset, struct iov data)
{
    struct qcow2 *s = node->state;
    int error = 0;

    if (s->data != node->file)
        return -ENOTSUP;
    if ((offset & (s->cluster_size - 1))
        || ((data.size & (s->cluster_size - 1)) && offset + data.size != block_length(node)))
        return -EINVAL;
    while (data.size && !error) {
        uint64_t part = MIN(data.size, s->cluster_size);
        error = write_packed(s, offset, iov_slice(data, 0, part));
        offset += part;
        data = iov_slice(data, part, data.size - part);
    }
    return error;
}

int qcow2_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags)
{
    struct qcow2 *s = node->state;
    int error = 0;

    if (flags & BLOCK_COMPRESSED)
        return write_all_packed(node, offset, data);
    while (data.size && !error) {
        uint64_t done = 0;
        error = write_some(s, offset, data, &done);
        offset += done;
        data = iov_slice(data, done, data.size - done);
    }
    return error;
}

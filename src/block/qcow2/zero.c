/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing zeroes and discarding: changes of the mapping alone, but for the edges. */
#include "block/qcow2/qcow2.h"

/* What the entry of a cluster becomes. */
static struct qcow2_entry zero_entry(const struct qcow2 *s, struct qcow2_entry old, bool keep_host)
{
    struct qcow2_entry entry = { 0 };

    if (keep_host)
        entry.entry = old.entry & (QCOW2_OFFSET_MASK | QCOW2_COPIED);
    if (s->units > 1)
        entry.bitmap = 0xffffffff00000000ull;
    else
        entry.entry |= QCOW2_ZERO;
    return entry;
}

enum zeroing {
    ZERO_KEEP,    /* reads as zeroes; the space stays */
    ZERO_UNMAP,   /* reads as zeroes; the space is given back */
    DISCARD,      /* the space is given back; reads as zeroes if something was there */
    DISCARD_FULL, /* as if it had never been written: the backing file shows through */
};

static bool cluster_change(struct qcow2 *s, struct qcow2_entry *entry, enum zeroing how)
{
    struct qcow2_entry old = *entry;
    bool host = !(old.entry & QCOW2_COMPRESSED) && (old.entry & QCOW2_OFFSET_MASK);
    bool empty = !old.entry && !old.bitmap;
    bool plain = s->header.version < 3 || (how == ZERO_UNMAP && !s->node->backing);
    bool external = s->data != s->node->file;

    if (how == DISCARD_FULL || (plain && (how == DISCARD || !s->node->backing)))
        *entry = (struct qcow2_entry){ 0 };
    else
        *entry = zero_entry(s, old,
                            how == ZERO_KEEP && (host || external) && (old.entry & QCOW2_COPIED));
    if (how == DISCARD && empty && !s->node->backing)
        return false;
    if (entry->entry == old.entry && entry->bitmap == old.bitmap)
        return false;
    if (!(entry->entry & QCOW2_OFFSET_MASK))
        qcow2_entry_release(s, old);
    return true;
}

/* Whole clusters. */
static int change_clusters(struct qcow2 *s, uint64_t offset, uint64_t length, enum zeroing how)
{
    struct claim claim = { offset, offset + length };
    bool needs_entries = s->node->backing && how != DISCARD_FULL && how != DISCARD;
    int error = 0;

    pthread_mutex_lock(&s->lock);
    qcow2_claim(s, &claim);
    while (length && !error) {
        uint64_t *table, span = qcow2_l2_span(s);
        uint32_t index, left, count;
        uint64_t l1_index = offset / span;
        bool has_table = l1_index < s->header.l1_size && (s->l1[l1_index] & QCOW2_OFFSET_MASK);
        uint64_t part = MIN(length, span - (offset & (span - 1)));
        bool zero_flags = needs_entries || (how == ZERO_KEEP && s->node->backing);
        if (has_table || zero_flags) {
            error = qcow2_l2_for_write(s, offset, &table, &index, &left);
            if (error)
                break;
            count = MIN(left, length >> s->header.cluster_bits);
            bool changed = false;
            for (uint32_t i = 0; i < count; i++) {
                struct qcow2_entry entry = qcow2_entry_get(s, table, index + i);
                if (cluster_change(s, &entry, how)) {
                    qcow2_entry_set(s, table, index + i, entry);
                    changed = true;
                }
            }
            if (changed)
                cache_dirty(s->l2_cache, table);
            part = (uint64_t)count << s->header.cluster_bits;
        }
        offset += part;
        length -= part;
    }
    qcow2_unclaim(s, &claim);
    pthread_mutex_unlock(&s->lock);
    return error;
}

int qcow2_discard_clusters(struct qcow2 *s, uint64_t offset, uint64_t length, bool full)
{
    return change_clusters(s, offset, length, full ? DISCARD_FULL : DISCARD);
}

/* Zeroes within one cluster: nothing to do if they are there already. */
static int zero_edge(struct qcow2 *s, uint64_t offset, uint64_t length)
{
    static const uint8_t zeroes[4096];
    bool zero = true;
    int error = 0;

    for (uint64_t at = 0; at < length && !error && zero;) {
        struct block_status status = { 0 };
        error = block_status(s->node, offset + at, length - at, &status);
        zero = status.flags & BLOCK_STATUS_ZERO;
        at += MAX(status.length, 1);
    }
    for (; !zero && length && !error;) {
        struct iovec vec;
        uint64_t part = MIN(length, sizeof(zeroes));
        error = qcow2_write(s->node, offset, iov_flat(&vec, zeroes, part), 0);
        offset += part;
        length -= part;
    }
    return error;
}

int qcow2_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    struct qcow2 *s = node->state;
    uint64_t mask = s->cluster_size - 1, end = offset + length;
    uint64_t first = (offset + mask) & ~mask;
    /* What lies behind the disk's end in its last cluster does not matter. */
    uint64_t last = end == block_length(node) ? (end + mask) & ~mask : end & ~mask;
    int error = 0;

    if (s->header.version < 3 && node->backing)
        return -ENOTSUP;
    if (s->external_raw) {
        error = block_write_zeroes(s->data, offset, length, flags);
        if (error)
            return error;
    }
    if (first >= last)
        return zero_edge(s, offset, length);
    if (offset < first)
        error = zero_edge(s, offset, first - offset);
    if (!error && end > last)
        error = zero_edge(s, last, end - last);
    if (!error)
        error = change_clusters(s, first, last - first,
                                flags & BLOCK_MAY_UNMAP ? ZERO_UNMAP : ZERO_KEEP);
    return error;
}

int qcow2_discard(struct block_node *node, uint64_t offset, uint64_t length)
{
    struct qcow2 *s = node->state;
    uint64_t mask = s->cluster_size - 1, end = offset + length;
    uint64_t first = (offset + mask) & ~mask;
    uint64_t last = end == block_length(node) ? (end + mask) & ~mask : end & ~mask;

    if (s->header.version < 3 && node->backing)
        return -ENOTSUP;
    if (first >= last)
        return 0;
    return change_clusters(s, first, last - first, DISCARD);
}

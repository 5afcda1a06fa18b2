/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From guest offsets to host offsets: L1 and L2 tables. (Specification: "Cluster mapping".) */
#include "block/qcow2/qcow2.h"

struct qcow2_entry qcow2_entry_get(const struct qcow2 *s, const uint64_t *table, uint32_t index)
{
    if (s->l2_entry_size == 8)
        return (struct qcow2_entry){ .entry = be64toh(table[index]) };
    return (struct qcow2_entry){ be64toh(table[index * 2]), be64toh(table[index * 2 + 1]) };
}

void qcow2_entry_set(const struct qcow2 *s, uint64_t *table, uint32_t index,
                     struct qcow2_entry entry)
{
    if (s->l2_entry_size == 8) {
        table[index] = htobe64(entry.entry);
    } else {
        table[index * 2] = htobe64(entry.entry);
        table[index * 2 + 1] = htobe64(entry.bitmap);
    }
}

void qcow2_packed_place(const struct qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *bytes)
{
    unsigned shift = 62 - (s->header.cluster_bits - 8);
    uint64_t at = entry & ((1ull << shift) - 1);
    uint64_t sectors = (entry >> shift & ((1ull << (s->header.cluster_bits - 8)) - 1)) + 1;
    *offset = at;
    *bytes = sectors * 512 - (at & 511);
}

void qcow2_entry_release(struct qcow2 *s, struct qcow2_entry entry)
{
    if (entry.entry & QCOW2_COMPRESSED) {
        uint64_t offset;
        uint32_t bytes;
        qcow2_packed_place(s, entry.entry, &offset, &bytes);
        if (s->data == s->node->file)
            qcow2_release(s, offset, bytes);
    } else if ((entry.entry & QCOW2_OFFSET_MASK) && s->data == s->node->file) {
        qcow2_release(s, entry.entry & QCOW2_OFFSET_MASK, s->cluster_size);
    }
}

/* What unit number `unit` of the cluster is. */
static enum qcow2_kind unit_kind(const struct qcow2 *s, struct qcow2_entry entry, unsigned unit)
{
    bool host = (entry.entry & QCOW2_OFFSET_MASK)
                || (s->data != s->node->file && (entry.entry & QCOW2_COPIED));
    if (entry.entry & QCOW2_COMPRESSED)
        return QCOW2_PACKED;
    if (s->units == 1) {
        if (s->header.version >= 3 && (entry.entry & QCOW2_ZERO))
            return host ? QCOW2_ZEROES_ALLOCATED : QCOW2_ZEROES;
        return host ? QCOW2_DATA : QCOW2_UNALLOCATED;
    }
    if (entry.bitmap >> 32 >> unit & 1)
        return host ? QCOW2_ZEROES_ALLOCATED : QCOW2_ZEROES;
    return host && (entry.bitmap >> unit & 1) ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

/* The entry makes sense. */
static int entry_check(struct qcow2 *s, uint64_t offset, struct qcow2_entry entry)
{
    uint64_t host = entry.entry & QCOW2_OFFSET_MASK;

    if (entry.entry & QCOW2_COMPRESSED)
        return s->data == s->node->file
                   ? 0
                   : qcow2_corrupt(s, "Compressed cluster entry found in image "
                                      "with external data file");
    if (host & (s->cluster_size - 1))
        return qcow2_corrupt(
            s, "Cluster allocation offset %#" PRIx64 " unaligned (guest offset: %#" PRIx64 ")",
            host, offset);
    if (s->units > 1 && (entry.bitmap & entry.bitmap >> 32 & UINT32_MAX))
        return qcow2_corrupt(s,
                             "Invalid subcluster bitmap %#" PRIx64 " (guest offset: %#" PRIx64 ")",
                             entry.bitmap, offset);
    if (s->data != s->node->file && host && host != (offset & ~(uint64_t)(s->cluster_size - 1)))
        return qcow2_corrupt(s,
                             "External data file host cluster offset %#" PRIx64 " does not match "
                             "guest cluster offset %#" PRIx64,
                             host, offset);
    return 0;
}

static int l2_offset(struct qcow2 *s, uint64_t offset, uint64_t *table)
{
    uint64_t index = offset / qcow2_l2_span(s);

    *table = index < s->header.l1_size ? s->l1[index] & QCOW2_OFFSET_MASK : 0;
    if (*table & (s->cluster_size - 1))
        return qcow2_corrupt(s, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#" PRIx64 ")",
                             *table, index);
    return 0;
}

/* The slice with the entry for `offset`; NULL if there is no table. */
static int slice_get(struct qcow2 *s, uint64_t offset, bool cached_only, uint64_t **slice,
                     uint32_t *index)
{
    uint64_t table, number = offset >> s->header.cluster_bits & (s->l2_entries - 1);
    int error = l2_offset(s, offset, &table);
    void *piece = NULL;

    if (error)
        return error;
    *index = number % s->slice_entries;
    table = table ? table + number / s->slice_entries * s->slice_size : 0;
    if (table && cached_only) {
        piece = cache_peek(s->l2_cache, table);
        error = piece ? 0 : -EAGAIN;
    } else if (table) {
        error = cache_get(s->l2_cache, table, &piece);
    }
    *slice = piece;
    return error;
}

/* Whether `kind` at `entry`'s unit continues the run that `map` describes so far. */
static bool continues(const struct qcow2 *s, const struct qcow2_map *map, enum qcow2_kind kind,
                      struct qcow2_entry entry, unsigned unit)
{
    if (kind != map->kind || kind == QCOW2_PACKED)
        return false;
    if (kind == QCOW2_UNALLOCATED || kind == QCOW2_ZEROES)
        return true;
    uint64_t host = (entry.entry & QCOW2_OFFSET_MASK) + ((uint64_t)unit << s->unit_bits);
    return host == map->host + map->bytes && ((entry.entry & QCOW2_COPIED) && qcow2_is_inside(s, entry.entry)) == map->copied;
}

/* Fills `map` for the unit at `offset`. */
static void map_start(const struct qcow2 *s, uint64_t offset, struct qcow2_entry entry,
                      unsigned unit, struct qcow2_map *map)
{
    map->kind = unit_kind(s, entry, unit);
    map->copied = (entry.entry & QCOW2_COPIED) && qcow2_is_inside(s, entry.entry);
    map->packed = entry.entry;
    map->host = (entry.entry & QCOW2_OFFSET_MASK) + (offset & (s->cluster_size - 1));
    map->bytes = s->unit_size - (offset & (s->unit_size - 1));
    if (map->kind == QCOW2_PACKED)
        map->bytes = s->cluster_size - (offset & (s->cluster_size - 1));
}

int qcow2_map(struct qcow2 *s, uint64_t offset, uint64_t length, bool cached_only,
              struct qcow2_map *map)
{
    uint64_t *slice;
    uint32_t index;
    int error = slice_get(s, offset, cached_only, &slice, &index);

    *map = (struct qcow2_map){ .kind = QCOW2_UNALLOCATED };
    if (error)
        return error;
    if (!slice) {
        map->bytes = MIN(length, qcow2_l2_span(s) - (offset & (qcow2_l2_span(s) - 1)));
        return 0;
    }
    unsigned unit = (offset & (s->cluster_size - 1)) >> s->unit_bits;
    struct qcow2_entry entry = qcow2_entry_get(s, slice, index);
    error = entry_check(s, offset, entry);
    if (error)
        return error;
    map_start(s, offset, entry, unit, map);
    uint64_t cluster_offset = offset & ~(uint64_t)(s->cluster_size - 1);
    while (map->bytes < length) {
        if (++unit == s->units) {
            unit = 0;
            cluster_offset += s->cluster_size;
            if (++index == s->slice_entries)
                break;
            entry = qcow2_entry_get(s, slice, index);
            if (entry_check(s, cluster_offset, entry))
                break; /* reported when it is reached */
        }
        if (!continues(s, map, unit_kind(s, entry, unit), entry, unit))
            break;
        map->bytes += s->unit_size;
    }
    map->bytes = MIN(map->bytes, length);
    return 0;
}

/* ---- Tables that may be changed ---- */

static void l1_set(struct qcow2 *s, uint64_t index, uint64_t entry)
{
    s->l1[index] = entry;
    s->l1_dirty_first = MIN(s->l1_dirty_first, index);
    s->l1_dirty_end = MAX(s->l1_dirty_end, index + 1);
}

/* A new L2 table for L1 entry `index`: empty, or a copy of one that a snapshot uses too. */
static int table_make(struct qcow2 *s, uint64_t index)
{
    uint64_t old = s->l1[index] & QCOW2_OFFSET_MASK, table;
    g_autofree void *copy = g_malloc(s->slice_size);
    void *piece;
    int error = qcow2_alloc(s, 1, &table);

    for (uint32_t at = 0; at < s->cluster_size && !error; at += s->slice_size) {
        if (old) {
            error = cache_get(s->l2_cache, old + at, &piece);
            if (!error)
                memcpy(copy, piece, s->slice_size);
        }
        if (!error)
            error = cache_make(s->l2_cache, table + at, &piece);
        if (!error && old)
            memcpy(piece, copy, s->slice_size);
    }
    if (error)
        return error;
    l1_set(s, index, table | QCOW2_COPIED);
    if (old)
        qcow2_release(s, old, s->cluster_size);
    return 0;
}

int qcow2_l2_for_write(struct qcow2 *s, uint64_t offset, uint64_t **table, uint32_t *index,
                       uint32_t *left)
{
    uint64_t l1_index = offset / qcow2_l2_span(s), unused;
    int error = l2_offset(s, offset, &unused);

    if (!error && l1_index >= s->header.l1_size)
        error = -EIO;
    if (!error && !((s->l1[l1_index] & QCOW2_COPIED) && (s->l1[l1_index] & QCOW2_OFFSET_MASK)))
        error = table_make(s, l1_index);
    if (!error && (s->l1[l1_index] & QCOW2_OFFSET_MASK) >> s->header.cluster_bits >= s->high_water)
        error = qcow2_corrupt(s, "L2 table offset %#" PRIx64 " is beyond the end of the image",
                              s->l1[l1_index] & QCOW2_OFFSET_MASK);
    if (!error)
        error = slice_get(s, offset, false, table, index);
    if (!error)
        *left = s->slice_entries - *index;
    return error;
}

/* ---- Claims ---- */

void qcow2_claim(struct qcow2 *s, struct claim *claim)
{
    for (struct claim *other = s->claims; other;) {
        if (other->start < claim->end && claim->start < other->end) {
            pthread_cond_wait(&s->claims_changed, &s->lock);
            other = s->claims;
        } else {
            other = other->next;
        }
    }
    claim->next = s->claims;
    s->claims = claim;
}

void qcow2_unclaim(struct qcow2 *s, struct claim *claim)
{
    struct claim **at = &s->claims;
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    pthread_cond_broadcast(&s->claims_changed);
}

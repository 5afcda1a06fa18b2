/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large changes in one step. The new state of all refcounts is made in memory; new refcount blocks,
 * a new refcount table and whatever else changes are written where nothing was; then one write of
 * the header makes all of it the image. A crash before leaves the old image, one after the new. */
#include <sys/mman.h>

#include "block/qcow2/qcow2.h"

enum { SPARE_CLUSTERS = 1 << 16, BATCH_BYTES = 1 << 20 };

static bool tables_map(struct qcow2_tables *tables, uint64_t clusters, GError **error)
{
    /* What is added later (copies of L2 tables, new blocks) is less than what is there. */
    uint64_t capacity = clusters * 2 + SPARE_CLUSTERS;
    void *memory = MAP_FAILED;

    if (capacity < 1ull << 34)
        memory = mmap(NULL, capacity * 4, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return fail(error, "The image file has too many clusters (%" PRIu64 ") for this machine",
                    clusters);
    *tables = (struct qcow2_tables){
        .refcounts = memory, .clusters = clusters, .capacity = capacity, .next = clusters, .scan = 1
    };
    return true;
}

bool qcow2_tables_empty(struct qcow2 *s, struct qcow2_tables *tables, GError **error)
{
    return tables_map(tables, MAX(s->high_water, qcow2_clusters(s, block_length(s->node->file))),
                      error);
}

void qcow2_tables_free(struct qcow2_tables *tables)
{
    if (tables->refcounts)
        munmap(tables->refcounts, tables->capacity * 4);
    tables->refcounts = NULL;
}

bool qcow2_tables_load(struct qcow2 *s, struct qcow2_tables *tables, GError **error)
{
    g_autofree uint8_t *block = g_malloc(s->cluster_size);

    if (!qcow2_tables_empty(s, tables, error))
        return false;
    tables->keep_old = true;
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t offset = s->reftable[i] & QCOW2_REFTABLE_MASK;
        uint64_t first = (uint64_t)i << s->refblock_bits;
        if (!offset || first >= tables->clusters)
            continue;
        int result = block_pread(s->node->file, offset, block, s->cluster_size);
        if (result) {
            errno = -result;
            qcow2_tables_free(tables);
            return fail_errno(error, "Could not read a refcount block");
        }
        uint64_t count = MIN(s->refblock_entries, tables->clusters - first);
        for (uint64_t at = 0; at < count; at++) {
            uint64_t value = qcow2_refcount_load(block, s->header.refcount_order, at);
            if (value)
                tables->refcounts[first + at] = MIN(value, UINT32_MAX);
        }
    }
    return true;
}

/* A cluster that neither the old image nor the new one uses, or 0. */
static uint64_t alloc_between(struct qcow2 *s, struct qcow2_tables *tables)
{
    for (; tables->scan < tables->next; tables->scan++) {
        uint64_t old = 0;
        if (tables->refcounts[tables->scan]
            || (tables->keep_old && tables->scan < s->high_water
                && (qcow2_refcount_get(s, tables->scan, &old) || old)))
            continue;
        tables->refcounts[tables->scan] = 1;
        return tables->scan++ << s->header.cluster_bits;
    }
    return 0;
}

uint64_t qcow2_tables_alloc(struct qcow2 *s, struct qcow2_tables *tables, uint64_t count)
{
    uint64_t found = count == 1 && tables->keep_old ? alloc_between(s, tables) : 0;
    uint64_t first = tables->next;

    if (found)
        return found;
    if (first + count > tables->capacity
        || first + count > QCOW2_OFFSET_MASK >> s->header.cluster_bits)
        return 0;
    for (uint64_t i = 0; i < count; i++)
        tables->refcounts[first + i] = 1;
    tables->next += count;
    tables->clusters = MAX(tables->clusters, tables->next);
    return first << s->header.cluster_bits;
}

bool qcow2_tables_ref(struct qcow2 *s, struct qcow2_tables *tables, uint64_t offset, uint64_t bytes,
                      int delta, GError **error)
{
    uint64_t first = offset >> s->header.cluster_bits;
    uint64_t last = (offset + bytes - 1) >> s->header.cluster_bits;

    for (uint64_t i = first; i <= last; i++) {
        if (i >= tables->capacity)
            return fail(error, "Cluster %#" PRIx64 " is beyond the end of the image file",
                        i << s->header.cluster_bits);
        if (delta < 0 && !tables->refcounts[i])
            return fail(error, "Cluster %#" PRIx64 " is used more often than its refcount says",
                        i << s->header.cluster_bits);
        if (delta > 0 && tables->refcounts[i] >= s->refcount_max)
            return fail(error,
                        "Cluster %#" PRIx64 " would be used more often than refcounts of %u "
                        "bits can say",
                        i << s->header.cluster_bits, s->refcount_bits);
        tables->refcounts[i] += delta;
        tables->clusters = MAX(tables->clusters, i + 1);
    }
    return true;
}

void qcow2_tables_drop_old(struct qcow2 *s, struct qcow2_tables *tables)
{
    if (!tables->keep_old)
        return;
    tables->keep_old = false;
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t cluster = (s->reftable[i] & QCOW2_REFTABLE_MASK) >> s->header.cluster_bits;
        if (cluster && cluster < tables->clusters && tables->refcounts[cluster])
            tables->refcounts[cluster]--;
    }
    uint64_t table = s->header.reftable_offset >> s->header.cluster_bits;
    for (uint32_t i = 0; table && i < s->header.reftable_clusters; i++) {
        if (table + i < tables->clusters && tables->refcounts[table + i])
            tables->refcounts[table + i]--;
    }
}

static bool range_in_use(const struct qcow2 *s, const struct qcow2_tables *tables, uint64_t range)
{
    uint64_t first = range << s->refblock_bits;
    uint64_t end = MIN(first + s->refblock_entries, tables->clusters);
    for (uint64_t i = first; i < end; i++) {
        if (tables->refcounts[i])
            return true;
    }
    return false;
}

/* Chooses places for blocks of all ranges in use, and for the table. Both count themselves. */
static uint64_t *place_all(struct qcow2 *s, struct qcow2_tables *tables, uint32_t *table_clusters,
                           uint64_t *table_offset, GError **error)
{
    uint64_t ranges = ((tables->capacity - 1) >> s->refblock_bits) + 1;
    g_autofree uint64_t *blocks = g_new0(uint64_t, ranges);
    uint64_t used = 0, placed = 0;
    bool again = true;

    *table_offset = 0;
    while (again) {
        again = false;
        used = ((tables->clusters - 1) >> s->refblock_bits) + 1;
        for (uint64_t i = 0; i < used && i < ranges; i++) {
            if (blocks[i] || !range_in_use(s, tables, i))
                continue;
            blocks[i] = qcow2_tables_alloc(s, tables, 1);
            again = true;
            if (!blocks[i])
                goto full;
        }
        if (!again && placed < used) {
            /* Room for some growth, so that the next allocation need not move it. */
            *table_clusters = qcow2_clusters(s, (used + used / 4 + 1) * 8);
            *table_offset = qcow2_tables_alloc(s, tables, *table_clusters);
            placed = (((uint64_t)*table_clusters << s->header.cluster_bits) / 8);
            again = true;
            if (!*table_offset || placed * 8 > QCOW2_REFTABLE_BYTES_MAX)
                goto full;
        }
    }
    return g_steal_pointer(&blocks);
full:
    fail(error, "The image file would become too large");
    return NULL;
}

static int write_blocks(struct qcow2 *s, struct qcow2_tables *tables, const uint64_t *blocks,
                        unsigned order)
{
    uint64_t ranges = ((tables->clusters - 1) >> s->refblock_bits) + 1;
    uint64_t at_once = MAX(BATCH_BYTES >> s->header.cluster_bits, 1);
    g_autofree uint8_t *batch = g_malloc(at_once << s->header.cluster_bits);
    int error = 0;

    for (uint64_t i = 0; i < ranges && !error;) {
        uint64_t count = 0, start;
        if (!blocks[i]) {
            i++;
            continue;
        }
        for (start = i; i < ranges && count < at_once && blocks[i]
                        && blocks[i] == blocks[start] + (count << s->header.cluster_bits);
             i++, count++) {
            uint8_t *block = batch + (count << s->header.cluster_bits);
            uint64_t first = i << s->refblock_bits;
            memset(block, 0, s->cluster_size);
            for (uint64_t j = 0; j < s->refblock_entries && first + j < tables->clusters; j++) {
                if (tables->refcounts[first + j])
                    qcow2_refcount_store(block, order, j, tables->refcounts[first + j]);
            }
        }
        error =
            block_pwrite(s->node->file, blocks[start], batch, count << s->header.cluster_bits, 0);
    }
    return error;
}

static int write_table(struct qcow2 *s, const uint64_t *blocks, uint64_t ranges, uint64_t offset,
                       uint32_t clusters)
{
    uint64_t bytes = (uint64_t)clusters << s->header.cluster_bits;
    g_autofree uint64_t *raw = g_malloc0(bytes);

    for (uint64_t i = 0; i < ranges && i < bytes / 8; i++)
        raw[i] = htobe64(blocks[i]);
    return block_pwrite(s->node->file, offset, raw, bytes, 0);
}

bool qcow2_tables_commit(struct qcow2 *s, struct qcow2_tables *tables,
                         const struct qcow2_header *header, GError **error)
{
    struct qcow2_header old = s->header;
    uint32_t clusters = 0;
    uint64_t offset = 0;

    qcow2_tables_drop_old(s, tables);
    g_autofree uint64_t *blocks = place_all(s, tables, &clusters, &offset, error);
    if (!blocks)
        return false;
    uint64_t ranges = ((tables->clusters - 1) >> s->refblock_bits) + 1;
    int result = write_blocks(s, tables, blocks, header->refcount_order);
    if (!result)
        result = write_table(s, blocks, ranges, offset, clusters);
    if (!result)
        result = block_flush(s->node->file);
    if (result) {
        errno = -result;
        return fail_errno(error, "Could not write the new refcount structures");
    }
    s->header = *header;
    s->header.reftable_offset = offset;
    s->header.reftable_clusters = clusters;
    if (!qcow2_header_write(s, error)) {
        s->header = old;
        return false;
    }
    result = block_flush(s->node->file);
    errno = -result;
    if (result)
        return fail_errno(error, "Could not write the header");
    return qcow2_reload(s, error);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking: counts who uses each host cluster and compares that with the refcounts. Repair writes
 * the right counts as new tables, in one step (tables.c). */
#include <stdarg.h>

#include "block/qcow2/qcow2.h"

struct pass {
    struct qcow2 *s;
    struct block_check *check;
    struct qcow2_tables counted; /* references found */
    uint64_t file_end;
    uint64_t next_contiguous;
    uint64_t *l2; /* a table */
};

static void tell(struct block_check *check, bool error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void tell(struct block_check *check, bool error, const char *format, ...)
{
    va_list arguments;

    if (!check->message)
        return;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    check->message(check, error, text);
}

/* Counts a use of the clusters that the bytes touch. */
static void count_use(struct pass *pass, uint64_t offset, uint64_t bytes)
{
    struct qcow2 *s = pass->s;
    uint64_t first = offset >> s->header.cluster_bits;

    if (!bytes)
        return;
    if (offset > pass->file_end || bytes > pass->file_end - offset + s->cluster_size - 1) {
        tell(pass->check, true,
             "ERROR: counting reference for region exceeding the end of the file "
             "by one cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
             offset, bytes);
        pass->check->corruptions++;
        return;
    }
    uint64_t last = (offset + bytes - 1) >> s->header.cluster_bits;
    for (uint64_t i = first; i <= last && i < pass->counted.capacity; i++) {
        if (pass->counted.refcounts[i] < UINT32_MAX)
            pass->counted.refcounts[i]++;
        pass->counted.clusters = MAX(pass->counted.clusters, i + 1);
    }
}

static uint64_t stored(struct pass *pass, uint64_t offset)
{
    uint64_t count;
    return qcow2_refcount_get(pass->s, offset >> pass->s->header.cluster_bits, &count) ? 0 : count;
}

static void fragments(struct pass *pass, uint64_t offset)
{
    pass->check->allocated_clusters++;
    if (pass->next_contiguous && offset != pass->next_contiguous)
        pass->check->fragmented_clusters++;
    pass->next_contiguous = offset + pass->s->cluster_size;
}

/* The disk's own entries say whether they may be written in place; that must agree with the counts.
 * Returns whether the flag has to be changed. */
static bool flag_is_wrong(struct pass *pass, const char *what, uint64_t entry, uint64_t offset)
{
    uint64_t count = stored(pass, offset);
    bool wrong = (count == 1) != !!(entry & QCOW2_COPIED);

    if (wrong) {
        tell(pass->check, true, "%s OFLAG_COPIED %s: %s=%" PRIx64 " refcount=%" PRIu64,
             pass->check->fix_errors ? "Repairing" : "ERROR", what,
             what[0] == 'L' ? "l1_entry" : "l2_entry", entry, count);
        pass->check->corruptions++;
    }
    return wrong;
}

/* One entry; `active`: of the disk, not of a snapshot. True if its flag is wrong. */
static bool entry_count(struct pass *pass, struct qcow2_entry entry, uint64_t guest, bool active)
{
    struct qcow2 *s = pass->s;
    uint64_t offset = entry.entry & QCOW2_OFFSET_MASK;

    if (entry.entry & QCOW2_COMPRESSED) {
        uint32_t bytes;
        if (entry.entry & QCOW2_COPIED) {
            tell(pass->check, true,
                 "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for "
                 "compressed clusters",
                 entry.entry & QCOW2_OFFSET_MASK);
            pass->check->corruptions++;
        }
        qcow2_packed_place(s, entry.entry, &offset, &bytes);
        count_use(pass, offset, bytes);
        if (active) {
            pass->check->allocated_clusters++;
            pass->check->compressed_clusters++;
            pass->check->fragmented_clusters++;
        }
        return false;
    }
    if (!offset)
        return false;
    if (offset & (s->cluster_size - 1)) {
        tell(pass->check, true,
             "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry "
             "corrupted.",
             offset);
        pass->check->corruptions++;
        return false;
    }
    if (active)
        fragments(pass, offset);
    if (s->data != s->node->file)
        return false;
    count_use(pass, offset, s->cluster_size);
    return active && flag_is_wrong(pass, "data cluster", entry.entry, offset);
}

static bool table_count(struct pass *pass, uint64_t offset, uint64_t guest, bool active,
                        GError **error)
{
    struct qcow2 *s = pass->s;
    bool changed = false;
    int result = block_pread(s->node->file, offset, pass->l2, s->cluster_size);

    if (result) {
        tell(pass->check, true, "ERROR: I/O error in check_refcounts_l2");
        pass->check->check_errors++;
        return true;
    }
    for (uint32_t i = 0; i < s->l2_entries; i++) {
        struct qcow2_entry entry = qcow2_entry_get(s, pass->l2, i);
        if (!entry.entry)
            continue;
        if (entry_count(pass, entry, guest + ((uint64_t)i << s->header.cluster_bits), active)
            && pass->check->fix_errors) {
            entry.entry ^= QCOW2_COPIED;
            qcow2_entry_set(s, pass->l2, i, entry);
            pass->check->corruptions--;
            pass->check->corruptions_fixed++;
            changed = true;
        }
    }
    if (!changed)
        return true;
    result = block_pwrite(s->node->file, offset, pass->l2, s->cluster_size, 0);
    errno = -result;
    return !result || fail_errno(error, "Could not repair an L2 table");
}

static bool l1_count(struct pass *pass, const uint64_t *l1, uint32_t entries, uint64_t offset,
                     bool active, GError **error)
{
    struct qcow2 *s = pass->s;

    count_use(pass, offset, entries * 8ull);
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t table = l1[i] & QCOW2_OFFSET_MASK;
        if (!table)
            continue;
        count_use(pass, table, s->cluster_size);
        if (table & (s->cluster_size - 1)) {
            tell(pass->check, true,
                 "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 "
                 "entry corrupted",
                 table);
            pass->check->corruptions++;
            continue;
        }
        if (active && flag_is_wrong(pass, "L2 cluster", l1[i], table) && pass->check->fix_errors) {
            s->l1[i] ^= QCOW2_COPIED;
            s->l1_dirty_first = MIN(s->l1_dirty_first, i);
            s->l1_dirty_end = MAX(s->l1_dirty_end, i + 1);
            pass->check->corruptions--;
            pass->check->corruptions_fixed++;
        }
        if (!table_count(pass, table, i * qcow2_l2_span(s), active, error))
            return false;
    }
    return true;
}

static bool count_all(struct pass *pass, GError **error)
{
    struct qcow2 *s = pass->s;
    uint64_t reftable_bytes = (uint64_t)s->header.reftable_clusters << s->header.cluster_bits;

    count_use(pass, 0, s->cluster_size);
    if (!l1_count(pass, s->l1, s->header.l1_size, s->header.l1_offset, true, error))
        return false;
    for (uint32_t i = 0; i < s->header.snapshot_count; i++) {
        const struct qcow2_snapshot *snapshot = &s->snapshots[i];
        g_autoptr(GError) reason = NULL;
        g_autofree uint64_t *l1 = qcow2_l1_read(s, snapshot->l1_offset, snapshot->l1_size, &reason);
        if (!l1) {
            tell(pass->check, true, "ERROR snapshot %s (%s) l1_offset=%#" PRIx64 ": %s",
                 snapshot->public.id, snapshot->public.name, snapshot->l1_offset, reason->message);
            pass->check->corruptions++;
            continue;
        }
        if (!l1_count(pass, l1, snapshot->l1_size, snapshot->l1_offset, false, error))
            return false;
    }
    count_use(pass, s->header.snapshots_offset, qcow2_snapshot_table_bytes(s));
    if (s->crypto_length)
        count_use(pass, s->crypto_offset, s->crypto_length);
    count_use(pass, s->header.reftable_offset, reftable_bytes);
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t offset = s->reftable[i] & QCOW2_REFTABLE_MASK;
        if (!offset)
            continue;
        if (offset & (s->cluster_size - 1)) {
            tell(pass->check, true,
                 "ERROR refcount block %u is not cluster aligned; refcount table "
                 "entry corrupted",
                 i);
            pass->check->corruptions++;
            s->reftable[i] = 0; /* in memory: it cannot be used for what follows */
            continue;
        }
        count_use(pass, offset, s->cluster_size);
        uint64_t cluster = offset >> s->header.cluster_bits;
        if (cluster < pass->counted.capacity && pass->counted.refcounts[cluster] > 1) {
            tell(pass->check, true, "ERROR refcount block %u refcount=%u", i,
                 pass->counted.refcounts[cluster]);
            pass->check->corruptions++;
        }
    }
    return true;
}

/* Compares; returns whether something can be repaired, with the right counts in `counted`. */
static bool compare(struct pass *pass, uint64_t *leaks, uint64_t *errors)
{
    struct qcow2 *s = pass->s;
    struct block_check *check = pass->check;
    uint64_t end = MAX(pass->counted.clusters, s->high_water), highest = 0;

    for (uint64_t i = 0; i < end && i < pass->counted.capacity; i++) {
        uint64_t count;
        if (!(i & (s->refblock_entries - 1)) && (i >> s->refblock_bits) >= s->reftable_entries
            && i >= pass->counted.clusters)
            break;
        int result = qcow2_refcount_get(s, i, &count);
        if (result) {
            tell(check, true, "Can't get refcount for cluster %" PRIu64 ": %s", i,
                 g_strerror(-result));
            check->check_errors++;
            i |= s->refblock_entries - 1; /* the rest of the block cannot be read either */
            continue;
        }
        uint64_t uses = pass->counted.refcounts[i];
        if (uses || count)
            highest = i;
        if (uses == count)
            continue;
        bool leak = count > uses;
        bool fix = leak ? check->fix_leaks : check->fix_errors;
        tell(check, !leak, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
             fix    ? "Repairing"
             : leak ? "Leaked"
                    : "ERROR",
             i, count, uses);
        (*(leak ? leaks : errors))++;
        if (!fix) {
            (*(leak ? &check->leaks : &check->corruptions))++;
            pass->counted.refcounts[i] = MIN(count, UINT32_MAX);
            if (count)
                pass->counted.clusters = MAX(pass->counted.clusters, i + 1);
        }
    }
    check->image_end_offset = (highest + 1) << s->header.cluster_bits;
    return (*leaks && check->fix_leaks) || (*errors && check->fix_errors);
}

static bool repair(struct pass *pass, uint64_t leaks, uint64_t errors, GError **error)
{
    struct qcow2 *s = pass->s;
    struct block_check *check = pass->check;
    struct qcow2_header header = s->header;

    /* The old tables are counted as used, and are not; new ones are made. */
    pass->counted.next = MAX(MAX(pass->counted.clusters, s->high_water),
                             qcow2_clusters(s, block_length(s->node->file)));
    pass->counted.clusters = MAX(pass->counted.clusters, pass->counted.next);
    pass->counted.keep_old = true;
    pass->counted.scan = pass->counted.next;
    if (!qcow2_tables_commit(s, &pass->counted, &header, error))
        return false;
    if (check->fix_leaks)
        check->leaks_fixed += leaks;
    if (check->fix_errors)
        check->corruptions_fixed += errors;
    return true;
}

static bool marks_clear(struct qcow2 *s, const struct block_check *check, GError **error)
{
    uint64_t marks = QCOW2_DIRTY | QCOW2_CORRUPT;
    if (!check->fix_errors || check->corruptions || check->check_errors
        || !(s->header.incompatible & marks))
        return true;
    s->header.incompatible &= ~marks;
    return qcow2_header_write(s, error);
}

static bool check_locked(struct qcow2 *s, struct block_check *check, GError **error)
{
    uint64_t leaks = 0, errors = 0;
    struct pass pass = { .s = s,
                         .check = check,
                         .file_end = qcow2_round_up(s, block_length(s->node->file)) };

    if (!s->high_water)
        s->high_water = qcow2_clusters(s, block_length(s->node->file));
    if (!qcow2_tables_empty(s, &pass.counted, error))
        return false;
    pass.counted.clusters = 1;
    pass.l2 = g_malloc(s->cluster_size);
    check->total_clusters = qcow2_clusters(s, s->header.size);
    bool good = count_all(&pass, error);
    int result = good ? qcow2_write_back(s) : 0; /* repaired flags */
    if (good && compare(&pass, &leaks, &errors) && !result)
        good = repair(&pass, leaks, errors, error);
    if (good && result) {
        errno = -result;
        good = fail_errno(error, "Could not write repaired tables");
    }
    good = good && marks_clear(s, check, error);
    g_free(pass.l2);
    qcow2_tables_free(&pass.counted);
    return good;
}

bool qcow2_check(struct block_node *node, struct block_check *check, GError **error)
{
    struct qcow2 *s = node->state;

    if (s->bitmap_count) /* what they occupy would be counted as leaked */
        return fail(error, "The image has %" PRIu32 " persistent bitmaps, which cannot be checked",
                    s->bitmap_count);
    pthread_mutex_lock(&s->lock);
    bool good = true;
    if (!node->read_only) {
        int result = qcow2_settle(s);
        errno = -result;
        good = !result || fail_errno(error, "Could not write the image's tables");
    }
    good = good && check_locked(s, check, error);
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internal snapshots. (Specification: "Snapshots".)
 *
 * A snapshot takes over the L1 and L2 tables that were the disk's; the disk gets copies, whose data
 * clusters are all shared now. Together with the new refcounts they become the image in one step
 * (tables.c), so that no crash leaves half a snapshot, and no table is ever shared. Images in which
 * other programs share L2 tables between snapshots are handled all the same. */
#include "block/qcow2/qcow2.h"

enum { ENTRY_BYTES = 40, EXTRA_KNOWN = 24, BATCH_BYTES = 1 << 20 };

/* ---- The table ---- */

static uint16_t get16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint64_t get64(const uint8_t *at)
{
    return (uint64_t)get32(at) << 32 | get32(at + 4);
}

static void put(GByteArray *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        uint8_t byte = value >> (i * 8);
        g_byte_array_append(out, &byte, 1);
    }
}

static void snapshot_clear(struct qcow2_snapshot *snapshot)
{
    g_free(snapshot->public.id);
    g_free(snapshot->public.name);
    g_free(snapshot->extra);
}

void qcow2_snapshots_free(struct qcow2 *s)
{
    for (uint32_t i = 0; s->snapshots && i < s->header.snapshot_count; i++)
        snapshot_clear(&s->snapshots[i]);
    g_clear_pointer(&s->snapshots, g_free);
}

/* One entry at `offset`; moves it behind the entry. */
static bool entry_read(struct qcow2 *s, uint64_t *offset, struct qcow2_snapshot *snapshot,
                       GError **error)
{
    uint8_t fixed[ENTRY_BYTES];
    int result = block_pread(s->node->file, *offset, fixed, sizeof(fixed));

    uint32_t id_size = get16(fixed + 12), name_size = get16(fixed + 14);
    uint32_t extra_size = get32(fixed + 36);
    if (!result && extra_size > 1024)
        return fail(error, "Too much extra metadata in snapshot table entry");
    uint32_t size = extra_size + id_size + name_size;
    g_autofree uint8_t *rest = g_malloc0(MAX(size, 1));
    if (!result)
        result = block_pread(s->node->file, *offset + sizeof(fixed), rest, size);
    errno = -result;
    if (result)
        return fail_errno(error, "Failed to read snapshot table");
    *snapshot = (struct qcow2_snapshot){
        .l1_offset = get64(fixed),
        .l1_size = get32(fixed + 8),
        .public = { .date_sec = get32(fixed + 16),
                    .date_nsec = get32(fixed + 20),
                    .vm_clock_nsec = get64(fixed + 24),
                    .vm_state_size = get32(fixed + 32),
                    .disk_size = s->header.size,
                    .icount = UINT64_MAX },
    };
    if (extra_size >= 8)
        snapshot->public.vm_state_size = get64(rest);
    if (extra_size >= 16)
        snapshot->public.disk_size = get64(rest + 8);
    if (extra_size >= 24)
        snapshot->public.icount = get64(rest + 16);
    if (extra_size > EXTRA_KNOWN) {
        snapshot->extra_size = extra_size - EXTRA_KNOWN;
        snapshot->extra = g_memdup2(rest + EXTRA_KNOWN, snapshot->extra_size);
    }
    snapshot->public.id = g_strndup((char *)rest + extra_size, id_size);
    snapshot->public.name = g_strndup((char *)rest + extra_size + id_size, name_size);
    *offset += (sizeof(fixed) + size + 7) & ~7ull;
    return true;
}

bool qcow2_snapshots_read(struct qcow2 *s, GError **error)
{
    uint64_t offset = s->header.snapshots_offset, start = offset;
    uint32_t count = s->header.snapshot_count;

    if (count && (start & (s->cluster_size - 1)))
        return fail(error, "Snapshot table offset invalid");
    s->snapshots = g_new0(struct qcow2_snapshot, MAX(count, 1));
    for (uint32_t i = 0; i < count; i++) {
        struct qcow2_snapshot *snapshot = &s->snapshots[i];
        if (!entry_read(s, &offset, snapshot, error))
            return false;
        if (offset - start > QCOW2_SNAPSHOT_TABLE_MAX)
            return fail(error, "Snapshot table is too large");
        if (snapshot->l1_size > QCOW2_L1_BYTES_MAX / 8
            || (snapshot->l1_offset & (s->cluster_size - 1)) || snapshot->l1_offset > INT64_MAX / 2)
            return fail(error, "Snapshot '%s' has an invalid L1 table", snapshot->public.id);
    }
    return true;
}

static GByteArray *table_make(struct qcow2_snapshot *snapshots, uint32_t count)
{
    GByteArray *out = g_byte_array_new();

    for (uint32_t i = 0; i < count; i++) {
        const struct qcow2_snapshot *snapshot = &snapshots[i];
        const struct block_snapshot *public = &snapshot->public;
        size_t id_size = strlen(public->id), name_size = strlen(public->name);
        bool icount = public->icount != UINT64_MAX || snapshot->extra_size;
        put(out, snapshot->l1_offset, 8);
        put(out, snapshot->l1_size, 4);
        put(out, id_size, 2);
        put(out, name_size, 2);
        put(out, public->date_sec, 4);
        put(out, public->date_nsec, 4);
        put(out, public->vm_clock_nsec, 8);
        put(out, public->vm_state_size > UINT32_MAX ? 0 : public->vm_state_size, 4);
        put(out, 16 + (icount ? 8 : 0) + snapshot->extra_size, 4);
        put(out, public->vm_state_size, 8);
        put(out, public->disk_size, 8);
        if (icount)
            put(out, public->icount, 8);
        if (snapshot->extra_size)
            g_byte_array_append(out, snapshot->extra, snapshot->extra_size);
        g_byte_array_append(out, (const uint8_t *)public->id, id_size);
        g_byte_array_append(out, (const uint8_t *)public->name, name_size);
        put(out, 0, -out->len & 7);
    }
    return out;
}

uint64_t qcow2_snapshot_table_bytes(const struct qcow2 *s)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < s->header.snapshot_count; i++) {
        const struct qcow2_snapshot *snapshot = &s->snapshots[i];
        bool icount = snapshot->public.icount != UINT64_MAX || snapshot->extra_size;
        uint64_t size = ENTRY_BYTES + 16 + (icount ? 8 : 0) + snapshot->extra_size
                        + strlen(snapshot->public.id) + strlen(snapshot->public.name);
        bytes += (size + 7) & ~7ull;
    }
    return bytes;
}

/* ---- Walking tables ---- */

/* Adds `delta` to what the entries of one L2 table use. */
static bool table_ref(struct qcow2 *s, struct qcow2_tables *tables, const uint64_t *table,
                      int delta, GError **error)
{
    for (uint32_t i = 0; i < s->l2_entries; i++) {
        struct qcow2_entry entry = qcow2_entry_get(s, table, i);
        uint64_t offset = entry.entry & QCOW2_OFFSET_MASK;
        uint32_t bytes = s->cluster_size;
        if (entry.entry & QCOW2_COMPRESSED)
            qcow2_packed_place(s, entry.entry, &offset, &bytes);
        if (offset && !qcow2_tables_ref(s, tables, offset, bytes, delta, error))
            return false;
    }
    return true;
}

static bool table_read(struct qcow2 *s, uint64_t offset, uint64_t *table, GError **error)
{
    if (offset & (s->cluster_size - 1))
        return fail(error, "L2 table offset %#" PRIx64 " is not aligned", offset);
    int result = block_pread(s->node->file, offset, table, s->cluster_size);
    errno = -result;
    return !result || fail_errno(error, "Could not read the L2 table at %#" PRIx64, offset);
}

/* Adds `delta` to everything an L1 table leads to, and with `tables_too` to its L2 tables. */
static bool tree_ref(struct qcow2 *s, struct qcow2_tables *tables, const uint64_t *l1,
                     uint32_t entries, int delta, bool tables_too, GError **error)
{
    g_autofree uint64_t *table = g_malloc(s->cluster_size);

    for (uint32_t i = 0; i < entries; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        if (!offset)
            continue;
        if (!table_read(s, offset, table, error) || !table_ref(s, tables, table, delta, error))
            return false;
        if (tables_too && !qcow2_tables_ref(s, tables, offset, s->cluster_size, delta, error))
            return false;
    }
    return true;
}

/* Gathers adjacent new clusters into large writes. */
struct batch {
    uint8_t *data;
    uint64_t offset, used;
};

static int batch_flush(struct qcow2 *s, struct batch *batch)
{
    int error =
        batch->used ? block_pwrite(s->node->file, batch->offset, batch->data, batch->used, 0) : 0;
    batch->used = 0;
    return error;
}

static int batch_add(struct qcow2 *s, struct batch *batch, uint64_t offset, const void *cluster)
{
    int error = 0;
    if (offset != batch->offset + batch->used || batch->used + s->cluster_size > BATCH_BYTES)
        error = batch_flush(s, batch);
    if (!batch->used)
        batch->offset = offset;
    memcpy(batch->data + batch->used, cluster, s->cluster_size);
    batch->used += s->cluster_size;
    return error;
}

/* How often the cluster at `offset` is used; 0 if it lies beyond all that can be. */
static uint32_t count_of(const struct qcow2 *s, const struct qcow2_tables *tables, uint64_t offset)
{
    uint64_t cluster = offset >> s->header.cluster_bits;
    return cluster < tables->capacity ? tables->refcounts[cluster] : 0;
}

/* Sets the copied flags of a table from the refcounts; whether one changed. */
static bool table_flags(struct qcow2 *s, struct qcow2_tables *tables, uint64_t *table)
{
    bool changed = false;

    for (uint32_t i = 0; i < s->l2_entries; i++) {
        struct qcow2_entry entry = qcow2_entry_get(s, table, i);
        uint64_t offset = entry.entry & QCOW2_OFFSET_MASK, old = entry.entry;
        if ((entry.entry & QCOW2_COMPRESSED) || !offset)
            continue;
        bool alone = count_of(s, tables, offset) == 1;
        entry.entry = alone ? old | QCOW2_COPIED : old & ~QCOW2_COPIED;
        if (entry.entry != old) {
            qcow2_entry_set(s, table, i, entry);
            changed = true;
        }
    }
    return changed;
}

/* Makes `l1` the disk's: its L2 tables are copied if `copy_all`, or if their flags have to change.
 */
static bool tree_adopt(struct qcow2 *s, struct qcow2_tables *tables, uint64_t *l1, uint32_t entries,
                       bool copy_all, GError **error)
{
    g_autofree uint64_t *table = g_malloc(s->cluster_size);
    g_autofree uint8_t *buffer = g_malloc(BATCH_BYTES + s->cluster_size);
    struct batch batch = { .data = buffer };
    int result = 0;

    for (uint32_t i = 0; i < entries && !result; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        if (!offset)
            continue;
        if (!table_read(s, offset, table, error))
            return false;
        bool alone = count_of(s, tables, offset) == 1;
        if (table_flags(s, tables, table) || copy_all) {
            uint64_t copy = qcow2_tables_alloc(s, tables, 1);
            if (!copy)
                return fail(error, "The image file would become too large");
            if (!copy_all && !qcow2_tables_ref(s, tables, offset, s->cluster_size, -1, error))
                return false;
            result = batch_add(s, &batch, copy, table);
            l1[i] = copy | QCOW2_COPIED;
        } else {
            l1[i] = offset | (alone ? QCOW2_COPIED : 0);
        }
    }
    if (!result)
        result = batch_flush(s, &batch);
    errno = -result;
    return !result || fail_errno(error, "Could not write L2 tables");
}

/* Writes an L1 table to a new place. */
static bool l1_place(struct qcow2 *s, struct qcow2_tables *tables, const uint64_t *l1,
                     uint32_t entries, uint64_t *offset, GError **error)
{
    uint64_t bytes = qcow2_round_up(s, MAX(entries, 1) * 8ull);
    g_autofree uint64_t *raw = g_malloc0(bytes);

    *offset = qcow2_tables_alloc(s, tables, bytes >> s->header.cluster_bits);
    if (!*offset)
        return fail(error, "The image file would become too large");
    for (uint32_t i = 0; i < entries; i++)
        raw[i] = htobe64(l1[i]);
    int result = block_pwrite(s->node->file, *offset, raw, bytes, 0);
    errno = -result;
    return !result || fail_errno(error, "Could not write the L1 table");
}

/* Writes the list to a new place and gives up the old one; into `header`. */
static bool list_place(struct qcow2 *s, struct qcow2_tables *tables, struct qcow2_snapshot *list,
                       uint32_t count, struct qcow2_header *header, GError **error)
{
    g_autoptr(GByteArray) raw = table_make(list, count);
    uint64_t old = qcow2_snapshot_table_bytes(s);

    if (raw->len > QCOW2_SNAPSHOT_TABLE_MAX || count > QCOW2_SNAPSHOTS_MAX)
        return fail(error, "There is no room for more snapshots");
    if (old && !qcow2_tables_ref(s, tables, s->header.snapshots_offset, old, -1, error))
        return false;
    header->snapshot_count = count;
    header->snapshots_offset = 0;
    if (!count)
        return true;
    guint used = raw->len;
    uint64_t bytes = qcow2_round_up(s, used);
    g_byte_array_set_size(raw, bytes);
    memset(raw->data + used, 0, bytes - used);
    header->snapshots_offset = qcow2_tables_alloc(s, tables, bytes >> s->header.cluster_bits);
    if (!header->snapshots_offset)
        return fail(error, "The image file would become too large");
    int result = block_pwrite(s->node->file, header->snapshots_offset, raw->data, bytes, 0);
    errno = -result;
    return !result || fail_errno(error, "Could not write the snapshot table");
}

static bool begin(struct qcow2 *s, struct qcow2_tables *tables, GError **error)
{
    if (s->data != s->node->file)
        return fail(error, "Internal snapshots are not possible with an external data file");
    if (s->node->read_only)
        return fail(error, "Image is read-only");
    int result = qcow2_settle_all(s);
    if (!result)
        result = block_flush(s->node->file);
    errno = -result;
    if (result)
        return fail_errno(error, "Could not write the image's tables");
    return qcow2_tables_load(s, tables, error);
}

/* ---- Operations ---- */

static bool snapshot_list(struct block_node *node, GArray *list, GError **error)
{
    struct qcow2 *s = node->state;

    for (uint32_t i = 0; i < s->header.snapshot_count; i++) {
        struct block_snapshot copy = s->snapshots[i].public;
        copy.id = g_strdup(copy.id);
        copy.name = g_strdup(copy.name);
        g_array_append_val(list, copy);
    }
    return true;
}

static struct qcow2_snapshot *snapshot_find(struct qcow2 *s, const char *id_or_name)
{
    for (unsigned by_name = 0; by_name < 2; by_name++) {
        for (uint32_t i = 0; i < s->header.snapshot_count; i++) {
            const struct block_snapshot *public = &s->snapshots[i].public;
            if (!strcmp(by_name ? public->name : public->id, id_or_name))
                return &s->snapshots[i];
        }
    }
    return NULL;
}

static char *id_next(const struct qcow2 *s)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < s->header.snapshot_count; i++)
        highest = MAX(highest, g_ascii_strtoull(s->snapshots[i].public.id, NULL, 10));
    return g_strdup_printf("%" PRIu64, highest + 1);
}

/* Drops the machine's state, which lies behind the disk, from the disk's own tables. */
static void vm_state_drop(struct qcow2 *s)
{
    uint64_t span = qcow2_l2_span(s);
    uint64_t first = (s->header.size + span - 1) / span;
    if (first < s->header.l1_size)
        qcow2_discard_clusters(s, first * span, (s->header.l1_size - first) * span, true);
}

static bool snapshot_create(struct block_node *node, struct block_snapshot *snapshot,
                            GError **error)
{
    struct qcow2 *s = node->state;
    struct qcow2_tables tables = { 0 };
    struct qcow2_header header;
    uint32_t count = s->header.snapshot_count;
    g_autofree char *id = id_next(s);

    pthread_mutex_lock(&s->lock);
    bool good = begin(s, &tables, error);
    g_autofree uint64_t *l1 = g_memdup2(s->l1, MAX(s->header.l1_size, 1) * 8ull);
    g_autofree struct qcow2_snapshot *list = g_new0(struct qcow2_snapshot, count + 1);
    memcpy(list, s->snapshots, count * sizeof(*list));
    list[count] = (struct qcow2_snapshot){ .public = *snapshot,
                                           .l1_offset = s->header.l1_offset,
                                           .l1_size = s->header.l1_size };
    list[count].public.id = id;
    list[count].public.disk_size = s->header.size;
    header = s->header;
    good = good && tree_ref(s, &tables, l1, header.l1_size, 1, false, error)
           && tree_adopt(s, &tables, l1, header.l1_size, true, error)
           && l1_place(s, &tables, l1, header.l1_size, &header.l1_offset, error)
           && list_place(s, &tables, list, count + 1, &header, error)
           && qcow2_tables_commit(s, &tables, &header, error);
    qcow2_tables_free(&tables);
    if (good) {
        s->header.snapshot_count = count;
        qcow2_snapshots_free(s);
        s->header.snapshot_count = count + 1;
        good = qcow2_snapshots_read(s, error);
    }
    pthread_mutex_unlock(&s->lock);
    if (good && snapshot->vm_state_size)
        vm_state_drop(s);
    return good;
}

static bool snapshot_apply(struct block_node *node, const char *id_or_name, GError **error)
{
    struct qcow2 *s = node->state;
    struct qcow2_snapshot *snapshot = snapshot_find(s, id_or_name);
    struct qcow2_tables tables = { 0 };

    if (!snapshot)
        return fail(error, "Can't find snapshot '%s'", id_or_name);
    uint64_t span = qcow2_l2_span(s), size = snapshot->public.disk_size;
    if (size > INT64_MAX || snapshot->l1_size < size / span + !!(size % span))
        return fail(error, "Snapshot '%s' has an L1 table too small for its disk", id_or_name);
    g_autofree uint64_t *l1 = qcow2_l1_read(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!l1)
        return false;
    pthread_mutex_lock(&s->lock);
    struct qcow2_header header = s->header;
    header.size = size;
    header.l1_size = snapshot->l1_size;
    bool good = begin(s, &tables, error);
    /* First what is needed, then what is not: a count that is right never falls below zero. */
    good = good && tree_ref(s, &tables, l1, header.l1_size, 1, false, error)
           && tree_ref(s, &tables, s->l1, s->header.l1_size, -1, true, error)
           && (!s->header.l1_size
               || qcow2_tables_ref(s, &tables, s->header.l1_offset, s->header.l1_size * 8ull, -1,
                                   error))
           && tree_adopt(s, &tables, l1, header.l1_size, true, error)
           && l1_place(s, &tables, l1, header.l1_size, &header.l1_offset, error)
           && qcow2_tables_commit(s, &tables, &header, error);
    qcow2_tables_free(&tables);
    if (good)
        atomic_store(&node->length, size);
    pthread_mutex_unlock(&s->lock);
    if (good && snapshot->public.vm_state_size)
        vm_state_drop(s);
    return good;
}

static bool snapshot_remove(struct block_node *node, const char *id_or_name, GError **error)
{
    struct qcow2 *s = node->state;
    struct qcow2_snapshot *snapshot = snapshot_find(s, id_or_name);
    uint32_t count = s->header.snapshot_count;
    struct qcow2_tables tables = { 0 };

    if (!snapshot)
        return fail(error, "Can't find the snapshot");
    g_autofree uint64_t *l1 = qcow2_l1_read(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!l1)
        return false;
    pthread_mutex_lock(&s->lock);
    struct qcow2_header header = s->header;
    g_autofree uint64_t *active = g_memdup2(s->l1, MAX(header.l1_size, 1) * 8ull);
    g_autofree struct qcow2_snapshot *list = g_memdup2(s->snapshots, count * sizeof(*list));
    uint32_t place = snapshot - s->snapshots;
    memmove(list + place, list + place + 1, (count - place - 1) * sizeof(*list));
    bool good = begin(s, &tables, error);
    good = good && tree_ref(s, &tables, l1, snapshot->l1_size, -1, true, error)
           && (!snapshot->l1_size
               || qcow2_tables_ref(s, &tables, snapshot->l1_offset, snapshot->l1_size * 8ull, -1,
                                   error))
           && tree_adopt(s, &tables, active, header.l1_size, false, error)
           && (!header.l1_size
               || qcow2_tables_ref(s, &tables, header.l1_offset, header.l1_size * 8ull, -1, error))
           && l1_place(s, &tables, active, header.l1_size, &header.l1_offset, error)
           && list_place(s, &tables, list, count - 1, &header, error)
           && qcow2_tables_commit(s, &tables, &header, error);
    qcow2_tables_free(&tables);
    if (good) {
        s->header.snapshot_count = count;
        qcow2_snapshots_free(s);
        s->header.snapshot_count = count - 1;
        good = qcow2_snapshots_read(s, error);
    }
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* Reads the disk as it was. */
static bool snapshot_load(struct block_node *node, const char *id_or_name, GError **error)
{
    struct qcow2 *s = node->state;
    struct qcow2_snapshot *snapshot = snapshot_find(s, id_or_name);

    if (!snapshot)
        return fail(error, "Can't find snapshot '%s'", id_or_name);
    if (!node->read_only)
        return fail(error, "A snapshot can be loaded only into an image opened for reading");
    uint64_t span = qcow2_l2_span(s), size = snapshot->public.disk_size;
    if (size > INT64_MAX || snapshot->l1_size < size / span + !!(size % span))
        return fail(error, "Snapshot '%s' has an L1 table too small for its disk", id_or_name);
    uint64_t *l1 = qcow2_l1_read(s, snapshot->l1_offset, snapshot->l1_size, error);
    if (!l1)
        return false;
    pthread_mutex_lock(&s->lock);
    g_free(s->l1);
    s->l1 = l1;
    s->header.l1_size = snapshot->l1_size;
    s->header.size = size;
    atomic_store(&node->length, size);
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* ---- The machine's state ---- */

static uint64_t vm_state_offset(const struct qcow2 *s)
{
    uint64_t span = qcow2_l2_span(s);
    return (s->header.size + span - 1) / span * span;
}

static int vm_state_read(struct block_node *node, uint64_t offset, struct iov data)
{
    struct qcow2 *s = node->state;
    return qcow2_read(node, vm_state_offset(s) + offset, data);
}

static int vm_state_write(struct block_node *node, uint64_t offset, struct iov data)
{
    struct qcow2 *s = node->state;
    uint64_t at = vm_state_offset(s) + offset;
    uint64_t entries = (at + data.size) / qcow2_l2_span(s) + 1;

    if (entries > s->header.l1_size && !qcow2_l1_grow(s, entries, NULL))
        return -EFBIG;
    return qcow2_write(node, at, data, 0);
}

const struct block_snapshot_ops qcow2_snapshot_ops = {
    .list = snapshot_list,
    .create = snapshot_create,
    .apply = snapshot_apply,
    .remove = snapshot_remove,
    .load = snapshot_load,
    .vm_state_read = vm_state_read,
    .vm_state_write = vm_state_write,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qcow2 driver: opening, closing, and its table. */
#include "block/qcow2/qcow2.h"

#include "util/keyval.h"

enum { L2_CACHE_BYTES = 32 << 20, REFCOUNT_CACHE_BYTES = 4 << 20 };

static int qcow2_probe(const uint8_t *head, size_t size, const char *filename)
{
    uint32_t magic, version;

    if (size < 8)
        return 0;
    memcpy(&magic, head, 4);
    memcpy(&version, head + 4, 4);
    return be32toh(magic) == QCOW2_MAGIC && be32toh(version) >= 2 ? 100 : 0;
}

static int make_room(void *opaque)
{
    return qcow2_write_back(opaque);
}

/* ---- Options ---- */

struct cache_sizes {
    uint64_t total, l2, refcount;
};

static bool options_read(struct qcow2 *s, json_t *options, struct cache_sizes *sizes,
                         GError **error)
{
    static const char *const ignored_words[] = { "overlap-check",         "pass-discard-request",
                                                 "pass-discard-snapshot", "pass-discard-other",
                                                 "discard-no-unref",      "cache-clean-interval",
                                                 "l2-cache-entry-size",   NULL };

    *sizes = (struct cache_sizes){ 0, L2_CACHE_BYTES, REFCOUNT_CACHE_BYTES };
    s->lazy_refcounts = s->header.compatible & QCOW2_LAZY_REFCOUNTS;
    s->discard_passes = s->node->flags & BLOCK_OPEN_UNMAP;
    if (!options_take_bool(options, "lazy-refcounts", &s->lazy_refcounts, error)
        || !options_take_size(options, "cache-size", &sizes->total, error)
        || !options_take_size(options, "l2-cache-size", &sizes->l2, error)
        || !options_take_size(options, "refcount-cache-size", &sizes->refcount, error)
        || !options_take_bool(options, "pass-discard-request", &s->discard_passes, error))
        return false;
    for (size_t i = 0; ignored_words[i]; i++) {
        g_autofree char *value = options_take_string(options, ignored_words[i]);
        json_object_del(options, ignored_words[i]);
    }
    if (s->lazy_refcounts && s->header.version < 3)
        return fail(error, "Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                           "compatibility level");
    if (sizes->total && sizes->total < sizes->l2)
        sizes->l2 = sizes->total;
    sizes->l2 = CLAMP(sizes->l2, 1 << 20, 1 << 30);
    sizes->refcount = CLAMP(sizes->refcount, 1 << 18, 1 << 28);
    return true;
}

/* ---- Tables ---- */

static bool reftable_read(struct qcow2 *s, GError **error)
{
    uint64_t bytes = (uint64_t)s->header.reftable_clusters << s->header.cluster_bits;

    g_free(s->reftable);
    s->reftable = g_malloc0(MAX(bytes, 8));
    s->reftable_entries = bytes / 8;
    int result = block_pread(s->node->file, s->header.reftable_offset, s->reftable, bytes);
    errno = -result;
    if (result)
        return fail_errno(error, "Could not initialize refcount handling");
    for (uint32_t i = 0; i < s->reftable_entries; i++)
        s->reftable[i] = be64toh(s->reftable[i]);
    s->reftable_dirty_first = UINT32_MAX;
    s->reftable_dirty_end = 0;
    return true;
}

uint64_t *qcow2_l1_read(struct qcow2 *s, uint64_t offset, uint32_t entries, GError **error)
{
    g_autofree uint64_t *table = g_try_malloc0(MAX(entries, 1) * 8ull);

    if (!table) {
        fail(error, "Could not allocate L1 table");
        return NULL;
    }
    int result = block_pread(s->node->file, offset, table, entries * 8ull);
    if (result) {
        errno = -result;
        fail_errno(error, "Could not read L1 table");
        return NULL;
    }
    for (uint32_t i = 0; i < entries; i++)
        table[i] = be64toh(table[i]);
    return g_steal_pointer(&table);
}

/* The end of what has counts: of the file, or of the last block that counts something beyond. */
static bool high_water_find(struct qcow2 *s, GError **error)
{
    s->high_water = qcow2_clusters(s, block_length(s->node->file));
    s->free_hint = 1;
    for (uint32_t i = s->reftable_entries; i-- > 0;) {
        uint64_t first = (uint64_t)i << s->refblock_bits, count;
        if (first + s->refblock_entries <= s->high_water)
            break;
        if (!(s->reftable[i] & QCOW2_REFTABLE_MASK))
            continue;
        for (uint64_t at = s->refblock_entries; at-- > 0;) {
            if (first + at < s->high_water)
                break;
            int result = qcow2_refcount_get(s, first + at, &count);
            if (result) {
                errno = -result;
                return fail_errno(error, "Could not read a refcount block");
            }
            if (count) {
                s->high_water = first + at + 1;
                return true;
            }
        }
    }
    return true;
}

static bool tables_open(struct qcow2 *s, const struct cache_sizes *sizes, GError **error)
{
    uint64_t l2_bytes = s->header.size / s->cluster_size * s->l2_entry_size + s->slice_size;
    uint64_t wanted = MIN(sizes->l2, l2_bytes * 2);

    s->l2_cache =
        cache_new(s->node->file, s->slice_size, MAX(wanted / s->slice_size, 64), make_room, s);
    s->refcount_cache =
        cache_new(s->node->file, s->slice_size, sizes->refcount / s->slice_size, make_room, s);
    s->l1 = qcow2_l1_read(s, s->header.l1_offset, s->header.l1_size, error);
    s->l1_dirty_first = UINT32_MAX;
    s->l1_dirty_end = 0;
    if (!s->l1 || !reftable_read(s, error))
        return false;
    if (s->node->read_only)
        return true;
    if (!high_water_find(s, error))
        return false;
    /* They would be written there, and make the file as large as that. */
    uint64_t end = s->high_water << s->header.cluster_bits;
    if ((s->header.l1_size && s->header.l1_offset >= end) || s->header.reftable_offset >= end)
        return fail(error, "The image's tables lie beyond the end of the file");
    return true;
}

bool qcow2_reload(struct qcow2 *s, GError **error)
{
    cache_forget(s->l2_cache, 0, INT64_MAX);
    cache_forget(s->refcount_cache, 0, INT64_MAX);
    g_free(s->l1);
    s->l1 = qcow2_l1_read(s, s->header.l1_offset, s->header.l1_size, error);
    s->l1_dirty_first = UINT32_MAX;
    s->l1_dirty_end = 0;
    s->packed_offset = 0;
    return s->l1 && reftable_read(s, error) && high_water_find(s, error);
}

/* ---- Opening ---- */

static bool data_file_open(struct qcow2 *s, json_t *options, GError **error)
{
    struct block_node *node = s->node;
    bool has = s->header.incompatible & QCOW2_DATA_FILE;

    s->data = node->file;
    if (!has) {
        if (options_has(options, "data-file"))
            return fail(error, "'data-file' can only be set for images with an external data file");
        return true;
    }
    if (node->flags & BLOCK_OPEN_NO_IO)
        return true;
    bool opened;
    if (options_has(options, "data-file")) {
        opened = block_open_child(node, options, "data-file", BLOCK_ROLE_DATA, false, error);
    } else {
        if (!s->data_name)
            return fail(error, "'data-file' is required for this image");
        g_autofree char *path = block_path_combine(node->file->filename, s->data_name, error);
        opened = path && block_open_child_named(node, path, "data-file", BLOCK_ROLE_DATA, error);
    }
    if (!opened)
        return false;
    s->data = block_child_node(node, "data-file");
    s->external_raw = s->header.autoclear & QCOW2_DATA_FILE_RAW;
    return true;
}

static void qcow2_free(struct qcow2 *s)
{
    cache_free(s->l2_cache);
    cache_free(s->refcount_cache);
    g_free(s->l1);
    g_free(s->reftable);
    g_free(s->backing_name);
    g_free(s->backing_format);
    g_free(s->data_name);
    for (unsigned i = 0; i < s->extension_count; i++)
        g_free(s->extensions[i].data);
    g_free(s->extensions);
    qcow2_snapshots_free(s);
    for (unsigned i = 0; i < 2; i++) {
        if (s->released[i])
            g_array_free(s->released[i], TRUE);
        block_guard_destroy(&s->guards[i]);
    }
    qcow2_crypto_close(s);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->claims_changed);
}

/* An image that was not closed, or has a corruption on record. */
static bool state_check(struct qcow2 *s, GError **error)
{
    struct block_node *node = s->node;

    if (node->flags & (BLOCK_OPEN_CHECK | BLOCK_OPEN_NO_IO))
        return true;
    if ((s->header.incompatible & QCOW2_CORRUPT) && !node->read_only)
        return fail(error, "qcow2: Image is corrupt; cannot be opened read/write");
    if (!s->header.reftable_clusters && !node->read_only)
        return fail(error, "Image does not contain a reference count table");
    if (!(s->header.incompatible & QCOW2_DIRTY) || node->read_only)
        return true;
    struct block_check check = { .fix_leaks = true, .fix_errors = true };
    if (!qcow2_check(node, &check, error))
        return fail_prefix(error, "Could not repair dirty image: ");
    return true;
}

static bool open_all(struct qcow2 *s, json_t *options, GError **error)
{
    struct block_node *node = s->node;
    struct cache_sizes sizes;

    if (!qcow2_header_read(s, error) || !qcow2_extensions_read(s, error)
        || !options_read(s, options, &sizes, error) || !data_file_open(s, options, error)
        || !qcow2_crypto_open(s, options, error))
        return false;
    atomic_store(&node->length, s->header.size);
    node->cluster_size = s->cluster_size;
    if (!tables_open(s, &sizes, error) || !qcow2_snapshots_read(s, error))
        return false;
    /* A bitmap that does not know of a write would make a backup leave it out. */
    if (s->bitmap_count && !node->read_only && !(node->flags & BLOCK_OPEN_CHECK))
        return fail(error,
                    "The image has %" PRIu32 " persistent bitmaps, which cannot be kept up to "
                    "date; it can be opened read-only",
                    s->bitmap_count);
    if (!node->read_only && !(node->flags & (BLOCK_OPEN_CHECK | BLOCK_OPEN_INACTIVE))) {
        /* Features that a writer must understand or clear. */
        uint64_t known = QCOW2_BITMAPS | QCOW2_DATA_FILE_RAW;
        if (s->header.autoclear & ~known) {
            s->header.autoclear &= known;
            if (!qcow2_header_write(s, error))
                return false;
        }
    }
    return state_check(s, error);
}

static bool qcow2_open(struct block_node *node, json_t *options, GError **error)
{
    struct qcow2 *s = node->state;

    if (!block_open_file(node, options, error))
        return false;
    s->node = node;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->claims_changed, NULL);
    for (unsigned i = 0; i < 2; i++) {
        s->released[i] = g_array_new(FALSE, FALSE, sizeof(struct qcow2_range));
        block_guard_init(&s->guards[i]);
    }
    if (open_all(s, options, error))
        return true;
    qcow2_free(s);
    return false;
}

static void qcow2_close(struct block_node *node)
{
    struct qcow2 *s = node->state;

    if (!node->read_only && s->dirty_set) {
        /* All is written back: the image is as good as one without lazy refcounts. */
        s->dirty_set = false;
        if (!qcow2_settle(s) && !block_flush(node->file)) {
            s->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
            qcow2_header_write(s, NULL);
        }
    }
    qcow2_free(s);
}

static bool qcow2_is_dirty(struct block_node *node)
{
    struct qcow2 *s = node->state;
    return s->header.incompatible & QCOW2_DIRTY;
}

/* ---- Backing file ---- */

static char *qcow2_backing_name(struct block_node *node, char **format)
{
    struct qcow2 *s = node->state;
    *format = g_strdup(s->backing_format);
    return g_strdup(s->backing_name);
}

static bool qcow2_set_backing(struct block_node *node, const char *name, const char *format,
                              GError **error)
{
    struct qcow2 *s = node->state;
    char *old_name = s->backing_name, *old_format = s->backing_format;

    if (name && strlen(name) > QCOW2_BACKING_NAME_MAX)
        return fail(error, "Backing file name too long");
    if (format && strlen(format) >= 16)
        return fail(error, "Backing format name '%s' is too long", format);
    s->backing_name = name && *name ? g_strdup(name) : NULL;
    s->backing_format = s->backing_name && format ? g_strdup(format) : NULL;
    if (qcow2_header_write(s, error)) {
        g_free(old_name);
        g_free(old_format);
        return true;
    }
    g_free(s->backing_name);
    g_free(s->backing_format);
    s->backing_name = old_name;
    s->backing_format = old_format;
    return false;
}

BLOCK_DRIVER(qcow2) = {
    .name = "qcow2",
    .supports_backing = true,
    .compressible = true,
    .state_size = sizeof(struct qcow2),
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .lookup = qcow2_lookup,
    .read = qcow2_read,
    .write = qcow2_write,
    .write_zeroes = qcow2_write_zeroes,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .status = qcow2_status,
    .truncate = qcow2_truncate,
    .create_options = qcow2_create_options,
    .create = qcow2_create,
    .measure = qcow2_measure,
    .amend = qcow2_amend,
    .check = qcow2_check,
    .is_dirty = qcow2_is_dirty,
    .specific_info = qcow2_specific_info,
    .backing_name = qcow2_backing_name,
    .set_backing = qcow2_set_backing,
    .make_empty = qcow2_make_empty,
    .snapshots = &qcow2_snapshot_ops,
};

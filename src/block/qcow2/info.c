/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `qemu-img info` tells, and what `qemu-img amend` changes. */
#include "block/qcow2/qcow2.h"

json_t *qcow2_specific_info(struct block_node *node)
{
    struct qcow2 *s = node->state;
    uint64_t incompatible = s->header.incompatible;
    json_t *data = json_object();

    json_object_set_new(data, "compat", json_string(s->header.version < 3 ? "0.10" : "1.1"));
    json_object_set_new(data, "compression-type",
                        json_string(s->header.compression ? "zstd" : "zlib"));
    if (s->header.version >= 3) {
        json_object_set_new(data, "lazy-refcounts",
                            json_boolean(s->header.compatible & QCOW2_LAZY_REFCOUNTS));
        json_object_set_new(data, "corrupt", json_boolean(incompatible & QCOW2_CORRUPT));
        json_object_set_new(data, "extended-l2", json_boolean(incompatible & QCOW2_EXTENDED_L2));
    }
    json_object_set_new(data, "refcount-bits", json_integer(s->refcount_bits));
    if (incompatible & QCOW2_DATA_FILE) {
        if (s->data_name)
            json_object_set_new(data, "data-file", json_string(s->data_name));
        json_object_set_new(data, "data-file-raw",
                            json_boolean(s->header.autoclear & QCOW2_DATA_FILE_RAW));
    }
    json_t *encrypt = qcow2_crypto_info(s);
    if (encrypt)
        json_object_set_new(data, "encrypt", encrypt);
    return json_pack("{s:s, s:o}", "type", "qcow2", "data", data);
}

static bool refcount_width_change(struct qcow2 *s, unsigned order, GError **error)
{
    struct qcow2_tables tables = { 0 };
    struct qcow2_header header = s->header;
    struct qcow2_header old = s->header;

    pthread_mutex_lock(&s->lock);
    int result = qcow2_settle_all(s);
    errno = -result;
    bool good = !result || fail_errno(error, "Could not write the image's tables");
    good = good && qcow2_tables_load(s, &tables, error);
    uint64_t max = order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
    for (uint64_t i = 0; good && i < tables.clusters; i++) {
        if (tables.refcounts[i] > max)
            good = fail(error,
                        "Cannot decrease refcount entry width to %u bits: Cluster at offset "
                        "%#" PRIx64 " has a refcount of %u",
                        1u << order, i << s->header.cluster_bits, tables.refcounts[i]);
    }
    if (good) {
        header.refcount_order = order;
        /* The old blocks leave the counts while their geometry is still known. */
        qcow2_tables_drop_old(s, &tables);
        s->header.refcount_order = order;
        qcow2_geometry_set(s);
        good = qcow2_tables_commit(s, &tables, &header, error);
        if (!good) {
            s->header.refcount_order = old.refcount_order;
            qcow2_geometry_set(s);
        }
    }
    qcow2_tables_free(&tables);
    pthread_mutex_unlock(&s->lock);
    return good;
}

static bool upgrade(struct qcow2 *s, GError **error)
{
    s->header.version = 3;
    return qcow2_header_write(s, error);
}

/* Version 2 knows no features, no zero clusters, and refcounts of 16 bits only. */
static bool downgrade(struct qcow2 *s, GError **error)
{
    if (s->header.version == 2)
        return true;
    if (s->refcount_bits != 16)
        return fail(error, "compat=0.10 requires refcount_bits=16");
    if (s->header.incompatible & QCOW2_EXTENDED_L2)
        return fail(error, "Cannot downgrade an image with incompatible features set");
    if (s->header.incompatible & ~(uint64_t)QCOW2_DIRTY)
        return fail(error, "Cannot downgrade an image with incompatible features set");
    if (s->bitmap_count)
        return fail(error, "Cannot downgrade an image with persistent bitmaps");
    if (s->header.crypt_method == QCOW2_CRYPT_LUKS)
        return fail(error, "Cannot downgrade an image encrypted with LUKS");
    for (uint32_t i = 0; i < s->header.snapshot_count; i++) {
        if (s->snapshots[i].public.disk_size != s->header.size
            || s->snapshots[i].public.vm_state_size)
            return fail(error, "Internal snapshots prevent downgrade of image");
    }
    /* Zero clusters have to become written ones: the slow way through the disk itself. */
    uint64_t size = block_length(s->node);
    g_autofree uint8_t *zeroes = g_malloc0(s->cluster_size);
    for (uint64_t offset = 0; offset < size;) {
        struct qcow2_map map;
        pthread_mutex_lock(&s->lock);
        int result = qcow2_map(s, offset, size - offset, false, &map);
        pthread_mutex_unlock(&s->lock);
        bool zero = map.kind == QCOW2_ZEROES || map.kind == QCOW2_ZEROES_ALLOCATED;
        if (!result && zero) {
            map.bytes = MIN(map.bytes, s->cluster_size);
            result = s->node->backing ? block_pwrite(s->node, offset, zeroes, map.bytes, 0)
                                      : qcow2_discard_clusters(s, offset, s->cluster_size, true);
        }
        errno = -result;
        if (result)
            return fail_errno(error, "Failed to turn zero into data clusters");
        offset += map.bytes;
    }
    int result = qcow2_flush(s->node);
    if (result) {
        errno = -result;
        return fail_errno(error, "Could not write the image's tables");
    }
    s->header.compatible = s->header.autoclear = s->header.incompatible = 0;
    s->lazy_refcounts = s->dirty_set = false;
    s->header.version = 2;
    return qcow2_header_write(s, error);
}

bool qcow2_amend(struct block_node *node, json_t *options, bool force, GError **error)
{
    struct qcow2 *s = node->state;
    uint64_t size = UINT64_MAX, bits = s->refcount_bits;
    bool lazy = s->header.compatible & QCOW2_LAZY_REFCOUNTS, old_lazy = lazy;
    bool raw = s->header.autoclear & QCOW2_DATA_FILE_RAW, old_raw = raw;
    g_autofree char *compat = options_take_string(options, "compat");
    bool has_backing = options_has(options, "backing_file") || options_has(options, "backing_fmt");
    g_autofree char *backing = options_take_string(options, "backing_file");
    g_autofree char *format = options_take_string(options, "backing_fmt");
    bool has_data = options_has(options, "data_file");
    g_autofree char *data_file = options_take_string(options, "data_file");

    if (!options_take_size(options, "size", &size, error)
        || !options_take_number(options, "refcount_bits", UINT64_MAX, &bits, error)
        || !options_take_bool(options, "lazy_refcounts", &lazy, error)
        || !options_take_bool(options, "data_file_raw", &raw, error))
        return false;
    bool v3 = compat && (!strcmp(compat, "1.1") || !strcmp(compat, "v3"));
    bool v2 = compat && (!strcmp(compat, "0.10") || !strcmp(compat, "v2"));
    if (compat && !v2 && !v3)
        return fail(error, "Unknown compatibility level %s", compat);
    if (v3 && s->header.version < 3 && !upgrade(s, error))
        return false;
    if (bits != s->refcount_bits) {
        if (bits > 64 || !bits || (bits & (bits - 1)))
            return fail(error, "Refcount width must be a power of two and may not exceed 64 bits");
        if (s->header.version < 3 || v2)
            return fail(error, "Refcount widths other than 16 bits require compatibility level 1.1 "
                               "or above (use compat=1.1 or greater)");
        if (!refcount_width_change(s, g_bit_storage(bits) - 1, error))
            return false;
    }
    if (raw && !old_raw)
        return fail(error, "data-file-raw cannot be set on existing images");
    if (lazy != old_lazy) {
        if (lazy && (s->header.version < 3 || v2))
            return fail(error,
                        "Lazy refcounts only supported with compatibility level 1.1 and above "
                        "(use compat=1.1 or greater)");
        s->header.compatible ^= QCOW2_LAZY_REFCOUNTS;
        s->lazy_refcounts = lazy;
        if (!qcow2_header_write(s, error))
            return false;
    }
    if (raw != old_raw || has_data) {
        if (has_data && !(s->header.incompatible & QCOW2_DATA_FILE))
            return fail(error,
                        "data-file can only be set for images that use an external data file");
        if (has_data) {
            g_free(s->data_name);
            s->data_name = *data_file ? g_strdup(data_file) : NULL;
        }
        s->header.autoclear =
            raw ? s->header.autoclear : s->header.autoclear & ~(uint64_t)QCOW2_DATA_FILE_RAW;
        if (!qcow2_header_write(s, error))
            return false;
    }
    if (has_backing
        && !node->driver->set_backing(node, backing ? backing : s->backing_name,
                                      format ? format : s->backing_format, error))
        return false;
    if (size != UINT64_MAX && !block_truncate(node, size, BLOCK_PREALLOC_OFF, error))
        return false;
    return !v2 || downgrade(s, error);
}

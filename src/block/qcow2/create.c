/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creating images, and telling how large one would be. */
#include "block/qcow2/qcow2.h"

#include "util/keyval.h"

const struct block_create_option qcow2_create_options[] = {
    { "encryption", BLOCK_OPTION_BOOL, NULL,
      "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
    { "encrypt.format", BLOCK_OPTION_STRING, NULL,
      "Encrypt the image, format choices: 'aes', 'luks'" },
    { "encrypt.key-secret", BLOCK_OPTION_STRING, NULL,
      "ID of secret providing qcow AES key or LUKS passphrase" },
    { "encrypt.cipher-alg", BLOCK_OPTION_STRING, NULL, "Name of encryption cipher algorithm" },
    { "encrypt.cipher-mode", BLOCK_OPTION_STRING, NULL, "Name of encryption cipher mode" },
    { "encrypt.ivgen-alg", BLOCK_OPTION_STRING, NULL, "Name of IV generator algorithm" },
    { "encrypt.ivgen-hash-alg", BLOCK_OPTION_STRING, NULL, "Name of IV generator hash algorithm" },
    { "encrypt.hash-alg", BLOCK_OPTION_STRING, NULL, "Name of encryption hash algorithm" },
    { "encrypt.iter-time", BLOCK_OPTION_NUMBER, NULL, "Time to spend in PBKDF in milliseconds" },
    { "cluster_size", BLOCK_OPTION_SIZE, "65536", "qcow2 cluster size" },
    { "extended_l2", BLOCK_OPTION_BOOL, "off", "Extended L2 tables" },
    { "preallocation", BLOCK_OPTION_STRING, NULL,
      "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { "compression_type", BLOCK_OPTION_STRING, "zlib",
      "Compression method used for image cluster compression" },
    { "size", BLOCK_OPTION_SIZE, NULL, "Virtual disk size", .amend = true },
    { "compat", BLOCK_OPTION_STRING, NULL, "Compatibility level (v2 [0.10] or v3 [1.1])",
      .amend = true },
    { "backing_file", BLOCK_OPTION_STRING, NULL, "File name of a base image", .amend = true },
    { "backing_fmt", BLOCK_OPTION_STRING, NULL, "Image format of the base image", .amend = true },
    { "data_file", BLOCK_OPTION_STRING, NULL, "File name of an external data file", .amend = true },
    { "data_file_raw", BLOCK_OPTION_BOOL, NULL,
      "The external data file must stay valid as a raw image", .amend = true },
    { "lazy_refcounts", BLOCK_OPTION_BOOL, "off", "Postpone refcount updates", .amend = true },
    { "refcount_bits", BLOCK_OPTION_NUMBER, "16", "Width of a reference count entry in bits",
      .amend = true },
    {},
};

struct wishes {
    uint64_t cluster_size, refcount_bits;
    bool extended_l2, lazy_refcounts, data_file_raw;
    int compression, preallocation;
    char *compat, *backing_file, *backing_format, *data_file;
    json_t *encrypt;
    bool encryption;
};

static void wishes_clear(struct wishes *wishes)
{
    g_free(wishes->compat);
    g_free(wishes->backing_file);
    g_free(wishes->backing_format);
    g_free(wishes->data_file);
    json_decref(wishes->encrypt);
}

static bool power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

static bool wishes_read(json_t *options, struct wishes *w, GError **error)
{
    static const char *const compression_words[] = { "zlib", "zstd", NULL };

    *w = (struct wishes){ .cluster_size = 65536, .refcount_bits = 16 };
    w->compat = options_take_string(options, "compat");
    w->backing_file = options_take_string(options, "backing_file");
    w->backing_format = options_take_string(options, "backing_fmt");
    w->data_file = options_take_string(options, "data_file");
    w->encrypt = options_take_object(options, "encrypt");
    if (!options_take_size(options, "cluster_size", &w->cluster_size, error)
        || !options_take_number(options, "refcount_bits", UINT64_MAX, &w->refcount_bits, error)
        || !options_take_bool(options, "extended_l2", &w->extended_l2, error)
        || !options_take_bool(options, "lazy_refcounts", &w->lazy_refcounts, error)
        || !options_take_bool(options, "data_file_raw", &w->data_file_raw, error)
        || !options_take_bool(options, "encryption", &w->encryption, error)
        || !options_take_enum(options, "compression_type", compression_words, &w->compression,
                              error)
        || !options_take_enum(options, "preallocation", block_preallocation_names,
                              &w->preallocation, error))
        return false;
    return true;
}

static bool wishes_check(const struct wishes *w, uint64_t size, GError **error)
{
    bool v2 = !g_strcmp0(w->compat, "0.10") || !g_strcmp0(w->compat, "v2");

    if (w->compat && !v2 && strcmp(w->compat, "1.1") && strcmp(w->compat, "v3"))
        return fail(error, "Parameter 'version' does not accept value '%s'", w->compat);
    if (w->cluster_size < 1 << QCOW2_CLUSTER_BITS_MIN
        || w->cluster_size > 1 << QCOW2_CLUSTER_BITS_MAX || !power_of_two(w->cluster_size))
        return fail(error, "Cluster size must be a power of two between 512 and 2048k");
    if (w->extended_l2 && v2)
        return fail(error,
                    "Extended L2 entries are only supported with compatibility level 1.1 and "
                    "above (use version=v3 or greater)");
    if (w->extended_l2 && w->cluster_size < 16384)
        return fail(error, "Extended L2 entries are only supported with cluster sizes of at least "
                           "16384 bytes");
    if (w->refcount_bits > 64 || !power_of_two(w->refcount_bits))
        return fail(error, "Refcount width must be a power of two and may not exceed 64 bits");
    if (v2 && w->refcount_bits != 16)
        return fail(error, "Different refcount widths than 16 bits require compatibility level 1.1 "
                           "or above (use version=v3 or greater)");
    if (v2 && w->lazy_refcounts)
        return fail(error, "Lazy refcounts only supported with compatibility level 1.1 and above "
                           "(use version=v3 or greater)");
    if (v2 && w->compression)
        return fail(error,
                    "Non-zlib compression type is only supported with compatibility level 1.1 "
                    "and above (use version=v3 or greater)");
    if (v2 && w->data_file)
        return fail(error,
                    "External data files are only supported with compatibility level 1.1 and "
                    "above (use version=v3 or greater)");
    if (w->data_file_raw && !w->data_file)
        return fail(error, "data-file-raw requires data-file");
    if (w->data_file_raw && w->backing_file)
        return fail(error, "Backing file and data-file-raw cannot be used at the same time");
    if (w->backing_file && w->preallocation && !w->extended_l2)
        return fail(error, "Backing file and preallocation can only be used at the same time if "
                           "extended_l2 is enabled");
    if (w->data_file && (w->encrypt || w->encryption))
        return fail(error, "Encryption of images with an external data file is not supported");
    if (size & 511)
        return fail(error, "Image size must be a multiple of 512 bytes");
    uint64_t span = w->cluster_size * (w->cluster_size / (w->extended_l2 ? 16 : 8));
    if (size / span + !!(size % span) > QCOW2_L1_BYTES_MAX / 8)
        return fail(error,
                    "Image size is too large for clusters of %" PRIu64 " bytes; use larger "
                    "clusters",
                    w->cluster_size);
    return true;
}

/* The smallest image: header, refcount table and one refcount block, in this order. */
static bool write_empty(struct block_node *file, const struct wishes *w, GError **error)
{
    bool v2 = !g_strcmp0(w->compat, "0.10") || !g_strcmp0(w->compat, "v2");
    struct block_node pretended = { .file = file };
    struct qcow2 s = { .node = &pretended,
                       .data = file,
                       .backing_name = w->backing_file,
                       .backing_format = w->backing_format,
                       .data_name = w->data_file };

    s.header = (struct qcow2_header){
        .version = v2 ? 2 : 3,
        .cluster_bits = g_bit_storage(w->cluster_size) - 1,
        .reftable_offset = w->cluster_size,
        .reftable_clusters = 1,
        .refcount_order = g_bit_storage(w->refcount_bits) - 1,
        .compression = w->compression,
        .incompatible = (w->compression ? QCOW2_COMPRESSION : 0)
                        | (w->extended_l2 ? QCOW2_EXTENDED_L2 : 0)
                        | (w->data_file ? QCOW2_DATA_FILE : 0),
        .compatible = w->lazy_refcounts ? QCOW2_LAZY_REFCOUNTS : 0,
        .autoclear = w->data_file_raw ? QCOW2_DATA_FILE_RAW : 0,
    };
    qcow2_geometry_set(&s);
    g_autofree uint8_t *tables = g_malloc0(2 * w->cluster_size);
    *(uint64_t *)tables = htobe64(2 * w->cluster_size);
    for (unsigned i = 0; i < 3; i++)
        qcow2_refcount_store(tables + w->cluster_size, s.header.refcount_order, i, 1);
    int result = block_pwrite(file, w->cluster_size, tables, 2 * w->cluster_size, 0);
    errno = -result;
    if (result)
        return fail_errno(error, "Could not write the image's first tables");
    return qcow2_header_write(&s, error);
}

static bool create_data_file(struct block_create *create, const struct wishes *w, GError **error)
{
    if (!w->data_file)
        return true;
    g_autofree char *path = block_path_combine(create->filename, w->data_file, error);
    if (!path)
        return false;
    auto_json *options = json_object();
    struct block_create data = { .filename = path, .options = options };
    auto_block *node = block_create_storage(&data, 0, error);
    return node;
}

/* The size and what is allocated ahead, through the driver itself. */
static bool finish(struct block_create *create, const struct wishes *w, GError **error)
{
    auto_json *options = json_object();
    unsigned flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_NO_BACKING;

    if (w->encrypt && options_has(w->encrypt, "key-secret")) {
        g_autofree char *secret = options_peek_string(w->encrypt, "key-secret");
        g_autofree char *format = options_peek_string(w->encrypt, "format");
        auto_json *encrypt = json_object();
        options_set(encrypt, "format", format ? format : "aes");
        options_set(encrypt, "key-secret", secret);
        json_object_set(options, "encrypt", encrypt);
    }
    auto_block *node = block_open(create->filename, "qcow2", options, flags, error);
    if (!node || !block_truncate(node, create->size, w->preallocation, error))
        return false;
    int result = block_flush(node);
    errno = -result;
    return !result || fail_errno(error, "Could not write the image's tables");
}

bool qcow2_create(struct block_create *create, GError **error)
{
    __attribute__((cleanup(wishes_clear))) struct wishes w = { 0 };

    create->size = (create->size + 511) & ~511ull;
    if (!wishes_read(create->options, &w, error) || !wishes_check(&w, create->size, error))
        return false;
    auto_block *file = block_create_storage(create, 0, error);
    if (!file || !create_data_file(create, &w, error) || !write_empty(file, &w, error))
        return false;
    if ((w.encrypt || w.encryption) && !qcow2_crypto_create(file, w.encrypt, error))
        return false;
    block_unref(g_steal_pointer(&file));
    return finish(create, &w, error);
}

/* ---- Measuring ---- */

/* Clusters that refcounts for `clusters` others need, with their own. */
static uint64_t refcount_clusters(uint64_t clusters, uint64_t cluster_size, unsigned order)
{
    uint64_t per_block = cluster_size * 8 >> order, blocks = 0, tables = 0, old = UINT64_MAX;
    while (old != blocks + tables) {
        old = blocks + tables;
        blocks = (clusters + old + per_block - 1) / per_block;
        tables = (blocks * 8 + cluster_size - 1) / cluster_size;
    }
    return blocks + tables;
}

static uint64_t whole_size(const struct wishes *w, uint64_t size, uint64_t data_clusters)
{
    uint64_t cluster = w->cluster_size, clusters = (size + cluster - 1) / cluster;
    uint64_t per_table = cluster / (w->extended_l2 ? 16 : 8);
    uint64_t l2 = (clusters + per_table - 1) / per_table;
    uint64_t l1 = (l2 * 8 + cluster - 1) / cluster;
    uint64_t used = 1 + l1 + l2;
    unsigned order = g_bit_storage(w->refcount_bits) - 1;
    return (used + clusters + refcount_clusters(used + clusters, cluster, order)
            - (clusters - data_clusters))
           * cluster;
}

static bool count_data(struct block_node *source, uint64_t cluster, uint64_t *clusters,
                       GError **error)
{
    uint64_t size = block_length(source), last = UINT64_MAX;

    *clusters = 0;
    for (uint64_t offset = 0; offset < size;) {
        struct block_status status;
        int result =
            block_status_above(source, NULL, offset, MIN(size - offset, 1u << 30), &status);
        errno = -result;
        if (result)
            return fail_errno(error, "Unable to get block status");
        if ((status.flags & BLOCK_STATUS_DATA) && !(status.flags & BLOCK_STATUS_ZERO)) {
            uint64_t first = offset / cluster, end = (offset + status.length - 1) / cluster;
            *clusters += end - first + 1 - (first == last);
            last = end;
        }
        offset += status.length;
    }
    return true;
}

bool qcow2_measure(json_t *options, uint64_t size, struct block_node *source,
                   struct block_measure *measure, GError **error)
{
    __attribute__((cleanup(wishes_clear))) struct wishes w = { 0 };
    uint64_t clusters = 0;

    if (!wishes_read(options, &w, error))
        return false;
    size = (size + 511) & ~511ull;
    if (!wishes_check(&w, size, error))
        return false;
    if (source && !count_data(source, w.cluster_size, &clusters, error))
        return false;
    uint64_t all = (size + w.cluster_size - 1) / w.cluster_size;
    if (w.preallocation == BLOCK_PREALLOC_FULL || w.preallocation == BLOCK_PREALLOC_FALLOC)
        clusters = all;
    measure->fully_allocated = whole_size(&w, size, all);
    measure->required = whole_size(&w, size, clusters);
    return true;
}

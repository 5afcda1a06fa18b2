/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header and its extensions. (Specification: "Header", "Header extensions".) */
#include <stdarg.h>
#include <stdio.h>

#include "block/qcow2/qcow2.h"

enum {
    EXTENSION_END = 0,
    EXTENSION_BACKING_FORMAT = 0xe2792aca,
    EXTENSION_FEATURE_NAMES = 0x6803f857,
    EXTENSION_BITMAPS = 0x23852875,
    EXTENSION_CRYPTO = 0x0537be77,
    EXTENSION_DATA_FILE = 0x44415441,
};

/* The table of names that old readers print for features they do not know. */
static const struct {
    uint8_t kind, bit; /* kind 0: incompatible, 1: compatible, 2: autoclear */
    const char *name;
} feature_names[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return be64toh(value);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, 8);
}

void qcow2_geometry_set(struct qcow2 *s)
{
    bool extended = s->header.incompatible & QCOW2_EXTENDED_L2;
    s->cluster_size = 1u << s->header.cluster_bits;
    s->units = extended ? QCOW2_SUBCLUSTERS : 1;
    s->unit_bits = s->header.cluster_bits - (extended ? 5 : 0);
    s->unit_size = 1u << s->unit_bits;
    s->l2_entry_size = extended ? 16 : 8;
    s->l2_bits = s->header.cluster_bits - (extended ? 4 : 3);
    s->l2_entries = 1u << s->l2_bits;
    s->slice_size = MIN(s->cluster_size, 4096);
    s->slice_entries = s->slice_size / s->l2_entry_size;
    s->refcount_bits = 1u << s->header.refcount_order;
    s->refcount_max = s->refcount_bits == 64 ? INT64_MAX : (1ull << s->refcount_bits) - 1;
    s->refblock_bits = s->header.cluster_bits + 3 - s->header.refcount_order;
    s->refblock_entries = 1u << s->refblock_bits;
}

static bool unknown_features(struct qcow2 *s, GError **error)
{
    uint64_t unknown = s->header.incompatible & ~(uint64_t)QCOW2_INCOMPATIBLE_KNOWN;
    return fail(error, "Unsupported qcow2 feature(s): Unknown incompatible feature: %" PRIx64,
                unknown);
}

static bool table_inside(uint64_t offset, uint64_t bytes, uint64_t limit, uint32_t cluster_size)
{
    return bytes <= limit && !(offset & (cluster_size - 1)) && offset <= INT64_MAX - bytes;
}

static bool header_check(struct qcow2 *s, GError **error)
{
    struct qcow2_header *h = &s->header;

    if (h->incompatible & ~(uint64_t)QCOW2_INCOMPATIBLE_KNOWN)
        return unknown_features(s, error);
    if (h->length > s->cluster_size)
        return fail(error, "qcow2 header exceeds cluster size");
    if (h->backing_offset && (h->backing_offset > s->cluster_size || h->backing_offset < h->length))
        return fail(error, "Invalid backing file offset");
    if (h->backing_offset
        && h->backing_size > MIN(QCOW2_BACKING_NAME_MAX, s->cluster_size - h->backing_offset))
        return fail(error, "Backing file name too long");
    if (h->refcount_order > 6)
        return fail(error, "Reference count entry width too large; may not exceed 64 bits");
    if (h->crypt_method > QCOW2_CRYPT_LUKS)
        return fail(error, "Unsupported encryption method %" PRIu32, h->crypt_method);
    if (h->compression > QCOW2_ZSTD)
        return fail(error, "qcow2: unknown compression type: %u", h->compression);
    if (!!(h->incompatible & QCOW2_COMPRESSION) != (h->compression != QCOW2_ZLIB))
        return fail(error,
                    h->compression
                        ? "qcow2: Compression type incompatible feature bit must be set"
                        : "qcow2: Compression type incompatible feature bit must not be set");
    if ((h->incompatible & QCOW2_EXTENDED_L2) && h->cluster_bits < 14)
        return fail(error, "Extended L2 entries are only supported with cluster sizes of at least "
                           "16384 bytes");
    if (h->size > INT64_MAX)
        return fail(error, "Image is too big");
    if (!table_inside(h->reftable_offset, (uint64_t)h->reftable_clusters << h->cluster_bits,
                      QCOW2_REFTABLE_BYTES_MAX, s->cluster_size))
        return fail(error,
                    (uint64_t)h->reftable_clusters << h->cluster_bits > QCOW2_REFTABLE_BYTES_MAX
                        ? "Reference count table too large"
                        : "Reference count table offset invalid");
    if (h->snapshot_count > QCOW2_SNAPSHOTS_MAX)
        return fail(error, "Snapshot table too large");
    if (!table_inside(h->snapshots_offset, 0, 0, s->cluster_size))
        return fail(error, "Snapshot table offset invalid");
    if (h->l1_size > QCOW2_L1_BYTES_MAX / 8)
        return fail(error, "Active L1 table too large");
    if (!table_inside(h->l1_offset, (uint64_t)h->l1_size * 8, QCOW2_L1_BYTES_MAX, s->cluster_size))
        return fail(error, "Active L1 table offset invalid");
    unsigned shift = h->cluster_bits + s->l2_bits;
    uint64_t needed = (h->size >> shift) + !!(h->size & ((1ull << shift) - 1));
    if (needed > QCOW2_L1_BYTES_MAX / 8)
        return fail(error, "Image is too big");
    if (h->l1_size < needed)
        return fail(error, "L1 table is too small");
    return true;
}

bool qcow2_header_read(struct qcow2 *s, GError **error)
{
    uint8_t raw[QCOW2_HEADER_NEW] = { 0 };
    struct qcow2_header *h = &s->header;
    int result = block_pread(s->node->file, 0, raw, sizeof(raw));

    if (result) {
        errno = -result;
        return fail_errno(error, "Could not read qcow2 header");
    }
    if (get32(raw) != QCOW2_MAGIC)
        return fail(error, "Image is not in qcow2 format");
    *h = (struct qcow2_header){
        .version = get32(raw + 4),
        .backing_offset = get64(raw + 8),
        .backing_size = get32(raw + 16),
        .cluster_bits = get32(raw + 20),
        .size = get64(raw + 24),
        .crypt_method = get32(raw + 32),
        .l1_size = get32(raw + 36),
        .l1_offset = get64(raw + 40),
        .reftable_offset = get64(raw + 48),
        .reftable_clusters = get32(raw + 56),
        .snapshot_count = get32(raw + 60),
        .snapshots_offset = get64(raw + 64),
        .refcount_order = 4,
        .length = QCOW2_HEADER_V2,
    };
    if (h->version < 2 || h->version > 3)
        return fail(error, "Unsupported qcow2 version %" PRIu32, h->version);
    if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN || h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return fail(error, "Unsupported cluster size: 2^%" PRIu32, h->cluster_bits);
    if (h->version == 3) {
        h->incompatible = get64(raw + 72);
        h->compatible = get64(raw + 80);
        h->autoclear = get64(raw + 88);
        h->refcount_order = get32(raw + 96);
        h->length = get32(raw + 100);
        if (h->length < QCOW2_HEADER_V3)
            return fail(error, "qcow2 header too short");
        h->compression = h->length > QCOW2_HEADER_V3 ? raw[104] : QCOW2_ZLIB;
    }
    qcow2_geometry_set(s);
    return header_check(s, error);
}

static char *text_take(const uint8_t *data, uint32_t length)
{
    return g_strndup((const char *)data, length);
}

static bool extension_read(struct qcow2 *s, uint32_t type, uint32_t length, const uint8_t *data,
                           GError **error)
{
    switch (type) {
    case EXTENSION_BACKING_FORMAT:
        if (length >= 16)
            return fail(error, "ERROR: ext_backing_format: len=%" PRIu32 " too large (>=16)",
                        length);
        g_free(s->backing_format);
        s->backing_format = text_take(data, length);
        return true;
    case EXTENSION_FEATURE_NAMES:
        return true; /* written anew */
    case EXTENSION_DATA_FILE:
        g_free(s->data_name);
        s->data_name = text_take(data, length);
        return true;
    case EXTENSION_CRYPTO:
        if (s->header.crypt_method != QCOW2_CRYPT_LUKS)
            return fail(error, "CRYPTO header extension only expected with LUKS encryption method");
        if (length != 16)
            return fail(error, "CRYPTO header extension size %u, but expected size 16", length);
        s->crypto_offset = get64(data);
        s->crypto_length = get64(data + 8);
        if (s->crypto_offset & (s->cluster_size - 1))
            return fail(error,
                        "Encryption header offset '%" PRIu64 "' is not a multiple of cluster "
                        "size '%u'",
                        s->crypto_offset, s->cluster_size);
        return true;
    case EXTENSION_BITMAPS:
        if (length != 24)
            return fail(error, "bitmaps_ext: Invalid extension length");
        if (!(s->header.autoclear & QCOW2_BITMAPS))
            return true; /* written by somebody who did not know them: stale */
        s->bitmap_count = get32(data);
        s->bitmap_directory_size = get64(data + 8);
        s->bitmap_directory_offset = get64(data + 16);
        if (get32(data + 4))
            return fail(error, "bitmaps_ext: Reserved field is not zero");
        if (s->bitmap_directory_offset & (s->cluster_size - 1))
            return fail(error, "bitmaps_ext: invalid bitmap directory offset");
        if (!s->bitmap_count)
            return fail(error, "bitmaps_ext: found bitmaps extension with zero bitmaps");
        if (s->bitmap_count > 65535)
            return fail(error,
                        "bitmaps_ext: image has %" PRIu32 " bitmaps, exceeding the supported "
                        "maximum of 65535",
                        s->bitmap_count);
        if (s->bitmap_directory_size > 64 << 20)
            return fail(error, "bitmaps_ext: bitmap directory is too large");
        return true;
    }
    if (s->extension_count >= 1024)
        return fail(error, "Header extension too large");
    s->extensions = g_renew(struct qcow2_extension, s->extensions, s->extension_count + 1);
    s->extensions[s->extension_count++] =
        (struct qcow2_extension){ type, length, g_memdup2(data, length) };
    return true;
}

bool qcow2_extensions_read(struct qcow2 *s, GError **error)
{
    struct qcow2_header *h = &s->header;
    uint64_t end = h->backing_offset ? h->backing_offset : s->cluster_size;
    g_autofree uint8_t *raw = g_malloc0(s->cluster_size);
    int result = block_pread(s->node->file, 0, raw, s->cluster_size);

    if (result) {
        errno = -result;
        return fail_errno(error, "Could not read qcow2 header extensions");
    }
    for (uint64_t at = h->length; at + 8 <= end;) {
        uint32_t type = get32(raw + at), length = get32(raw + at + 4);
        at += 8;
        if (type == EXTENSION_END)
            break;
        if (length > end - at)
            return fail(error, "Header extension too large");
        if (!extension_read(s, type, length, raw + at, error))
            return false;
        at += (length + 7) & ~7u;
    }
    if (h->backing_offset)
        s->backing_name = text_take(raw + h->backing_offset, h->backing_size);
    if (s->backing_name && !*s->backing_name)
        g_clear_pointer(&s->backing_name, g_free);
    return true;
}

/* ---- Writing ---- */

static void put_extension(GByteArray *out, uint32_t type, const void *data, uint32_t length)
{
    static const uint8_t padding[8];
    uint8_t head[8];

    put32(head, type);
    put32(head + 4, length);
    g_byte_array_append(out, head, 8);
    g_byte_array_append(out, data, length);
    g_byte_array_append(out, padding, -length & 7);
}

static void put_features(GByteArray *out)
{
    uint8_t table[G_N_ELEMENTS(feature_names)][48] = { 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(feature_names); i++) {
        table[i][0] = feature_names[i].kind;
        table[i][1] = feature_names[i].bit;
        g_strlcpy((char *)table[i] + 2, feature_names[i].name, 46);
    }
    put_extension(out, EXTENSION_FEATURE_NAMES, table, sizeof(table));
}

static void put_extensions(struct qcow2 *s, GByteArray *out, bool features)
{
    uint8_t data[24] = { 0 };

    if (s->backing_format)
        put_extension(out, EXTENSION_BACKING_FORMAT, s->backing_format, strlen(s->backing_format));
    if ((s->header.incompatible & QCOW2_DATA_FILE) && s->data_name)
        put_extension(out, EXTENSION_DATA_FILE, s->data_name, strlen(s->data_name));
    if (s->header.crypt_method == QCOW2_CRYPT_LUKS) {
        put64(data, s->crypto_offset);
        put64(data + 8, s->crypto_length);
        put_extension(out, EXTENSION_CRYPTO, data, 16);
    }
    if (features)
        put_features(out);
    if (s->bitmap_count) {
        put32(data, s->bitmap_count);
        put32(data + 4, 0);
        put64(data + 8, s->bitmap_directory_size);
        put64(data + 16, s->bitmap_directory_offset);
        put_extension(out, EXTENSION_BITMAPS, data, 24);
    }
    for (unsigned i = 0; i < s->extension_count; i++)
        put_extension(out, s->extensions[i].type, s->extensions[i].data, s->extensions[i].length);
    put_extension(out, EXTENSION_END, "", 0);
}

static void put_header(const struct qcow2_header *h, uint8_t *raw)
{
    put32(raw, QCOW2_MAGIC);
    put32(raw + 4, h->version);
    put64(raw + 8, h->backing_offset);
    put32(raw + 16, h->backing_size);
    put32(raw + 20, h->cluster_bits);
    put64(raw + 24, h->size);
    put32(raw + 32, h->crypt_method);
    put32(raw + 36, h->l1_size);
    put64(raw + 40, h->l1_offset);
    put64(raw + 48, h->reftable_offset);
    put32(raw + 56, h->reftable_clusters);
    put32(raw + 60, h->snapshot_count);
    put64(raw + 64, h->snapshots_offset);
    if (h->version < 3)
        return;
    put64(raw + 72, h->incompatible);
    put64(raw + 80, h->compatible);
    put64(raw + 88, h->autoclear);
    put32(raw + 96, h->refcount_order);
    put32(raw + 100, h->length);
    if (h->length > QCOW2_HEADER_V3)
        raw[104] = h->compression;
}

/* All but the fixed part; notes in the header where the backing file's name is. */
static void put_all(struct qcow2 *s, GByteArray *out, bool features)
{
    struct qcow2_header *h = &s->header;

    g_byte_array_set_size(out, h->length);
    memset(out->data, 0, h->length);
    put_extensions(s, out, features);
    h->backing_offset = h->backing_size = 0;
    if (s->backing_name) {
        h->backing_offset = out->len;
        h->backing_size = strlen(s->backing_name);
        g_byte_array_append(out, (const uint8_t *)s->backing_name, h->backing_size);
    }
}

bool qcow2_header_write(struct qcow2 *s, GError **error)
{
    struct qcow2_header *h = &s->header;
    g_autoptr(GByteArray) out = g_byte_array_new();

    h->length = h->version < 3 ? QCOW2_HEADER_V2 : QCOW2_HEADER_NEW;
    put_all(s, out, h->version >= 3);
    if (out->len > s->cluster_size)
        put_all(s, out, false); /* the features' names are a help only */
    if (out->len > s->cluster_size)
        return fail(error,
                    "The header with the backing file's name does not fit into a cluster of "
                    "%u bytes",
                    s->cluster_size);
    put_header(h, out->data);
    guint used = out->len;
    /* Whole sectors, so that nothing need be read; what follows in the cluster is not used. */
    g_byte_array_set_size(out, MIN((used + 511) & ~511u, s->cluster_size));
    memset(out->data + used, 0, out->len - used);
    int result = block_pwrite(s->node->file, 0, out->data, out->len, 0);
    errno = -result;
    return !result || fail_errno(error, "Could not update qcow2 header");
}

int qcow2_corrupt(struct qcow2 *s, const char *format, ...)
{
    va_list arguments;

    if (s->header.incompatible & QCOW2_CORRUPT)
        return -EIO;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    bool mark = !s->node->read_only && s->header.version >= 3;
    fprintf(stderr,
            mark ? "qcow2: Marking image as corrupt: %s; further corruption events will be "
                   "suppressed\n"
                 : "qcow2: Image is corrupt: %s; further non-fatal corruption events will be "
                   "suppressed\n",
            text);
    s->header.incompatible |= QCOW2_CORRUPT;
    if (mark)
        qcow2_header_write(s, NULL);
    return -EIO;
}

int qcow2_mark_dirty(struct qcow2 *s)
{
    if (!s->lazy_refcounts || s->dirty_set)
        return 0;
    s->header.incompatible |= QCOW2_DIRTY;
    if (!qcow2_header_write(s, NULL))
        return -EIO;
    s->dirty_set = true;
    return block_flush(s->node->file);
}

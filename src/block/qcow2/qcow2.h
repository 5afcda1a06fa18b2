/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images (the format's specification: "qcow2 image file format", versions 2 and 3).
 *
 *     header -> L1 table -> L2 tables -> data clusters        guest offset to host offset
 *     header -> refcount table -> refcount blocks             how often each host cluster is used
 *
 * Locking: `lock` guards all tables in memory and the caches; data is moved without it. Who
 * allocates clusters for a guest range claims the range first (struct claim), so that two writers
 * of one cluster do not both allocate it. The lock is held while tables are read from or written to
 * the file; lookup() only tries to take it.
 *
 * Order on disk, kept by qcow2_write_back():
 *     data and refcounts, barrier, L2 tables, barrier, L1 table, barrier, released refcounts
 * so that a crash leaves at worst clusters that nobody uses. Clusters that are given up are
 * therefore not free at once; they wait in `released` until nothing on disk points to them and no
 * request that found them before is under way.
 *
 * Larger changes (snapshots, repair, amend) write new tables beside the old ones and change over
 * with one write of the header: see tables.c. */
#ifndef YADO_BLOCK_QCOW2_H
#define YADO_BLOCK_QCOW2_H

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "block/driver.h"
#include "block/qcow2/cache.h"

enum {
    QCOW2_MAGIC = 0x514649fb,
    QCOW2_CLUSTER_BITS_MIN = 9,
    QCOW2_CLUSTER_BITS_MAX = 21,
    QCOW2_L1_BYTES_MAX = 32 << 20,
    QCOW2_REFTABLE_BYTES_MAX = 8 << 20,
    QCOW2_SNAPSHOTS_MAX = 65536,
    QCOW2_SNAPSHOT_TABLE_MAX = 16 << 20, /* bytes */
    QCOW2_BACKING_NAME_MAX = 1023,
    QCOW2_HEADER_V2 = 72,
    QCOW2_HEADER_V3 = 104,
    QCOW2_HEADER_NEW = 112, /* what is written: with the compression type */
    QCOW2_SUBCLUSTERS = 32,
};

enum { /* incompatible features */
       QCOW2_DIRTY = 1 << 0,
       QCOW2_CORRUPT = 1 << 1,
       QCOW2_DATA_FILE = 1 << 2,
       QCOW2_COMPRESSION = 1 << 3,
       QCOW2_EXTENDED_L2 = 1 << 4,
       QCOW2_INCOMPATIBLE_KNOWN = (1 << 5) - 1,
};
enum { QCOW2_LAZY_REFCOUNTS = 1 << 0 };                        /* compatible */
enum { QCOW2_BITMAPS = 1 << 0, QCOW2_DATA_FILE_RAW = 1 << 1 }; /* autoclear */

enum { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };
enum { QCOW2_ZLIB, QCOW2_ZSTD };

#define QCOW2_COPIED (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_REFTABLE_MASK UINT64_C(0xfffffffffffffe00)

/* The header in the byte order of the host; on disk all is big-endian. */
struct qcow2_header {
    uint32_t version, cluster_bits, crypt_method, l1_size, reftable_clusters, snapshot_count;
    uint64_t backing_offset, size, l1_offset, reftable_offset, snapshots_offset;
    uint32_t backing_size;
    uint64_t incompatible, compatible, autoclear; /* version 3 */
    uint32_t refcount_order, length;
    uint8_t compression;
};

/* An extension that we do not know is kept as it is. */
struct qcow2_extension {
    uint32_t type, length;
    uint8_t *data;
};

struct qcow2_snapshot {
    struct block_snapshot public;
    uint64_t l1_offset;
    uint32_t l1_size;
    uint8_t *extra; /* of its table entry, beyond what we know */
    uint32_t extra_size;
};

/* A guest range whose clusters are being allocated or given up. */
struct claim {
    uint64_t start, end;
    struct claim *next;
};

struct qcow2_range {
    uint64_t cluster, count;
};

struct qcow2_crypto;

struct qcow2 {
    struct block_node *node,
        *data;                  /* [const] data: where data clusters are: the file or data-file */
    struct qcow2_header header; /* [lock] */
    uint32_t cluster_size, unit_size; /* [const] unit: subcluster, or cluster without those */
    uint32_t unit_bits, units;        /* [const] units a cluster: 1 or 32 */
    uint32_t l2_entries, l2_entry_size, l2_bits; /* [const] entries a table, bytes an entry */
    uint32_t slice_size, slice_entries;          /* [const] L2 tables are cached in slices */
    uint32_t refcount_bits, refblock_entries, refblock_bits; /* [const] */
    uint64_t refcount_max;                                   /* [const] */
    bool external_raw; /* [const] data file is a plain copy: guest offset = host offset */

    pthread_mutex_t lock;
    pthread_cond_t claims_changed;
    struct claim *claims;                  /* [lock] */
    uint64_t *l1;                          /* [lock] header.l1_size entries, host order */
    uint32_t l1_dirty_first, l1_dirty_end; /* [lock] */
    uint64_t *reftable;                    /* [lock] host order */
    uint32_t reftable_entries;             /* [lock] */
    uint32_t reftable_dirty_first, reftable_dirty_end; /* [lock] */
    struct cache *l2_cache, *refcount_cache;           /* [lock] */
    uint64_t free_hint, high_water; /* [lock] host clusters; none is used beyond */
    uint64_t packed_offset;         /* [lock] where compressed data can be added, or 0 */
    GArray *released[2];            /* [lock] struct qcow2_range, by epoch */
    unsigned epoch;                 /* [lock] */
    struct block_guard guards[2];   /* requests that found clusters in that epoch */
    bool lazy_refcounts, dirty_set; /* [lock] */
    bool discard_passes;            /* [const] given up clusters are holes in the file */

    char *backing_name, *backing_format, *data_name; /* [graph] */
    struct qcow2_extension *extensions;              /* [graph] unknown ones */
    unsigned extension_count;
    struct qcow2_snapshot *snapshots; /* [graph] header.snapshot_count */
    struct qcow2_crypto *crypto;      /* [const] or NULL */
    uint64_t crypto_offset, crypto_length;
    uint32_t bitmap_count; /* [graph] the bitmaps extension */
    uint64_t bitmap_directory_size, bitmap_directory_offset;
};

static inline uint64_t qcow2_clusters(const struct qcow2 *s, uint64_t bytes)
{
    return (bytes >> s->header.cluster_bits) + !!(bytes & (s->cluster_size - 1));
}
static inline uint64_t qcow2_round_up(const struct qcow2 *s, uint64_t bytes)
{
    return (bytes + s->cluster_size - 1) & ~(uint64_t)(s->cluster_size - 1);
}
/* Whether an entry points into the image file. A false one is never written to: it could make the file
 * as large as the host allows. */
static inline bool qcow2_is_inside(const struct qcow2 *s, uint64_t entry)
{
    return s->data != s->node->file
           || (entry & QCOW2_OFFSET_MASK) >> s->header.cluster_bits < s->high_water;
}
/* Bytes of guest disk that one L2 table maps. */
static inline uint64_t qcow2_l2_span(const struct qcow2 *s)
{
    return (uint64_t)s->l2_entries << s->header.cluster_bits;
}

/* ---- header.c ---- */

/* Parses and checks the fixed part; fills s->header and the geometry. */
bool qcow2_header_read(struct qcow2 *s, GError **error);
bool qcow2_extensions_read(struct qcow2 *s, GError **error);
void qcow2_geometry_set(struct qcow2 *s);
/* Writes header, extensions and backing file's name, in one write. [lock] or main thread. */
bool qcow2_header_write(struct qcow2 *s, GError **error);
/* Marks the image corrupt, says why on standard error, and returns -EIO. [lock] */
int qcow2_corrupt(struct qcow2 *s, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* An in-use mark for lazy refcounts. [lock] */
int qcow2_mark_dirty(struct qcow2 *s);

/* ---- refcount.c: all [lock] ---- */

int qcow2_refcount_get(struct qcow2 *s, uint64_t cluster, uint64_t *count);
int qcow2_refcount_set(struct qcow2 *s, uint64_t cluster, uint64_t count);
/* Adds `delta` to the clusters that the bytes touch. */
int qcow2_refcount_add(struct qcow2 *s, uint64_t offset, uint64_t bytes, int delta);
/* `count` adjacent clusters, each with refcount 1. */
int qcow2_alloc(struct qcow2 *s, uint64_t count, uint64_t *offset);
/* At most `count` adjacent clusters; `*count` is how many there are. */
int qcow2_alloc_some(struct qcow2 *s, uint64_t *count, uint64_t *offset);
/* `bytes` for compressed data, which may share clusters with other compressed data. */
int qcow2_alloc_packed(struct qcow2 *s, uint32_t bytes, uint64_t *offset);
/* Gives clusters up, once that is safe. */
void qcow2_release(struct qcow2 *s, uint64_t offset, uint64_t bytes);
/* The refcount table's changes, once the blocks have been written. */
int qcow2_reftable_write(struct qcow2 *s);
/* Refcounts of one block in memory. */
uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index);
void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t count);

/* ---- flush.c ---- */

/* Writes all tables back in the order above, without the last barrier. [lock] */
int qcow2_write_back(struct qcow2 *s);
/* Everything durable and `released` applied. [lock] */
int qcow2_settle(struct qcow2 *s);
/* The same with refcounts that could wait (lazy ones): what is on disk is all there is. [lock] */
int qcow2_settle_all(struct qcow2 *s);
bool qcow2_is_clean(const struct qcow2 *s);

/* ---- map.c: all [lock] ---- */

enum qcow2_kind {
    QCOW2_UNALLOCATED,
    QCOW2_ZEROES,
    QCOW2_ZEROES_ALLOCATED,
    QCOW2_DATA,
    QCOW2_PACKED
};

struct qcow2_map {
    enum qcow2_kind kind;
    uint64_t bytes;  /* from the asked offset on */
    uint64_t host;   /* DATA, ZEROES_ALLOCATED: of the asked offset */
    bool copied;     /* may be written in place */
    uint64_t packed; /* PACKED: the entry */
};

/* -EAGAIN if `cached_only` and the table is not in memory. */
int qcow2_map(struct qcow2 *s, uint64_t offset, uint64_t length, bool cached_only,
              struct qcow2_map *map);
/* Where compressed data is: bytes, and how many of them at most. */
void qcow2_packed_place(const struct qcow2 *s, uint64_t entry, uint64_t *offset, uint32_t *bytes);

struct qcow2_entry {
    uint64_t entry, bitmap;
};
/* The entry for a guest offset in a table that may be changed: made, or copied, if need be. The
 * pointer is valid until the next call that uses a cache. `*left`: entries from there to the end of
 * the slice. */
int qcow2_l2_for_write(struct qcow2 *s, uint64_t offset, uint64_t **table, uint32_t *index,
                       uint32_t *left);
struct qcow2_entry qcow2_entry_get(const struct qcow2 *s, const uint64_t *table, uint32_t index);
void qcow2_entry_set(const struct qcow2 *s, uint64_t *table, uint32_t index,
                     struct qcow2_entry entry);
/* Gives up what the entry points to. */
void qcow2_entry_release(struct qcow2 *s, struct qcow2_entry entry);

void qcow2_claim(struct qcow2 *s, struct claim *claim); /* waits for overlapping ones */
void qcow2_unclaim(struct qcow2 *s, struct claim *claim);

/* ---- read.c, write.c, zero.c: struct block_driver's functions ---- */

int qcow2_read(struct block_node *node, uint64_t offset, struct iov data);
bool qcow2_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                  uint64_t length, struct block_extent *extent);
int qcow2_status(struct block_node *node, uint64_t offset, uint64_t length,
                 struct block_status *status);
int qcow2_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags);
int qcow2_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags);
int qcow2_discard(struct block_node *node, uint64_t offset, uint64_t length);
int qcow2_flush(struct block_node *node);
/* As far as mapped; `length` is of whole clusters. */
int qcow2_discard_clusters(struct qcow2 *s, uint64_t offset, uint64_t length, bool full);

/* ---- compress.c ---- */

/* Returns the compressed size, 0 if it is not smaller than the cluster, or a negative errno. `out`
 * has room for a cluster. Any thread. */
int qcow2_compress(const struct qcow2 *s, const void *cluster, void *out);
int qcow2_decompress(const struct qcow2 *s, const void *in, uint32_t bytes, void *cluster);

/* ---- encrypt.c ---- */

bool qcow2_crypto_open(struct qcow2 *s, json_t *options, GError **error);
void qcow2_crypto_close(struct qcow2 *s);
bool qcow2_crypto_create(struct block_node *file, json_t *options, GError **error);
json_t *qcow2_crypto_info(struct qcow2 *s);
int qcow2_encrypt(struct qcow2 *s, uint64_t host_offset, uint64_t guest_offset, void *data,
                  size_t length);
int qcow2_decrypt(struct qcow2 *s, uint64_t host_offset, uint64_t guest_offset, void *data,
                  size_t length);

/* ---- tables.c: new tables beside the old, then one write of the header ---- */

struct qcow2_tables {
    uint32_t *refcounts; /* by host cluster; mapped, so that untouched parts cost nothing */
    uint64_t clusters;   /* of refcounts in use */
    uint64_t capacity;
    uint64_t next; /* allocations go here and beyond, */
    uint64_t scan; /* or, one by one, to what is free from here on */
    bool keep_old; /* `refcounts` began as the image's own, which can be trusted */
};
/* Reads all refcounts. Nothing may be under way; the image has been settled. */
bool qcow2_tables_load(struct qcow2 *s, struct qcow2_tables *tables, GError **error);
bool qcow2_tables_empty(struct qcow2 *s, struct qcow2_tables *tables, GError **error);
void qcow2_tables_free(struct qcow2_tables *tables);
/* Marks `count` adjacent clusters as used, at the end. 0: no room in the format. */
uint64_t qcow2_tables_alloc(struct qcow2 *s, struct qcow2_tables *tables, uint64_t count);
bool qcow2_tables_ref(struct qcow2 *s, struct qcow2_tables *tables, uint64_t offset, uint64_t bytes,
                      int delta, GError **error);
/* Takes the old refcount structures out of the counts; commit does it otherwise. */
void qcow2_tables_drop_old(struct qcow2 *s, struct qcow2_tables *tables);
/* Writes refcount blocks and table from the refcounts, then the header with `header`'s L1 table,
 * snapshots and so on, in one step, and makes them the image's. */
bool qcow2_tables_commit(struct qcow2 *s, struct qcow2_tables *tables,
                         const struct qcow2_header *header, GError **error);
/* Reads an L1 table; g_free(). */
uint64_t *qcow2_l1_read(struct qcow2 *s, uint64_t offset, uint32_t entries, GError **error);
/* Loads the L2 tables and the rest of memory anew from a changed header. */
bool qcow2_reload(struct qcow2 *s, GError **error);

/* ---- snapshot.c ---- */

/* Reads the table; s->snapshots. */
bool qcow2_snapshots_read(struct qcow2 *s, GError **error);
void qcow2_snapshots_free(struct qcow2 *s);
/* Bytes of the snapshot table as it is on disk. */
uint64_t qcow2_snapshot_table_bytes(const struct qcow2 *s);
extern const struct block_snapshot_ops qcow2_snapshot_ops;

/* ---- check.c, create.c, resize.c, info.c ---- */

bool qcow2_check(struct block_node *node, struct block_check *check, GError **error);
extern const struct block_create_option qcow2_create_options[];
bool qcow2_create(struct block_create *create, GError **error);
bool qcow2_measure(json_t *options, uint64_t size, struct block_node *source,
                   struct block_measure *measure, GError **error);
bool qcow2_truncate(struct block_node *node, uint64_t length,
                    enum block_preallocation preallocation, GError **error);
bool qcow2_l1_grow(struct qcow2 *s, uint64_t entries, GError **error);
bool qcow2_preallocate(struct qcow2 *s, uint64_t from, uint64_t to,
                       enum block_preallocation preallocation, GError **error);
json_t *qcow2_specific_info(struct block_node *node);
bool qcow2_amend(struct block_node *node, json_t *options, bool force, GError **error);
bool qcow2_make_empty(struct block_node *node, GError **error);

#endif

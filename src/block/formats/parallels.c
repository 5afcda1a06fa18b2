/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parallels: a header of 64 bytes, a table of 32-bit entries behind it, and clusters in the order
 * in which they were written first. Numbers are little endian. Two kinds: the older counts sectors
 * in its table, the extended one clusters. */
#include <errno.h>
#include <string.h>

#include "block/formats/blockmap.h"

#define SECTOR 512u
#define MAGIC "WithoutFreeSpace"
#define MAGIC_EXTENDED "WithouFreSpacExt"
#define VERSION 2u
#define IN_USE 0x746f6e59u
#define CLUSTER_DEFAULT (1u << 20)
#define ENTRIES_MAX (INT32_MAX / 4)

struct header {
    char magic[16];
    uint32_t version, heads, cylinders, tracks, entries;
    uint64_t sectors;
    uint32_t in_use, data_offset, flags;
    uint64_t extension_offset;
} __attribute__((packed));
_Static_assert(sizeof(struct header) == 64, "a Parallels header has 64 bytes");

struct parallels {
    struct blockmap map;
    struct header header; /* [node->lock] */
    uint32_t *table;      /* [node->lock] header.entries of them */
    uint32_t unit;        /* [const] sectors an entry counts */
    uint64_t data_start;  /* [const] bytes */
    uint64_t end;         /* [node->lock] bytes: where the next cluster goes */
};

static int parallels_probe(const uint8_t *head, size_t size, const char *filename)
{
    return size >= sizeof(struct header)
                   && (!memcmp(head, MAGIC, 16) || !memcmp(head, MAGIC_EXTENDED, 16))
               ? 100
               : 0;
}

static enum blockmap_kind parallels_find(struct block_node *node, uint64_t index, uint64_t *host)
{
    struct parallels *p = node->state;
    if (index >= p->header.entries || !p->table[index])
        return BLOCKMAP_NONE;
    *host = (uint64_t)p->table[index] * p->unit * SECTOR;
    return BLOCKMAP_DATA;
}

static int parallels_reserve(struct block_node *node, uint64_t index, uint64_t *host)
{
    struct parallels *p = node->state;
    if (index >= p->header.entries || p->end / SECTOR / p->unit > UINT32_MAX)
        return -ENOSPC;
    *host = p->end;
    p->end += p->map.block_size;
    return 0;
}

static int parallels_enter(struct block_node *node, uint64_t index, uint64_t host)
{
    struct parallels *p = node->state;
    uint32_t entry = host / SECTOR / p->unit;
    int error = block_pwrite(node->file, sizeof(p->header) + 4 * index, &entry, 4, 0);
    if (!error)
        p->table[index] = entry;
    return error;
}

static const struct blockmap_ops parallels_ops = {
    .find = parallels_find,
    .reserve = parallels_reserve,
    .enter = parallels_enter,
};

static bool header_check(struct parallels *p, uint64_t file_length, GError **error)
{
    const struct header *h = &p->header;
    bool extended = !memcmp(h->magic, MAGIC_EXTENDED, 16);
    if (!extended && memcmp(h->magic, MAGIC, 16))
        return fail(error, "Image not in Parallels format");
    if (h->version != VERSION)
        return fail(error, "Image not in Parallels format: version %" PRIu32 " is not %u",
                    h->version, VERSION);
    if (!h->tracks || h->tracks & (h->tracks - 1) || h->tracks > INT32_MAX / SECTOR)
        return fail(error,
                    "Invalid image: %" PRIu32 " sectors a cluster are not a power of two "
                    "below 2 GiB",
                    h->tracks);
    if (h->entries > ENTRIES_MAX)
        return fail(error, "Catalog too large: %" PRIu32 " entries", h->entries);
    p->unit = extended ? h->tracks : 1;
    uint64_t sectors = extended ? h->sectors : h->sectors & UINT32_MAX;
    uint64_t table_end = sizeof(*h) + 4ull * h->entries;
    if (sectors > (uint64_t)h->entries * h->tracks)
        return fail(error, "the catalog's %" PRIu32 " entries are too few for %" PRIu64 " sectors",
                    h->entries, sectors);
    if (table_end > file_length)
        return fail(error, "the catalog of %" PRIu32 " entries is beyond the end of the file",
                    h->entries);
    p->data_start = (uint64_t)h->data_offset * SECTOR;
    if (!h->data_offset) /* as the first version left it */
        p->data_start = (table_end + SECTOR - 1) / SECTOR * SECTOR;
    if (p->data_start < table_end)
        return fail(error, "the data begins at byte %" PRIu64 ", inside the catalog",
                    p->data_start);
    return true;
}

/* Each cluster lies behind the catalog, in the file, and belongs to one entry. */
static bool table_check(struct parallels *p, uint64_t file_length, GError **error)
{
    uint64_t size = p->map.block_size;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    p->end = MAX(p->data_start, (p->data_start + size - 1) / size * size * (p->unit != 1));
    for (uint32_t i = 0; i < p->header.entries; i++) {
        uint64_t host = (uint64_t)p->table[i] * p->unit * SECTOR;
        if (!p->table[i])
            continue;
        if (host < p->data_start || !blockmap_inside(host, 1, file_length))
            return fail(error, "cluster %" PRIu32 " is at byte %" PRIu64 ", outside of the data", i,
                        host);
        if (!g_hash_table_add(seen, GUINT_TO_POINTER(p->table[i])))
            return fail(error, "cluster %" PRIu32 " is in the place of another one", i);
        p->end = MAX(p->end, host + size);
    }
    return true;
}

static bool parallels_open(struct block_node *node, json_t *options, GError **error)
{
    struct parallels *p = node->state;

    if (!block_open_file(node, options, error))
        return false;
    uint64_t file_length = block_length(node->file);
    int result = block_pread(node->file, 0, &p->header, sizeof(p->header));
    if (result)
        return fail(error, "Could not read the Parallels header: %s", g_strerror(-result));
    if (!header_check(p, file_length, error))
        return false;
    if (p->header.in_use == IN_USE && !node->read_only && !(node->flags & BLOCK_OPEN_CHECK))
        return fail(error, "parallels: Image was not closed correctly; cannot be opened "
                           "read/write");
    p->map = (struct blockmap){ .ops = &parallels_ops, .block_size = p->header.tracks * SECTOR };
    p->table = g_try_malloc(MAX(4ull * p->header.entries, 4));
    if (!p->table)
        return fail(error, "not enough memory for a catalog of %" PRIu32 " entries",
                    p->header.entries);
    result = block_pread(node->file, sizeof(p->header), p->table, 4ull * p->header.entries);
    if (result ? !fail(error, "Could not read the catalog: %s", g_strerror(-result))
               : !table_check(p, file_length, error)) {
        g_clear_pointer(&p->table, g_free);
        return false;
    }
    uint64_t sectors = p->unit == 1 ? p->header.sectors & UINT32_MAX : p->header.sectors;
    atomic_store(&node->length, sectors * SECTOR);
    node->cluster_size = p->map.block_size;
    return true;
}

static void parallels_close(struct block_node *node)
{
    struct parallels *p = node->state;
    g_free(p->table);
}

static int parallels_flush(struct block_node *node)
{
    return 0; /* nothing is kept back */
}

static bool parallels_check(struct block_node *node, struct block_check *check, GError **error)
{
    struct parallels *p = node->state;
    uint64_t file_length = block_length(node->file);
    uint32_t used = 0;
    for (uint32_t i = 0; i < p->header.entries; i++)
        used += p->table[i] != 0;
    check->total_clusters = p->header.entries;
    check->allocated_clusters = used;
    check->image_end_offset = p->end;
    if (p->header.in_use == IN_USE) {
        check->message(check, true, "ERROR image was not closed correctly");
        check->corruptions++;
    }
    if (file_length > p->end) {
        uint64_t leaked = (file_length - p->end + p->map.block_size - 1) / p->map.block_size;
        g_autofree char *text = g_strdup_printf(
            "ERROR space leaked at the end of the image %" PRIu64, file_length - p->end);
        check->message(check, false, text);
        check->leaks += leaked;
    }
    return true;
}

/* --- creating --- */

static const struct block_create_option parallels_create_options[] = {
    { "size", BLOCK_OPTION_SIZE, NULL, "Virtual disk size" },
    { "cluster_size", BLOCK_OPTION_SIZE, "1048576", "Parallels image cluster size" },
    {},
};

static bool parallels_create(struct block_create *create, GError **error)
{
    uint64_t cluster = CLUSTER_DEFAULT;
    if (!options_take_size(create->options, "cluster_size", &cluster, error))
        return false;
    if (cluster < SECTOR || cluster > 1u << 30 || cluster & (cluster - 1))
        return fail(error, "Invalid cluster size %" PRIu64 ": a power of two from 512 to 1 GiB",
                    cluster);
    uint64_t size = (create->size + SECTOR - 1) / SECTOR * SECTOR;
    uint64_t entries = (size + cluster - 1) / cluster;
    if (entries > ENTRIES_MAX)
        return fail(error, "Image size is too large for this cluster size");
    uint64_t table_end = sizeof(struct header) + 4 * entries;
    uint64_t start = (table_end + cluster - 1) / cluster * cluster;
    struct header h = {
        .version = VERSION,
        .heads = 16,
        .cylinders = MIN(size / SECTOR / 16 / 32, UINT32_MAX),
        .tracks = cluster / SECTOR,
        .entries = entries,
        .sectors = size / SECTOR,
        .data_offset = start / SECTOR,
    };
    memcpy(h.magic, MAGIC_EXTENDED, 16);
    auto_block *file = block_create_storage(create, start, error);
    if (!file)
        return false;
    int result = block_pwrite(file, 0, &h, sizeof(h), 0);
    if (!result)
        result = block_flush(file);
    return !result || fail(error, "Could not write the header: %s", g_strerror(-result));
}

BLOCK_DRIVER(parallels) = {
    .name = "parallels",
    .serialized = true,
    .state_size = sizeof(struct parallels),
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .lookup = blockmap_lookup,
    .read = blockmap_read,
    .write = blockmap_write,
    .flush = parallels_flush,
    .status = blockmap_status,
    .create_options = parallels_create_options,
    .create = parallels_create,
    .check = parallels_check,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VDI, VirtualBox's format, version 1.1: a header, a table of 32-bit block numbers, and blocks of
 * 1 MiB in the order in which they were written first. Numbers are little endian. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "block/formats/blockmap.h"

#define SECTOR 512u
#define SIGNATURE 0xbeda107fu
#define VERSION 0x00010001u
#define BLOCK_SIZE (1u << 20)
#define BLOCKS_MAX 0x3fffffffu /* 1 PiB */
#define TEXT "<<< QEMU VM Virtual Disk Image >>>\n"

enum { ENTRY_NONE = 0xffffffffu, ENTRY_ZERO = 0xfffffffeu };
enum image_type { TYPE_DYNAMIC = 1, TYPE_STATIC = 2 };

struct header {
    char text[0x40];
    uint32_t signature, version, header_size, image_type, image_flags;
    char description[256];
    uint32_t offset_table, offset_data, cylinders, heads, sectors, sector_size, unused1;
    uint64_t disk_size;
    uint32_t block_size, block_extra, blocks, blocks_allocated;
    uint8_t uuid_image[16], uuid_last_snapshot[16], uuid_link[16], uuid_parent[16];
    uint64_t unused2[7];
} __attribute__((packed));
_Static_assert(sizeof(struct header) == SECTOR, "a VDI header is one sector");

struct vdi {
    struct blockmap map;
    struct header header; /* [node->lock] as in the file */
    uint32_t *table;      /* [node->lock] header.blocks entries */
    uint64_t file_length; /* [node->lock] as far as blocks may be */
};

static int vdi_probe(const uint8_t *head, size_t size, const char *filename)
{
    const struct header *header = (const void *)head;
    return size >= SECTOR && header->signature == SIGNATURE ? 100 : 0;
}

static enum blockmap_kind vdi_find(struct block_node *node, uint64_t index, uint64_t *host)
{
    struct vdi *vdi = node->state;
    if (index >= vdi->header.blocks || vdi->table[index] == ENTRY_NONE)
        return BLOCKMAP_NONE;
    if (vdi->table[index] == ENTRY_ZERO)
        return BLOCKMAP_ZERO;
    *host = vdi->header.offset_data + (uint64_t)vdi->table[index] * BLOCK_SIZE;
    return BLOCKMAP_DATA;
}

static int vdi_reserve(struct block_node *node, uint64_t index, uint64_t *host)
{
    struct vdi *vdi = node->state;
    if (index >= vdi->header.blocks || vdi->header.blocks_allocated >= BLOCKS_MAX)
        return -ENOSPC;
    *host = vdi->header.offset_data + (uint64_t)vdi->header.blocks_allocated * BLOCK_SIZE;
    return 0;
}

/* The count goes first: a block that is counted and not in the table is merely lost, one in the
 * table and not counted would be given away again. */
static int vdi_enter(struct block_node *node, uint64_t index, uint64_t host)
{
    struct vdi *vdi = node->state;
    uint32_t block = vdi->header.blocks_allocated;
    vdi->header.blocks_allocated++;
    int error = block_pwrite(node->file, 0, &vdi->header, SECTOR, 0);
    if (!error)
        error = block_pwrite(node->file, vdi->header.offset_table + 4 * index, &block, 4, 0);
    if (error) /* the place stays reserved; the caller's data is not in the image */
        return error;
    vdi->table[index] = block;
    return 0;
}

static const struct blockmap_ops vdi_ops = {
    .find = vdi_find,
    .reserve = vdi_reserve,
    .enter = vdi_enter,
};

static bool uuid_is_null(const uint8_t *uuid)
{
    static const uint8_t null[16];
    return !memcmp(uuid, null, sizeof(null));
}

static bool header_check(const struct header *h, GError **error)
{
    if (h->signature != SIGNATURE)
        return fail(error, "Image not in VDI format (bad signature %08" PRIx32 ")", h->signature);
    if (h->version != VERSION)
        return fail(error, "unsupported VDI image (version %" PRIu32 ".%" PRIu32 ")",
                    h->version >> 16, h->version & 0xffff);
    if (h->sector_size != SECTOR)
        return fail(error, "unsupported VDI image (sector size %" PRIu32 " is not %u)",
                    h->sector_size, SECTOR);
    if (h->block_size != BLOCK_SIZE)
        return fail(error, "unsupported VDI image (block size %" PRIu32 " is not %u)",
                    h->block_size, BLOCK_SIZE);
    if (h->offset_table % SECTOR || h->offset_data % SECTOR)
        return fail(error, "unsupported VDI image (unaligned block map or data offset)");
    if (h->blocks > BLOCKS_MAX)
        return fail(error, "unsupported VDI image (too many blocks %" PRIu32 ", max is %u)",
                    h->blocks, BLOCKS_MAX);
    if (h->disk_size > (uint64_t)h->blocks * BLOCK_SIZE)
        return fail(error,
                    "unsupported VDI image (disk size %" PRIu64 ", image bitmap has room for "
                    "%" PRIu64 ")",
                    h->disk_size, (uint64_t)h->blocks * BLOCK_SIZE);
    if (!uuid_is_null(h->uuid_link) || !uuid_is_null(h->uuid_parent))
        return fail(error, "unsupported VDI image (it is based on another image)");
    return true;
}

/* Data blocks may be anywhere in the file, but each belongs to one entry only. */
static bool table_check(struct vdi *vdi, GError **error)
{
    const struct header *h = &vdi->header;
    g_autofree uint8_t *used = g_try_malloc0(h->blocks_allocated / 8 + 1);
    if (!used)
        return fail(error, "not enough memory for %" PRIu32 " blocks", h->blocks_allocated);
    for (uint32_t i = 0; i < h->blocks; i++) {
        uint32_t block = vdi->table[i];
        if (block >= ENTRY_ZERO)
            continue;
        if (block >= h->blocks_allocated)
            return fail(error,
                        "block %" PRIu32 " of the disk is entered as number %" PRIu32
                        ", and only %" PRIu32 " are allocated",
                        i, block, h->blocks_allocated);
        if (used[block / 8] >> block % 8 & 1)
            return fail(error, "block number %" PRIu32 " is entered twice", block);
        used[block / 8] |= 1 << block % 8;
    }
    return true;
}

static bool vdi_open(struct block_node *node, json_t *options, GError **error)
{
    struct vdi *vdi = node->state;
    struct header *h = &vdi->header;

    if (!block_open_file(node, options, error))
        return false;
    uint64_t file_length = block_length(node->file);
    int result = block_pread(node->file, 0, h, sizeof(*h));
    if (result)
        return fail(error, "Could not read the VDI header: %s", g_strerror(-result));
    if (!header_check(h, error))
        return false;
    uint64_t bytes = 4ull * h->blocks;
    if (!blockmap_inside(h->offset_table, bytes, file_length))
        return fail(error,
                    "the block map of %" PRIu64 " bytes at %" PRIu32
                    " is beyond the end of the file",
                    bytes, h->offset_table);
    if (h->blocks_allocated > h->blocks)
        return fail(error, "%" PRIu32 " blocks are allocated of %" PRIu32, h->blocks_allocated,
                    h->blocks);
    vdi->table = g_try_malloc(MAX(bytes, 4));
    if (!vdi->table)
        return fail(error, "not enough memory for a block map of %" PRIu64 " bytes", bytes);
    result = block_pread(node->file, h->offset_table, vdi->table, bytes);
    if (result ? !fail(error, "Could not read the block map: %s", g_strerror(-result))
               : !table_check(vdi, error)) {
        g_clear_pointer(&vdi->table, g_free);
        return false;
    }
    vdi->map = (struct blockmap){ .ops = &vdi_ops, .block_size = BLOCK_SIZE };
    atomic_store(&node->length, h->disk_size);
    node->cluster_size = BLOCK_SIZE;
    return true;
}

static void vdi_close(struct block_node *node)
{
    struct vdi *vdi = node->state;
    g_free(vdi->table);
}

static int vdi_flush(struct block_node *node)
{
    return 0; /* nothing is kept back */
}

static bool vdi_check(struct block_node *node, struct block_check *check, GError **error)
{
    struct vdi *vdi = node->state;
    uint32_t used = 0;
    for (uint32_t i = 0; i < vdi->header.blocks; i++)
        used += vdi->table[i] < ENTRY_ZERO;
    if (used != vdi->header.blocks_allocated) {
        g_autofree char *text =
            g_strdup_printf("ERROR: allocated blocks mismatch, is %" PRIu32 ", should be %" PRIu32,
                            used, vdi->header.blocks_allocated);
        check->message(check, true, text);
        check->corruptions++;
    }
    check->allocated_clusters = used;
    check->total_clusters = vdi->header.blocks;
    return true;
}

/* --- creating --- */

static const struct block_create_option vdi_create_options[] = {
    { "size", BLOCK_OPTION_SIZE, NULL, "Virtual disk size" },
    { "static", BLOCK_OPTION_BOOL, "off", "VDI static (pre-allocated) image" },
    { "preallocation", BLOCK_OPTION_STRING, NULL,
      "Preallocation mode (allowed values: off, metadata)" },
    {},
};

static void uuid_make(uint8_t *uuid)
{
    if (getrandom(uuid, 16, 0) != 16)
        memset(uuid, 0x59, 16);
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static bool vdi_create(struct block_create *create, GError **error)
{
    static const char *const preallocations[] = { "off", "metadata", NULL };
    int preallocation = 0;
    bool fixed = false;
    if (!options_take_bool(create->options, "static", &fixed, error)
        || !options_take_enum(create->options, "preallocation", preallocations, &preallocation,
                              error))
        return false;
    fixed |= preallocation;
    uint64_t blocks = (create->size + BLOCK_SIZE - 1) / BLOCK_SIZE;
    if (blocks > BLOCKS_MAX)
        return fail(error,
                    "Unsupported VDI image size (size is 0x%" PRIx64 ", max supported is 0x%" PRIx64
                    ")",
                    create->size, (uint64_t)BLOCKS_MAX * BLOCK_SIZE);
    uint64_t bytes = (4 * blocks + SECTOR - 1) / SECTOR * SECTOR;
    struct header h = {
        .text = TEXT,
        .signature = SIGNATURE,
        .version = VERSION,
        .header_size = 0x180,
        .image_type = fixed ? TYPE_STATIC : TYPE_DYNAMIC,
        .offset_table = 0x200,
        .offset_data = 0x200 + bytes,
        .sector_size = SECTOR,
        .disk_size = create->size,
        .block_size = BLOCK_SIZE,
        .blocks = blocks,
        .blocks_allocated = fixed ? blocks : 0,
    };
    uuid_make(h.uuid_image);
    uuid_make(h.uuid_last_snapshot);
    uint64_t length = h.offset_data + (fixed ? blocks * BLOCK_SIZE : 0);
    auto_block *file = block_create_storage(create, length, error);
    if (!file)
        return false;
    g_autofree uint32_t *table = g_try_malloc0(MAX(bytes, SECTOR));
    if (!table)
        return fail(error, "not enough memory for a block map of %" PRIu64 " bytes", bytes);
    for (uint64_t i = 0; i < blocks; i++)
        table[i] = fixed ? i : ENTRY_NONE;
    int result = block_pwrite(file, 0, &h, sizeof(h), 0);
    if (!result && bytes)
        result = block_pwrite(file, h.offset_table, table, bytes, 0);
    if (!result)
        result = block_flush(file);
    return !result || fail(error, "Could not write the VDI header: %s", g_strerror(-result));
}

static bool vdi_measure(json_t *options, uint64_t size, struct block_node *source,
                        struct block_measure *measure, GError **error)
{
    uint64_t blocks = (size + BLOCK_SIZE - 1) / BLOCK_SIZE;
    uint64_t tables = 0x200 + (4 * blocks + SECTOR - 1) / SECTOR * SECTOR;
    measure->required = measure->fully_allocated = tables + blocks * BLOCK_SIZE;
    return true;
}

BLOCK_DRIVER(vdi) = {
    .name = "vdi",
    .serialized = true,
    .state_size = sizeof(struct vdi),
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .lookup = blockmap_lookup,
    .read = blockmap_read,
    .write = blockmap_write,
    .flush = vdi_flush,
    .status = blockmap_status,
    .create_options = vdi_create_options,
    .create = vdi_create,
    .measure = vdi_measure,
    .check = vdi_check,
};

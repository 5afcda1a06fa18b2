/* SPDX-License-Identifier: GPL-2.0-or-later */
/* raw: the disk is the file, or `size` bytes of it from `offset` on. Everything is known at once,
 * so lookup() is all the I/O there is. */
#include "block/driver.h"

struct raw {
    uint64_t offset; /* [const] */
    uint64_t size;   /* [graph] UINT64_MAX: up to the file's end */
};

static int raw_probe(const uint8_t *head, size_t size, const char *filename)
{
    return 1; /* anything can be raw, and nothing says that it is */
}

static bool raw_open(struct block_node *node, json_t *options, GError **error)
{
    struct raw *raw = node->state;

    raw->size = UINT64_MAX;
    if (!options_take_size(options, "offset", &raw->offset, error)
        || !options_take_size(options, "size", &raw->size, error))
        return false;
    /* A part of a file may be used beside others; the whole is what its user makes of it. */
    bool part = raw->offset || raw->size != UINT64_MAX;
    if (!block_open_child(node, options, "file", part ? BLOCK_ROLE_DATA : BLOCK_ROLE_FILTERED,
                          false, error))
        return false;
    uint64_t whole = block_length(node->file);
    if (raw->offset > whole)
        return fail(error,
                    "Offset (%" PRIu64 ") cannot be greater than size of the containing file "
                    "(%" PRIu64 ")",
                    raw->offset, whole);
    if (raw->size != UINT64_MAX && raw->size > whole - raw->offset)
        return fail(error,
                    "The sum of offset (%" PRIu64 ") and size (%" PRIu64 ") has to be smaller "
                    "or equal to the actual size of the containing file (%" PRIu64 ")",
                    raw->offset, raw->size, whole);
    /* A last sector that the file has only a part of is a sector too. */
    uint64_t length = raw->size != UINT64_MAX ? raw->size : whole - raw->offset;
    atomic_store(&node->length, (length + 511) & ~511ull);
    return true;
}

static bool raw_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                       uint64_t length, struct block_extent *extent)
{
    struct raw *raw = node->state;
    *extent = (struct block_extent){ .length = length,
                                     .offset = raw->offset + offset,
                                     .node = node->file };
    return true;
}

static int raw_status(struct block_node *node, uint64_t offset, uint64_t length,
                      struct block_status *status)
{
    struct raw *raw = node->state;
    int error = block_status(node->file, raw->offset + offset, length, status);
    status->flags |= BLOCK_STATUS_ALLOCATED;
    return error;
}

static bool raw_truncate(struct block_node *node, uint64_t length,
                         enum block_preallocation preallocation, GError **error)
{
    struct raw *raw = node->state;

    if (raw->size != UINT64_MAX)
        return fail(error, "Cannot resize fixed-size raw disks");
    if (length > INT64_MAX - raw->offset)
        return fail(error, "Disk size too large for the chosen offset");
    if (!block_truncate(node->file, raw->offset + length, preallocation, error))
        return false;
    atomic_store(&node->length, length);
    return true;
}

static const struct block_create_option raw_create_options[] = {
    { "size", BLOCK_OPTION_SIZE, NULL, "Virtual disk size" },
    {},
};

/* The file itself is all of the image; the protocol takes the other options. */
static bool raw_create(struct block_create *create, GError **error)
{
    auto_block *file = block_create_storage(create, create->size, error);
    return file;
}

static bool raw_measure(json_t *options, uint64_t size, struct block_node *source,
                        struct block_measure *measure, GError **error)
{
    measure->required = measure->fully_allocated = size;
    return true;
}

BLOCK_DRIVER(raw) = {
    .name = "raw",
    .native_fua = true, /* as the file does it */
    .state_size = sizeof(struct raw),
    .probe = raw_probe,
    .open = raw_open,
    .lookup = raw_lookup,
    .status = raw_status,
    .truncate = raw_truncate,
    .create_options = raw_create_options,
    .create = raw_create,
    .measure = raw_measure,
};

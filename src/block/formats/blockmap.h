/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What formats have in common that keep a table of where each block of the disk is in the file:
 * VDI, VPC, Parallels. The format owns its header and table; reading, writing and finding are here.
 *
 * The driver's state begins with a struct blockmap, the driver is `serialized`, and its functions
 * are the ones below. The table is in memory, so nothing here waits but for data.
 *
 * Order of a write to a block that has no place: data, then the table, both before the write ends.
 * A crash in between leaves space that nobody uses. */
#ifndef YADO_BLOCK_FORMATS_BLOCKMAP_H
#define YADO_BLOCK_FORMATS_BLOCKMAP_H

#include "block/driver.h"

enum blockmap_kind { BLOCKMAP_NONE, BLOCKMAP_ZERO, BLOCKMAP_DATA };

struct blockmap_ops {
    /* Where block `index` is: for BLOCKMAP_DATA, `*host` is set to its first byte in the file. */
    enum blockmap_kind (*find)(struct block_node *node, uint64_t index, uint64_t *host);
    /* Room for one block that find() does not place: `*host`, usually the file's end. Nothing is
     * changed yet. 0 or a negative errno. */
    int (*reserve)(struct block_node *node, uint64_t index, uint64_t *host);
    /* The block's data is at `host`: enters it into the table, in memory and in the file. */
    int (*enter)(struct block_node *node, uint64_t index, uint64_t host);
};

struct blockmap {
    const struct blockmap_ops *ops; /* [const] */
    uint32_t block_size;            /* [const] bytes, a power of two */
};

bool blockmap_lookup(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                     uint64_t length, struct block_extent *extent);
int blockmap_read(struct block_node *node, uint64_t offset, struct iov data);
int blockmap_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags);
int blockmap_status(struct block_node *node, uint64_t offset, uint64_t length,
                    struct block_status *status);

/* For find() implementations: whether [host, host + size) lies within the file as it was opened. */
static inline bool blockmap_inside(uint64_t host, uint64_t size, uint64_t file_length)
{
    return host <= file_length && size <= file_length - host;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the file protocols (file.c, file_io.c, file_lock.c): files and devices of the host. */
#ifndef YADO_BLOCK_FILE_H
#define YADO_BLOCK_FILE_H

#include "block/driver.h"

struct file {
    int fd;
    bool is_device; /* a block or character device, not a regular file */
    bool use_ring;  /* aio=io_uring or native; threads: never */
    bool locking;
    unsigned locked_perm, locked_unshared; /* [graph] bits of enum block_permission held as locks */
    atomic_bool no_zero_range, no_punch_hole; /* the host said it cannot */
};

/* Takes and drops byte locks so that they are what `perm` and `shared` mean. On failure, which is
 * another process's contradiction, the old ones stay. `path` is for the message. */
bool file_lock_update(struct file *file, const char *path, unsigned perm, unsigned shared,
                      GError **error);

/* struct block_driver's data functions. */
void file_submit(struct block_node *node, struct block_request *request);
int file_read(struct block_node *node, uint64_t offset, struct iov data);
int file_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags);
int file_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags);
int file_discard(struct block_node *node, uint64_t offset, uint64_t length);
int file_flush(struct block_node *node);
int file_status(struct block_node *node, uint64_t offset, uint64_t length,
                struct block_status *status);

#endif

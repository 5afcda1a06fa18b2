/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run of memory that may lie in several pieces: what a request reads into or writes from.
 *
 * A `struct iov` is a view: it owns nothing, is passed by value, and is cut by iov_slice() without
 * copying. The pieces it points at belong to the caller and outlive it. Any thread. */
#ifndef YADO_BLOCK_IOV_H
#define YADO_BLOCK_IOV_H

#include <sys/uio.h>

#include "util/util.h"

struct iov {
    const struct iovec *vec;
    size_t skip;   /* bytes of vec[0] before the run begins; less than its length if size > 0 */
    uint64_t size; /* bytes of the run; the pieces of `vec` hold at least skip + size */
};

/* `size` bytes at `base`; `storage` must live as long as the result. */
static inline struct iov iov_flat(struct iovec *storage, const void *base, uint64_t size)
{
    *storage = (struct iovec){ .iov_base = (void *)base, .iov_len = size };
    return (struct iov){ .vec = storage, .size = size };
}

/* All bytes of `count` pieces. */
struct iov iov_whole(const struct iovec *vec, size_t count);

/* `size` bytes from byte `at` on; at + size may not be beyond the end. */
struct iov iov_slice(struct iov iov, uint64_t at, uint64_t size);

/* The first piece: its address, and its length in `*size`. */
void *iov_first(struct iov iov, uint64_t *size);

/* Writes the run's pieces into `out`, at most `max` of them, and returns how many there are; they
 * cover `*size` bytes, less than the run's if `max` was not enough. */
unsigned iov_export(struct iov iov, struct iovec *out, unsigned max, uint64_t *size);

void iov_copy_in(struct iov to, const void *from);
void iov_copy_out(struct iov from, void *to);
void iov_fill(struct iov iov, int byte);
bool iov_is_zero(struct iov iov);

/* Every piece begins and ends at a multiple of `alignment` (a power of two). */
bool iov_is_aligned(struct iov iov, size_t alignment);

/* Whether `size` bytes are all zero. */
bool buffer_is_zero(const void *buffer, size_t size);

#endif

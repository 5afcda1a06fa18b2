/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of tables in memory, found by their offset in the file, written back when asked or when
 * room is needed. No locking of its own: the image's lock guards it. */
#ifndef YADO_BLOCK_QCOW2_CACHE_H
#define YADO_BLOCK_QCOW2_CACHE_H

#include "block/block.h"

struct cache;

/* At most `max` pieces of `size` bytes. `make_room` is called when all are in use and the oldest is
 * dirty: it writes dirty pieces back (with cache_write(), in the order its owner wants). */
struct cache *cache_new(struct block_node *file, uint32_t size, unsigned max,
                        int (*make_room)(void *opaque), void *opaque);
/* Dirty pieces are forgotten. */
void cache_free(struct cache *cache);

/* The piece at `offset`, read if need be. Valid until the next cache_get() or cache_make(). */
int cache_get(struct cache *cache, uint64_t offset, void **piece);
/* NULL if it is not in memory. */
void *cache_peek(struct cache *cache, uint64_t offset);
/* A piece full of zeroes, dirty, without reading. */
int cache_make(struct cache *cache, uint64_t offset, void **piece);
/* `piece`: as returned by one of the above. */
void cache_dirty(struct cache *cache, void *piece);
/* Forgets pieces from `offset` to `end`, also dirty ones: the space is used for something else. */
void cache_forget(struct cache *cache, uint64_t offset, uint64_t end);

bool cache_is_dirty(const struct cache *cache);
/* Writes all dirty pieces, adjacent ones together. */
int cache_write(struct cache *cache);
/* Reads many pieces ahead, adjacent ones together; those that fit. `offsets` is sorted. */
int cache_fill(struct cache *cache, const uint64_t *offsets, size_t count);

#endif

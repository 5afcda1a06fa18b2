/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flattened form of an address space; private to src/memory. */
#ifndef YADO_MEMORY_VIEW_H
#define YADO_MEMORY_VIEW_H

#include "memory/memory.h"

/* The part [base, end) of the space in which `region` is the visible one. */
struct range {
    uint64_t base, end;
    uint64_t offset; /* of `base` inside the region */
    const struct region *region;
};

/* Sorted, not overlapping, not changed while published. Holes are not listed. */
struct view {
    size_t count, capacity;
    struct range ranges[];
};

/* An empty view with room for `capacity` ranges; free with g_free(). */
struct view *view_new(size_t capacity);
/* How many ranges the view of so many regions has at most. */
size_t view_capacity(const GPtrArray *regions);

/* Makes `view`, which has the room, that of `regions` (struct region *, oldest first) in a space of
 * `size` bytes. */
void view_fill(struct view *view, const GPtrArray *regions, uint64_t size);

/* Views are filled again while readers that are about to notice may still look at them: this race
 * is meant. */
#define VIEW_RACY __attribute__((no_sanitize("thread")))

/* The range that holds `addr`; NULL in a hole, and then `*hole_end` is where the hole ends. `hint`
 * is where the search starts and is updated: any value is valid, the last answer is the fastest. */
const struct range *view_find(const struct view *view, uint64_t addr, size_t *hint,
                              uint64_t *hole_end);

#endif

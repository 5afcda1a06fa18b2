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

/* Sorted, not overlapping, immutable once published. Holes are not listed. */
struct view {
    size_t count;
    struct range ranges[];
};

/* Builds the view of `regions` (struct region *, oldest first) in a space of `size` bytes. */
struct view *view_build(const GPtrArray *regions, uint64_t size);

/* The range that holds `addr`; NULL in a hole, and then `*hole_end` is where the hole ends. `hint`
 * is where the search starts and is updated: any value is valid, the last answer is the fastest. */
const struct range *view_find(const struct view *view, uint64_t addr, size_t *hint,
                              uint64_t *hole_end);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flattening: from regions that overlap to ranges that do not.
 *
 * The borders of all regions cut the space into elementary pieces; in each piece the region of the
 * highest priority is visible, and of two equal ones the younger. Neighbouring pieces of one region
 * are then one range again. Quadratic in the number of regions, of which a machine has some dozens,
 * and run only when the topology changes.
 *
 *      priority 1        |--- ROM ---|
 *      priority 0  |------------ RAM -------------|
 *      view        | RAM |--- ROM ---|---- RAM
 * ---| */
#include "memory/view.h"

static int compare_borders(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t region_end(const struct region *region, uint64_t space_size)
{
    return MIN(region->base + region->size, space_size);
}

static const struct region *region_visible_at(const GPtrArray *regions, uint64_t addr)
{
    const struct region *best = NULL;
    for (guint i = 0; i < regions->len; i++) {
        const struct region *region = regions->pdata[i];
        if (addr - region->base < region->size && (!best || region->priority >= best->priority))
            best = region;
    }
    return best;
}

VIEW_RACY
static void view_append(struct view *view, const struct region *region, uint64_t base, uint64_t end)
{
    struct range *last = view->count ? &view->ranges[view->count - 1] : NULL;
    if (last && last->region == region && last->end == base) {
        last->end = end;
        return;
    }
    view->ranges[view->count++] = (struct range){
        .base = base,
        .end = end,
        .offset = base - region->base,
        .region = region,
    };
}

struct view *view_new(size_t capacity)
{
    struct view *view = g_malloc0(sizeof(*view) + capacity * sizeof(view->ranges[0]));
    view->capacity = capacity;
    return view;
}

size_t view_capacity(const GPtrArray *regions)
{
    return 2 * regions->len + 1;
}

VIEW_RACY
void view_fill(struct view *view, const GPtrArray *regions, uint64_t size)
{
    g_autofree uint64_t *borders = g_new(uint64_t, view_capacity(regions));
    size_t count = 0;
    assert(view->capacity >= view_capacity(regions));
    view->count = 0;
    for (guint i = 0; i < regions->len; i++) {
        const struct region *region = regions->pdata[i];
        if (region->base < size && region->size) {
            borders[count++] = region->base;
            borders[count++] = region_end(region, size);
        }
    }
    qsort(borders, count, sizeof(*borders), compare_borders);
    for (size_t i = 0; i + 1 < count; i++) {
        if (borders[i] == borders[i + 1])
            continue;
        const struct region *region = region_visible_at(regions, borders[i]);
        if (region)
            view_append(view, region, borders[i], borders[i + 1]);
    }
}

VIEW_RACY
const struct range *view_find(const struct view *view, uint64_t addr, size_t *hint,
                              uint64_t *hole_end)
{
    if (*hint < view->count && addr >= view->ranges[*hint].base && addr < view->ranges[*hint].end)
        return &view->ranges[*hint];

    size_t low = 0, high = view->count; /* the answer's index is in [low, high] */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (addr >= view->ranges[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < view->count && addr >= view->ranges[low].base) {
        *hint = low;
        return &view->ranges[low];
    }
    if (hole_end)
        *hole_end = low < view->count ? view->ranges[low].base : UINT64_MAX;
    return NULL;
}

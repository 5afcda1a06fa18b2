/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flattening: the view agrees, address by address, with a painter who lets the regions cover each
 * other; named cases first, then random ones. */
#include "memory/view.h"

#include "tap.h"

#define SPACE 64

static const struct region *visible_by_paint(struct region *regions, size_t count, uint64_t addr)
{
    const struct region *top = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct region *r = &regions[i];
        if (addr >= r->base && addr < r->base + r->size && (!top || r->priority >= top->priority))
            top = r;
    }
    return top;
}

/* Empty if the view is right, else what is wrong. */
static char *view_check(struct region *regions, size_t count)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    for (size_t i = 0; i < count; i++)
        g_ptr_array_add(list, &regions[i]);
    g_autofree struct view *view = view_new(view_capacity(list));
    view_fill(view, list, SPACE);
    size_t hint = 0;
    for (uint64_t addr = 0; addr < SPACE; addr++) {
        const struct region *want = visible_by_paint(regions, count, addr);
        uint64_t hole_end = 0;
        const struct range *range = view_find(view, addr, &hint, &hole_end);
        if ((range ? range->region : NULL) != want)
            return g_strdup_printf("address %u belongs to the wrong region", (unsigned)addr);
        if (range && range->offset + (addr - range->base) != addr - want->base)
            return g_strdup_printf("address %u has the wrong offset", (unsigned)addr);
        if (!range && hole_end <= addr)
            return g_strdup_printf("the hole at %u ends before it", (unsigned)addr);
    }
    for (size_t i = 1; i < view->count; i++)
        if (view->ranges[i].base == view->ranges[i - 1].end
            && view->ranges[i].region == view->ranges[i - 1].region)
            return g_strdup_printf("ranges %zu and %zu should be one", i - 1, i);
    return NULL;
}

struct view_case {
    const char *name;
    struct region regions[4];
    size_t count;
};

static struct view_case cases[] = {
    { "nothing at all", { { 0 } }, 0 },
    { "one region in the middle", { { .base = 8, .size = 8 } }, 1 },
    { "one region over everything", { { .base = 0, .size = SPACE } }, 1 },
    { "a region that leaves the space", { { .base = 60, .size = 100 } }, 1 },
    { "a region beyond the space", { { .base = 100, .size = 4 } }, 1 },
    { "two neighbours", { { .base = 0, .size = 4 }, { .base = 4, .size = 4 } }, 2 },
    { "a hole in RAM for a device",
      { { .base = 0, .size = 64 }, { .base = 16, .size = 4, .priority = 1 } },
      2 },
    { "of equals the younger", { { .base = 0, .size = 8 }, { .base = 4, .size = 8 } }, 2 },
    { "a lower priority peeps out on both sides",
      { { .base = 10, .size = 4, .priority = 2 }, { .base = 8, .size = 8, .priority = 1 } },
      2 },
    { "three layers",
      { { .base = 0, .size = 32 },
        { .base = 4, .size = 16, .priority = 1 },
        { .base = 8, .size = 4, .priority = 2 } },
      3 },
};

static void test_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autofree char *wrong = NULL;
    for (unsigned round = 0; round < 3000 && !wrong; round++) {
        struct region regions[8];
        size_t count = g_rand_int_range(rand, 0, 9);
        for (size_t i = 0; i < count; i++)
            regions[i] = (struct region){
                .base = g_rand_int_range(rand, 0, SPACE),
                .size = g_rand_int_range(rand, 1, 40),
                .priority = g_rand_int_range(rand, -1, 2),
            };
        wrong = view_check(regions, count);
    }
    if (!tap_ok(!wrong, "3000 random spaces"))
        tap_note("%s", wrong);
}

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *wrong = view_check(cases[i].regions, cases[i].count);
        if (!tap_ok(!wrong, "%s", cases[i].name))
            tap_note("%s", wrong);
    }
    test_random();
    return tap_done();
}

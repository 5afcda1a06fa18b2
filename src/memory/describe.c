/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "memory/memory.h"

/* The layout of QEMU's `info mtree -f`. */
static void describe_range(const struct region *region, uint64_t base, uint64_t size,
                           uint64_t offset, void *opaque)
{
    static const char *const kinds[] = {
        [REGION_IO] = "i/o", [REGION_RAM] = "ram", [REGION_ROM] = "rom"
    };
    GString *text = opaque;

    g_string_append_printf(text, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s", base,
                           base + size - 1, region->priority, kinds[region->kind], region->name);
    if (offset)
        g_string_append_printf(text, " @%016" PRIx64, offset);
    g_string_append_c(text, '\n');
}

char *address_space_describe(struct address_space *space)
{
    GString *text = g_string_new(NULL);

    address_space_visit(space, describe_range, text);
    return g_string_free(text, FALSE);
}

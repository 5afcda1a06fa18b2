/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `-device help` and `-device NAME,help`, in QEMU's form. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hw/device.h"

static const char *const category_names[] = {
#define X(name, text) [DEVICE_CATEGORY_##name] = text,
    DEVICE_CATEGORIES(X)
#undef X
};

static void collect(const struct device_type *type, void *opaque)
{
    if (!type->board_only && type->bus != &bus_system)
        g_ptr_array_add(opaque, (void *)type);
}

static int compare_names(const void *a, const void *b)
{
    const struct device_type *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void print_type(const struct device_type *type)
{
    printf("name \"%s\", bus %s", type->name, type->bus->name);
    if (type->alias)
        printf(", alias \"%s\"", type->alias);
    if (type->description)
        printf(", desc \"%s\"", type->description);
    printf("\n");
}

static void print_category(const GPtrArray *types, enum device_category category, bool first)
{
    bool headed = false;
    for (guint i = 0; i < types->len; i++) {
        const struct device_type *type = types->pdata[i];
        if (type->category != category)
            continue;
        if (!headed)
            printf("%s%s devices:\n", first ? "" : "\n", category_names[category]);
        headed = true;
        print_type(type);
    }
}

static bool has_category(const GPtrArray *types, enum device_category category)
{
    for (guint i = 0; i < types->len; i++)
        if (((const struct device_type *)types->pdata[i])->category == category)
            return true;
    return false;
}

void device_print_help(void)
{
    g_autoptr(GPtrArray) types = g_ptr_array_new();
    bool first = true;
    device_type_visit(collect, types);
    g_ptr_array_sort(types, compare_names);
    /* Those without a category come last, though their number is the first. */
    for (unsigned i = 1; i <= DEVICE_CATEGORY_COUNT; i++) {
        enum device_category category = i % DEVICE_CATEGORY_COUNT;
        print_category(types, category, first);
        first &= !has_category(types, category);
    }
}

/* --- one type's properties ------------------------------------------------------------------- */

static void collect_properties(GPtrArray *all, const struct property *list)
{
    for (const struct property *p = list; p && p->name; p++)
        g_ptr_array_add(all, (void *)p);
}

static int compare_properties(const void *a, const void *b)
{
    const struct property *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void print_default(const struct property *p)
{
    uint64_t value = p->default_value;
    switch (p->kind) {
    case PROPERTY_KIND_BOOL:
        printf(" (default: %s)", value ? "true" : "false");
        break;
    case PROPERTY_KIND_ENUM:
        printf(" (default: \"%s\")", p->names[value]);
        break;
    case PROPERTY_KIND_I32:
    case PROPERTY_KIND_PCI_ADDRESS:
        printf(" (default: %" PRId64 ")", (int64_t)value);
        break;
    case PROPERTY_KIND_U8:
    case PROPERTY_KIND_U16:
    case PROPERTY_KIND_U32:
    case PROPERTY_KIND_U64:
    case PROPERTY_KIND_SIZE:
        printf(" (default: %" PRIu64 ")", value);
        break;
    default: /* nothing unless given */
        break;
    }
}

/* What there is to say beside the kind: the property's own text, or what its kind takes. */
static char *property_help(const struct property *p)
{
    if (p->help)
        return g_strdup(p->help);
    if (p->kind == PROPERTY_KIND_BOOL)
        return g_strdup("on/off");
    if (p->kind == PROPERTY_KIND_ENUM)
        return g_strjoinv("/", (char **)p->names);
    if (p->kind == PROPERTY_KIND_REFERENCE)
        return g_strdup_printf("ID of a %s", p->reference->noun);
    return g_strdup("");
}

bool device_print_properties(const char *name, GError **error)
{
    const struct device_type *type = device_type_find(name);
    if (!type || type->board_only || type->bus == &bus_system)
        return fail(error, "'%s' is not a valid device model name; -device help lists them", name);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    collect_properties(all, type->properties);
    collect_properties(all, type->bus->properties);
    g_ptr_array_sort(all, compare_properties);
    printf(all->len ? "%s options:\n" : "There are no options for %s.\n", type->name);
    for (guint i = 0; i < all->len; i++) {
        const struct property *p = all->pdata[i];
        g_autofree char *help = property_help(p);
        int width = printf("  %s=<%s>", p->name, property_kind_name(p));
        printf("%*s - %s", MAX(24 - width, 0), "", help);
        print_default(p);
        printf("\n");
    }
    return true;
}

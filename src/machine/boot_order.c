/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_order.h"

#include <string.h>

#include "hw/device.h"
#include "hw/pci/pci.h"
#include "vm/vm.h"

#define PCI_ROOT_NODE "/pci@i0cf8" /* by the port of configuration accesses */

struct entry {
    int32_t index;
    const struct device *dev;
};

/* False: the device has no such property, or -1. */
static bool boot_index(const struct device *dev, int32_t *index)
{
    for (const struct property *p = dev->type->properties; p && p->name; p++) {
        if (strcmp(p->name, "bootindex") || p->kind != PROPERTY_KIND_I32)
            continue;
        memcpy(index, (const char *)dev + p->offset, sizeof(*index));
        return *index >= 0;
    }
    return false;
}

/* What firmware adds below a controller that is a disk or a network card by itself. */
static const char *unit_node(const struct device *dev)
{
    const char *name = dev->type->name;
    if (g_str_has_prefix(name, "virtio-blk"))
        return "/disk@0,0";
    if (g_str_has_prefix(name, "nvme"))
        return "/namespace@1,0";
    return dev->type->category == DEVICE_CATEGORY_NETWORK ? "/ethernet-phy@0" : "";
}

char *boot_device_path(const struct device *dev)
{
    g_autoptr(GString) path = g_string_new(unit_node(dev));
    for (; dev && dev->bus; dev = dev->bus->parent) {
        const struct bus_class *class = dev->bus->class;
        g_autofree char *node = class->firmware_node ? class->firmware_node(dev) : NULL;
        if (node) {
            g_string_prepend(path, node);
            g_string_prepend_c(path, '/');
        }
        if (class == &bus_pci && !pci_bus_of(dev->bus)->bridge)
            g_string_prepend(path, PCI_ROOT_NODE);
    }
    return g_strdup(path->str);
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
    const struct entry *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool entries_collect(struct vm *vm, GArray *entries, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        struct entry entry = { .dev = vm->devices->pdata[i] };
        if (boot_index(entry.dev, &entry.index))
            g_array_append_val(entries, entry);
    }
    g_array_sort(entries, compare_entries);
    for (guint i = 1; i < entries->len; i++) {
        int32_t index = g_array_index(entries, struct entry, i).index;
        if (index == g_array_index(entries, struct entry, i - 1).index)
            return fail(error, "The bootindex %d has already been used", index);
    }
    return true;
}

GBytes *boot_order_make(struct vm *vm, bool strict, GError **error)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    g_autoptr(GString) text = g_string_new(NULL);
    if (!entries_collect(vm, entries, error))
        return NULL;
    for (guint i = 0; i < entries->len; i++) {
        g_autofree char *path = boot_device_path(g_array_index(entries, struct entry, i).dev);
        g_string_append_printf(text, "%s%s", text->len ? "\n" : "", path);
    }
    if (strict)
        g_string_append_printf(text, "%sHALT", text->len ? "\n" : "");
    return text->len ? g_bytes_new(text->str, text->len + 1) : NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tree of buses: names, finding, walking. */
#include <stdio.h>
#include <string.h>

#include "hw/device.h"
#include "vm/vm.h"

const struct bus_class bus_system = { .name = "System", .noun = "main-system-bus" };
const struct bus_class bus_isa = { .name = "ISA", .noun = "isa" };

/* Calls `visit` for every bus from `bus` on, outer before inner, until it returns true; that bus.
 */
static struct bus *walk(struct bus *bus, bool (*visit)(const struct bus *bus, const void *opaque),
                        const void *opaque)
{
    if (!bus->class)
        return NULL;
    if (visit(bus, opaque))
        return bus;
    for (guint i = 0; bus->children && i < bus->children->len; i++) {
        const struct device *dev = bus->children->pdata[i];
        for (guint j = 0; dev->buses && j < dev->buses->len; j++) {
            struct bus *found = walk(dev->buses->pdata[j], visit, opaque);
            if (found)
                return found;
        }
    }
    return NULL;
}

static bool is_called(const struct bus *bus, const void *name)
{
    return !strcmp(bus->name, name);
}

static bool has_room(const struct bus *bus, const void *class)
{
    return bus->class == class
           && (!bus->max_devices || !bus->children || bus->children->len < bus->max_devices);
}

struct bus *bus_find(struct vm *vm, const char *name)
{
    return walk(&vm->system_bus, is_called, name);
}

struct bus *bus_find_class(struct vm *vm, const struct bus_class *class)
{
    return walk(&vm->system_bus, has_room, class);
}

struct name_list {
    const struct bus_class *class;
    GPtrArray *names;
};

static bool collect_name(const struct bus *bus, const void *opaque)
{
    const struct name_list *list = opaque;
    if (bus->class == list->class)
        g_ptr_array_add(list->names, bus->name);
    return false;
}

const char *bus_hint(struct vm *vm, const struct bus_class *class, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const struct name_list list = { class, names };
    walk(&vm->system_bus, collect_name, &list);
    g_ptr_array_add(names, NULL);
    return hint_nearest(name, (const char *const *)names->pdata);
}

void bus_visit(struct bus *bus, void (*visit)(struct device *dev, void *opaque), void *opaque)
{
    for (guint i = 0; bus->children && i < bus->children->len; i++) {
        struct device *dev = bus->children->pdata[i];
        visit(dev, opaque);
        for (guint j = 0; dev->buses && j < dev->buses->len; j++)
            bus_visit(dev->buses->pdata[j], visit, opaque);
    }
}

static char *automatic_name(struct vm *vm, const struct bus_class *class,
                            const struct device *parent)
{
    if (parent->id)
        return g_strdup_printf("%s.%u", parent->id, parent->buses ? parent->buses->len : 0);
    for (unsigned i = 0;; i++) {
        g_autofree char *name = g_strdup_printf("%s.%u", class->noun, i);
        if (!bus_find(vm, name))
            return g_steal_pointer(&name);
    }
}

void bus_init(struct bus *bus, const struct bus_class *class, struct device *parent,
              const char *name)
{
    bus->class = class;
    bus->parent = parent;
    bus->children = NULL;
    bus->name = name ? g_strdup(name) : automatic_name(parent->vm, class, parent);
    if (!parent)
        return;
    if (!parent->buses)
        parent->buses = g_ptr_array_new();
    g_ptr_array_add(parent->buses, bus);
}

void bus_destroy(struct bus *bus)
{
    assert(!bus->children);
    if (bus->parent)
        g_ptr_array_remove(bus->parent->buses, bus);
    g_free(bus->name);
    bus->name = NULL;
    bus->class = NULL;
}

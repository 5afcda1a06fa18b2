/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device core: finds types in their linker section, makes instances, plugs them in. */
#include "hw/device.h"

#include <string.h>

#include "util/keyval.h"
#include "vm/vm.h"

/* --- types ----------------------------------------------------------------------------------- */

/* The linker provides the ends of the section that DEVICE_TYPE() fills. */
extern const struct device_type device_types_start[] __asm__("__start_yado_device_types");
extern const struct device_type device_types_end[] __asm__("__stop_yado_device_types");

void device_type_visit(void (*visit)(const struct device_type *type, void *opaque), void *opaque)
{
    for (const struct device_type *type = device_types_start; type < device_types_end; type++)
        visit(type, opaque);
}

static bool type_is_called(const struct device_type *type, const char *name)
{
    return !strcmp(type->name, name) || !g_strcmp0(type->alias, name);
}

const struct device_type *device_type_find(const char *name)
{
    for (const struct device_type *type = device_types_start; type < device_types_end; type++)
        if (type_is_called(type, name))
            return type;
    return NULL;
}

static void collect_name(const struct device_type *type, void *opaque)
{
    if (type->board_only || type->bus == &bus_system)
        return;
    g_ptr_array_add(opaque, (void *)type->name);
    if (type->alias)
        g_ptr_array_add(opaque, (void *)type->alias);
}

static const struct device_type *type_find(const char *name, GError **error)
{
    const struct device_type *type = device_type_find(name);
    if (type)
        return type;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    device_type_visit(collect_name, names);
    g_ptr_array_add(names, NULL);
    fail(error, "'%s' is not a valid device model name%s", name,
         hint_nearest(name, (const char *const *)names->pdata));
    return NULL;
}

/* --- properties ------------------------------------------------------------------------------ */

static void collect_property_names(GPtrArray *names, const struct property *list)
{
    for (const struct property *p = list; p && p->name; p++)
        g_ptr_array_add(names, (void *)p->name);
}

static bool unknown_property(const struct device *dev, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    collect_property_names(names, dev->type->properties);
    collect_property_names(names, dev->type->bus->properties);
    g_ptr_array_add(names, NULL);
    return fail(error, "Property '%s.%s' not found%s", dev->type->name, name,
                hint_nearest(name, (const char *const *)names->pdata));
}

bool device_set(struct device *dev, const char *name, const char *value, GError **error)
{
    const struct property *property = property_find(dev->type, name);
    return property ? property_set(dev, property, value, error)
                    : unknown_property(dev, name, error);
}

void device_set_reference(struct device *dev, const char *name, void *target)
{
    const struct property *property = property_find(dev->type, name);
    assert(property && property->kind == PROPERTY_KIND_REFERENCE);
    *(void **)((char *)dev + property->offset) = target;
}

/* What -global says about the type. */
static bool set_globals(struct device *dev, GError **error)
{
    const GPtrArray *globals = dev->vm->config ? dev->vm->config->globals : NULL;
    for (guint i = 0; globals && i < globals->len; i++) {
        struct vm_global *global = globals->pdata[i];
        if (!type_is_called(dev->type, global->driver))
            continue;
        global->used = true;
        if (!device_set(dev, global->property, global->value, error))
            return fail_prefix(error, "-global %s.%s=%s: ", global->driver, global->property,
                               global->value);
    }
    return true;
}

/* --- creation -------------------------------------------------------------------------------- */

struct device *device_new(struct vm *vm, const char *type_name, const char *id, GError **error)
{
    const struct device_type *type = type_find(type_name, error);
    if (!type)
        return NULL;
    assert(type->size >= sizeof(struct device));
    struct device *dev = g_malloc0(type->size);
    dev->type = type;
    dev->id = g_strdup(id);
    dev->vm = vm;
    pthread_mutex_init(&dev->lock, NULL);
    properties_default(dev);
    if (set_globals(dev, error))
        return dev;
    device_free(dev);
    return NULL;
}

static bool id_is_valid(const char *id)
{
    return g_ascii_isalpha(*id) && !id[strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._")];
}

/* Takes id= and bus= for itself, everything but driver= for the type. */
static bool set_option(struct device *dev, const struct keyval_item *item, GError **error)
{
    if (!strcmp(item->name, "driver"))
        return true;
    if (!strcmp(item->name, "bus")) {
        g_free(dev->bus_name);
        dev->bus_name = g_strdup(item->value);
        return true;
    }
    if (strcmp(item->name, "id"))
        return device_set(dev, item->name, item->value, error);
    if (!id_is_valid(item->value))
        return fail(error,
                    "Parameter 'id' expects an identifier: letters, digits, '-', '.' and '_', "
                    "starting with a letter; '%s' is not",
                    item->value);
    g_free(dev->id);
    dev->id = g_strdup(item->value);
    return true;
}

struct device *device_new_from(struct vm *vm, const struct keyval *options, GError **error)
{
    const char *driver = keyval_get(options, "driver");
    if (!driver) {
        fail(error, "Parameter 'driver' is missing");
        return NULL;
    }
    const struct device_type *type = type_find(driver, error);
    if (type && (type->board_only || type->bus == &bus_system)) {
        fail(error, "Parameter 'driver' expects a pluggable device type; '%s' is a part of boards",
             driver);
        return NULL;
    }
    struct device *dev = type ? device_new(vm, driver, NULL, error) : NULL;
    for (size_t i = 0; dev && i < options->count; i++) {
        if (!set_option(dev, &options->items[i], error)) {
            device_free(dev);
            dev = NULL;
        }
    }
    return dev;
}

struct device *device_find(struct vm *vm, const char *id)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        struct device *dev = vm->devices->pdata[i];
        if (!g_strcmp0(dev->id, id))
            return dev;
    }
    return NULL;
}

/* --- realization ----------------------------------------------------------------------------- */

static struct bus *choose_bus(struct device *dev, GError **error)
{
    const struct bus_class *class = dev->type->bus;
    if (class == &bus_system)
        return &dev->vm->system_bus;
    if (!dev->bus_name) {
        struct bus *bus = bus_find_class(dev->vm, class);
        if (!bus)
            fail(error, "No '%s' bus found for device '%s'", class->name, dev->type->name);
        return bus;
    }
    struct bus *bus = bus_find(dev->vm, dev->bus_name);
    if (!bus)
        fail(error, "Bus '%s' not found%s", dev->bus_name, bus_hint(dev->vm, class, dev->bus_name));
    return bus;
}

static bool may_be_on(const struct device *dev, const struct bus *bus, GError **error)
{
    const struct device_type *type = dev->type;
    if (bus->class != type->bus)
        return fail(error, "Device '%s' can't go on %s bus, but on a bus of type %s", type->name,
                    bus->class->name, type->bus->name);
    if (bus->max_devices && bus->children && bus->children->len >= bus->max_devices)
        return fail(error, "Bus '%s' is full: it takes %u device%s", bus->name, bus->max_devices,
                    bus->max_devices == 1 ? "" : "s");
    if (dev->id && device_find(dev->vm, dev->id))
        return fail(error, "Duplicate ID '%s' for device", dev->id);
    for (guint i = 0; type->single && i < dev->vm->devices->len; i++)
        if (((struct device *)dev->vm->devices->pdata[i])->type == type)
            return fail(error, "there is one %s already, and a machine has at most one",
                        type->name);
    return true;
}

static void bus_leave(struct device *dev)
{
    struct bus *bus = dev->bus;
    if (bus->class->unplug)
        bus->class->unplug(dev);
    dev->bus = NULL;
    g_ptr_array_remove(bus->children, dev);
    if (bus->children->len)
        return;
    g_clear_pointer(&bus->children, g_ptr_array_unref);
    if (!bus->parent) /* the machine's own comes and goes with its devices */
        bus_destroy(bus);
}

static bool realize_plugged(struct device *dev, GError **error)
{
    const struct bus_class *class = dev->bus->class;
    if ((class->plug && !class->plug(dev, error))
        || (dev->type->realize && !dev->type->realize(dev, error)))
        return false;
    if (!class->realized || class->realized(dev, error))
        return true;
    if (dev->type->unrealize)
        dev->type->unrealize(dev);
    return false;
}

bool device_realize_on(struct device *dev, struct bus *bus, GError **error)
{
    if (!bus->class)
        bus_init(bus, &bus_system, NULL, "main-system-bus");
    if (!may_be_on(dev, bus, error))
        return false;
    dev->bus = bus;
    if (!bus->children)
        bus->children = g_ptr_array_new();
    g_ptr_array_add(bus->children, dev);
    if (!realize_plugged(dev, error)) {
        bus_leave(dev);
        return false;
    }
    dev->realized = true;
    g_ptr_array_add(dev->vm->devices, dev);
    device_reset(dev);
    return true;
}

bool device_realize(struct device *dev, GError **error)
{
    struct bus *bus = choose_bus(dev, error);
    return bus && device_realize_on(dev, bus, error);
}

void device_reset(struct device *dev)
{
    if (dev->bus->class->reset)
        dev->bus->class->reset(dev);
    if (!dev->type->reset)
        return;
    pthread_mutex_lock(&dev->lock);
    dev->type->reset(dev);
    pthread_mutex_unlock(&dev->lock);
}

static void free_children(struct device *dev)
{
    for (guint i = dev->buses ? dev->buses->len : 0; i-- > 0;) {
        struct bus *bus = dev->buses->pdata[i];
        while (bus->children)
            device_free(bus->children->pdata[bus->children->len - 1]);
    }
}

void device_free(struct device *dev)
{
    if (!dev)
        return;
    if (dev->realized) {
        free_children(dev);
        g_ptr_array_remove(dev->vm->devices, dev);
        if (dev->type->unrealize)
            dev->type->unrealize(dev);
        bus_leave(dev);
    }
    properties_clear(dev);
    pthread_mutex_destroy(&dev->lock);
    if (dev->buses)
        g_ptr_array_unref(dev->buses);
    g_free(dev->bus_name);
    g_free(dev->id);
    g_free(dev);
}

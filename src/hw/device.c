/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device core: finds types in their linker section, makes instances, parses properties. */
#include "hw/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chardev/chardev.h"
#include "vm/vm.h"

/* The linker provides the ends of the section that DEVICE_TYPE() fills. */
extern const struct device_type device_types_start[] __asm__("__start_yado_device_types");
extern const struct device_type device_types_end[] __asm__("__stop_yado_device_types");

void device_type_visit(void (*visit)(const struct device_type *type, void *opaque), void *opaque)
{
    for (const struct device_type *type = device_types_start; type < device_types_end; type++)
        visit(type, opaque);
}

const struct device_type *device_type_find(const char *name)
{
    for (const struct device_type *type = device_types_start; type < device_types_end; type++)
        if (!strcmp(type->name, name))
            return type;
    return NULL;
}

static void collect_name(const struct device_type *type, void *opaque)
{
    g_ptr_array_add(opaque, (void *)type->name);
}

static const char *hint_nearest_type(const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    device_type_visit(collect_name, names);
    g_ptr_array_add(names, NULL);
    return hint_nearest(name, (const char *const *)names->pdata);
}

/* --- properties ----------------------------------------------------------------------------- */

static void *property_field(struct device *dev, const struct property *property)
{
    return (char *)dev + property->offset;
}

static void property_store(struct device *dev, const struct property *property, uint64_t value)
{
    void *field = property_field(dev, property);
    switch (property->kind) {
    case PROPERTY_KIND_BOOL:
        *(bool *)field = value;
        break;
    case PROPERTY_KIND_U8:
        *(uint8_t *)field = value;
        break;
    case PROPERTY_KIND_U16:
        *(uint16_t *)field = value;
        break;
    case PROPERTY_KIND_U32:
        *(uint32_t *)field = value;
        break;
    case PROPERTY_KIND_U64:
        *(uint64_t *)field = value;
        break;
    case PROPERTY_KIND_STRING:
    case PROPERTY_KIND_CHARDEV:
        break; /* NULL from the allocation */
    }
}

static uint64_t property_max(enum property_kind kind)
{
    switch (kind) {
    case PROPERTY_KIND_U8:
        return UINT8_MAX;
    case PROPERTY_KIND_U16:
        return UINT16_MAX;
    case PROPERTY_KIND_U32:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

static const struct property *property_find(const struct device_type *type, const char *name,
                                            GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct property *p = type->properties; p && p->name; p++) {
        if (!strcmp(p->name, name))
            return p;
        g_ptr_array_add(names, (void *)p->name);
    }
    g_ptr_array_add(names, NULL);
    fail(error, "property '%s' of device '%s' is unknown%s", name, type->name,
         hint_nearest(name, (const char *const *)names->pdata));
    return NULL;
}

static bool parse_bool(const char *text, uint64_t *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "on", true },   { "yes", true }, { "true", true },   { "y", true },
        { "off", false }, { "no", false }, { "false", false }, { "n", false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(text, words[i].word)) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (!g_ascii_isdigit(text[0])) /* strtoull() would take signs and blanks */
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0';
}

bool device_set(struct device *dev, const char *name, const char *value, GError **error)
{
    const struct property *property = property_find(dev->type, name, error);
    if (!property)
        return false;
    uint64_t number = 0;
    switch (property->kind) {
    case PROPERTY_KIND_STRING: {
        char **field = property_field(dev, property);
        g_free(*field);
        *field = g_strdup(value);
        return true;
    }
    case PROPERTY_KIND_CHARDEV: {
        struct chardev **field = property_field(dev, property);
        *field = chardev_find(value);
        return *field
               || fail(error, "property '%s' of device '%s': no chardev has the id '%s'", name,
                       dev->type->name, value);
    }
    case PROPERTY_KIND_BOOL:
        if (!parse_bool(value, &number))
            return fail(error, "property '%s' of device '%s' is 'on' or 'off', not '%s'", name,
                        dev->type->name, value);
        break;
    default:
        if (!parse_number(value, &number))
            return fail(error, "property '%s' of device '%s' is a number, not '%s'", name,
                        dev->type->name, value);
        if (number > property_max(property->kind))
            return fail(error, "property '%s' of device '%s' is at most %" PRIu64 ", not '%s'",
                        name, dev->type->name, property_max(property->kind), value);
        break;
    }
    property_store(dev, property, number);
    return true;
}

/* --- life ----------------------------------------------------------------------------------- */

struct device *device_new(struct vm *vm, const char *type_name, const char *id, GError **error)
{
    const struct device_type *type = device_type_find(type_name);
    if (!type) {
        fail(error, "device '%s' is unknown%s", type_name, hint_nearest_type(type_name));
        return NULL;
    }
    assert(type->size >= sizeof(struct device));
    struct device *dev = g_malloc0(type->size);
    dev->type = type;
    dev->id = g_strdup(id);
    dev->vm = vm;
    pthread_mutex_init(&dev->lock, NULL);
    for (const struct property *p = type->properties; p && p->name; p++)
        property_store(dev, p, p->default_value);
    return dev;
}

bool device_realize(struct device *dev, GError **error)
{
    if (dev->type->realize && !dev->type->realize(dev, error))
        return false;
    dev->realized = true;
    g_ptr_array_add(dev->vm->devices, dev);
    device_reset(dev);
    return true;
}

void device_reset(struct device *dev)
{
    if (!dev->type->reset)
        return;
    pthread_mutex_lock(&dev->lock);
    dev->type->reset(dev);
    pthread_mutex_unlock(&dev->lock);
}

void device_free(struct device *dev)
{
    if (!dev)
        return;
    if (dev->realized) {
        g_ptr_array_remove(dev->vm->devices, dev); /* unless the caller has taken it out */
        if (dev->type->unrealize)
            dev->type->unrealize(dev);
    }
    for (const struct property *p = dev->type->properties; p && p->name; p++)
        if (p->kind == PROPERTY_KIND_STRING)
            g_free(*(char **)property_field(dev, p));
    pthread_mutex_destroy(&dev->lock);
    g_free(dev->id);
    g_free(dev);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -global and -set: properties given apart from their devices. */
#include <string.h>

#include "util/keyval.h"
#include "vm/vm.h"

static bool add(struct vm_config *config, char *driver, char *property, char *value)
{
    struct vm_global *global = g_new0(struct vm_global, 1);
    global->driver = driver;
    global->property = property;
    global->value = value;
    g_ptr_array_add(config->globals, global);
    return true;
}

/* driver=…,property=…,value=…: for drivers with a dot in their name. */
static bool add_long(struct vm_config *config, const char *text, GError **error)
{
    static const char *const names[] = { "driver", "property", "value", NULL };
    auto_keyval *options = keyval_parse(text, NULL, error);
    if (!options)
        return false;
    for (const char *const *name = names; *name; name++)
        if (!keyval_take(options, *name))
            return fail(error, "%s= is missing", *name);
    return keyval_finish(options, names, error)
           && add(config, g_strdup(keyval_get(options, "driver")),
                  g_strdup(keyval_get(options, "property")),
                  g_strdup(keyval_get(options, "value")));
}

bool vm_config_add_global(struct vm_config *config, const char *text, GError **error)
{
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!equals)
        return fail(error, "this is DRIVER.PROPERTY=VALUE, or driver=,property=,value=");
    if (!dot || dot > equals)
        return add_long(config, text, error);
    if (dot == text || equals == dot + 1)
        return fail(error, "DRIVER and PROPERTY of DRIVER.PROPERTY=VALUE are names");
    return add(config, g_strndup(text, dot - text), g_strndup(dot + 1, equals - dot - 1),
               g_strdup(equals + 1));
}

bool vm_config_set(struct vm_config *config, const char *text, GError **error)
{
    const char *equals = strchr(text, '=');
    g_autofree char *path = g_strndup(text, equals ? (size_t)(equals - text) : strlen(text));
    g_auto(GStrv) parts = g_strsplit(path, ".", 3);
    if (!equals || g_strv_length(parts) != 3)
        return fail(error, "this is GROUP.ID.PROPERTY=VALUE");
    if (strcmp(parts[0], "device"))
        return fail(error, "there is no group '%s'; 'device' is one", parts[0]);
    for (guint i = 0; i < config->devices->len; i++) {
        struct keyval *options = config->devices->pdata[i];
        if (!g_strcmp0(keyval_get(options, "id"), parts[1])) {
            keyval_add(options, parts[2], equals + 1);
            return true;
        }
    }
    return fail(error, "there is no device \"%s\" defined", parts[1]);
}

/* A default for a device there is not is allowed, a mistake in names is not. */
bool vm_globals_check(const struct vm_config *config, GError **error)
{
    for (guint i = 0; i < config->globals->len; i++) {
        const struct vm_global *global = config->globals->pdata[i];
        const struct device_type *type = device_type_find(global->driver);
        if (!type) {
            warn("global %s.%s has invalid class name", global->driver, global->property);
            continue;
        }
        if (!property_find(type, global->property))
            return fail(error, "-global %s.%s=%s: Property '%s.%s' not found", global->driver,
                        global->property, global->value, global->driver, global->property);
    }
    return true;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/object.h"

#include <stdio.h>
#include <string.h>

/* The linker provides the ends of the section that OBJECT_TYPE() fills. */
extern const struct object_type object_types_start[] __asm__("__start_yado_object_types");
extern const struct object_type object_types_end[] __asm__("__stop_yado_object_types");

static GPtrArray *objects; /* [main] struct object *, oldest first; NULL: none yet */

/* --- types ---------------------------------------------------------------------------------- */

static int compare_types(const void *a, const void *b)
{
    const struct object_type *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* By name. */
static GPtrArray *types_sorted(void)
{
    GPtrArray *types = g_ptr_array_new();
    for (const struct object_type *type = object_types_start; type < object_types_end; type++)
        g_ptr_array_add(types, (void *)type);
    g_ptr_array_sort(types, compare_types);
    return types;
}

static const struct object_type *type_find(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct object_type *type = object_types_start; type < object_types_end; type++) {
        if (!strcmp(type->name, name))
            return type;
        g_ptr_array_add(names, (void *)type->name);
    }
    g_ptr_array_add(names, NULL);
    fail(error, "invalid object type: %s%s", name,
         hint_nearest(name, (const char *const *)names->pdata));
    return NULL;
}

void object_print_help(void)
{
    g_autoptr(GPtrArray) types = types_sorted();
    printf("List of user creatable objects:\n");
    for (guint i = 0; i < types->len; i++)
        printf("  %s\n", ((const struct object_type *)types->pdata[i])->name);
}

bool object_print_options(const char *name, GError **error)
{
    const struct object_type *type = type_find(name, error);
    if (!type)
        return false;
    printf("%s options:\n", name);
    for (const struct object_option *o = type->options; o && o->name; o++)
        printf("  %s=<%s>%s%s\n", o->name, o->kind, o->help ? " - " : "", o->help ? o->help : "");
    return true;
}

/* --- objects -------------------------------------------------------------------------------- */

static void destroy(struct object *object)
{
    if (object->type->destroy)
        object->type->destroy(object);
    g_free(object->id);
    g_free(object);
}

static bool options_finish(const struct object_type *type, const struct keyval *options,
                           GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct object_option *o = type->options; o && o->name; o++)
        g_ptr_array_add(names, (void *)o->name);
    g_ptr_array_add(names, NULL);
    return keyval_finish(options, (const char *const *)names->pdata, error)
           || fail_prefix(error, "%s: ", type->name);
}

struct object *object_new_internal(const char *type_name, const char *id, struct keyval *options,
                                   GError **error)
{
    const struct object_type *type = type_find(type_name, error);
    if (!type)
        return NULL;
    if (object_find(id)) {
        fail(error, "attempt to add duplicate property '%s' to object (there is one already)", id);
        return NULL;
    }
    struct object *object = g_malloc0(type->size);
    object->type = type;
    object->id = g_strdup(id);
    if (!type->create(object, options, error) || !options_finish(type, options, error)) {
        destroy(object);
        return NULL;
    }
    if (!objects)
        objects = g_ptr_array_new();
    g_ptr_array_add(objects, object);
    return object;
}

/* As QEMU has it: begins with a letter; letters, digits, '-', '.', '_'. */
static bool id_good(const char *id)
{
    if (!g_ascii_isalpha(*id))
        return false;
    for (; *id; id++)
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id))
            return false;
    return true;
}

struct object *object_new(struct keyval *options, GError **error)
{
    const char *type = keyval_take(options, "qom-type");
    const char *id = keyval_take(options, "id");
    if (!type)
        fail(error, "Parameter 'qom-type' is missing");
    else if (!id)
        fail(error, "Parameter 'id' is missing");
    else if (!id_good(id))
        fail(error,
             "Parameter 'id' expects an identifier, not '%s': letters, digits, '-', '.', "
             "'_', and a letter first",
             id);
    else
        return object_new_internal(type, id, options, error);
    return NULL;
}

bool object_text_is_late(const char *text)
{
    auto_keyval *options = keyval_parse_any(text, "qom-type", NULL);
    const char *name = options ? keyval_take(options, "qom-type") : NULL;
    const struct object_type *type = name ? type_find(name, NULL) : NULL;
    return type && type->late;
}

struct object *object_new_text(const char *text, GError **error)
{
    auto_keyval *options = keyval_parse_any(text, "qom-type", error);
    return options ? object_new(options, error) : NULL;
}

struct object *object_find(const char *id)
{
    for (guint i = 0; objects && i < objects->len; i++) {
        struct object *object = objects->pdata[i];
        if (!strcmp(object->id, id))
            return object;
    }
    return NULL;
}

struct object *object_find_type(const char *id, const char *type, GError **error)
{
    struct object *object = object_find(id);
    bool family = g_str_has_suffix(type, "-");
    if (!object)
        fail(error, "no object has the id '%s'", id);
    else if (family ? g_str_has_prefix(object->type->name, type)
                    : !strcmp(object->type->name, type))
        return object;
    else
        fail(error, "object '%s' is a %s, not a %s%s", id, object->type->name, type,
             family ? "…" : "");
    return NULL;
}

struct object *object_ref(struct object *object)
{
    object->users++;
    return object;
}

void object_unref(struct object *object)
{
    object->users--;
}

bool object_delete(const char *id, GError **error)
{
    struct object *object = object_find(id);
    if (!object)
        return fail(error, "object '%s' not found", id);
    if (object->users)
        return fail(error, "object '%s' is in use, can not be deleted", id);
    g_ptr_array_remove(objects, object);
    destroy(object);
    return true;
}

void objects_delete_all(void)
{
    while (objects && objects->len)
        destroy(g_ptr_array_steal_index(objects, objects->len - 1));
    g_clear_pointer(&objects, g_ptr_array_unref);
}

void object_visit(void (*visit)(struct object *object, void *opaque), void *opaque)
{
    for (guint i = 0; objects && i < objects->len; i++)
        visit(objects->pdata[i], opaque);
}

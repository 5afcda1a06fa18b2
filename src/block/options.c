/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/options.h"

#include <stdlib.h>
#include <string.h>

#include "util/keyval.h"

enum { NESTING_MAX = 32 };

/* Puts `value` (stolen) at the dotted `path` below `tree`. */
static bool place(json_t *tree, const char *path, json_t *value, GError **error)
{
    const char *dot = strchr(path, '.');
    g_autofree char *head = dot ? g_strndup(path, dot - path) : g_strdup(path);
    json_t *old = json_object_get(tree, head);

    if (!*head) {
        json_decref(value);
        return fail(error, "option '%s' has an empty part in its name", path);
    }
    if (!dot) {
        if (old && json_is_object(old) && json_is_object(value)) {
            options_merge(old, value);
            json_decref(value);
            return true;
        }
        if (old && json_is_object(old) != json_is_object(value)) {
            json_decref(value);
            return fail(error, "option '%s' is given both as a value and with parts", path);
        }
        if (json_object_set_new(tree, head, value))
            return fail(error, "option '%s' is not valid UTF-8", path);
        return true;
    }
    if (!old) {
        json_object_set_new(tree, head, json_object());
        old = json_object_get(tree, head);
    }
    if (!json_is_object(old)) {
        json_decref(value);
        return fail(error, "option '%s' is given both as a value and with parts", head);
    }
    return place(old, dot + 1, value, error);
}

static json_t *nest(json_t *flat, unsigned depth, GError **error)
{
    auto_json *tree = json_object();
    const char *name;
    json_t *value;

    if (depth > NESTING_MAX) {
        fail(error, "options are nested more than %d deep", NESTING_MAX);
        return NULL;
    }
    json_object_foreach(flat, name, value)
    {
        json_t *inner = json_is_object(value) ? nest(value, depth + 1, error) : json_incref(value);
        if (!inner || !place(tree, name, inner, error))
            return NULL;
    }
    return json_incref(tree);
}

json_t *options_nest(json_t *flat, GError **error)
{
    return nest(flat, 0, error);
}

json_t *options_from_text(const char *text, const char *implied, GError **error)
{
    auto_keyval *keyval = keyval_parse(text, implied, error);
    auto_json *flat = json_object();

    if (!keyval)
        return NULL;
    for (size_t i = 0; i < keyval->count; i++) {
        json_t *value = json_string(keyval->items[i].value);
        if (!value || json_object_set_new(flat, keyval->items[i].name, value)) {
            fail(error, "option %zu is not valid UTF-8", i + 1);
            return NULL;
        }
    }
    return options_nest(flat, error);
}

json_t *options_from_json(const char *text, GError **error)
{
    json_error_t problem;
    auto_json *flat = json_loads(text, JSON_REJECT_DUPLICATES, &problem);

    if (!flat) {
        fail(error, "Could not parse the JSON options: %s at character %d", problem.text,
             problem.position);
        return NULL;
    }
    if (!json_is_object(flat)) {
        fail(error, "Invalid JSON object given");
        return NULL;
    }
    return options_nest(flat, error);
}

json_t *options_copy(json_t *options)
{
    return options ? json_deep_copy(options) : json_object();
}

void options_merge(json_t *options, json_t *more)
{
    const char *name;
    json_t *value;

    if (!more)
        return;
    json_object_foreach(more, name, value)
    {
        json_t *old = json_object_get(options, name);
        if (old && json_is_object(old) && json_is_object(value))
            options_merge(old, value);
        else
            json_object_set(options, name, value);
    }
}

bool options_has(json_t *options, const char *name)
{
    return json_object_get(options, name);
}

void options_set(json_t *options, const char *name, const char *value)
{
    json_object_set_new(options, name, json_string(value));
}

char *options_peek_string(json_t *options, const char *name)
{
    json_t *value = json_object_get(options, name);

    if (json_is_string(value))
        return g_strdup(json_string_value(value));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_boolean(value))
        return g_strdup(json_is_true(value) ? "on" : "off");
    return NULL;
}

char *options_take_string(json_t *options, const char *name)
{
    char *text = options_peek_string(options, name);
    if (text)
        json_object_del(options, name);
    return text;
}

/* False and an error if there is something that no text can be made of. */
static bool take_text(json_t *options, const char *name, char **text, GError **error)
{
    *text = options_take_string(options, name);
    if (!*text && options_has(options, name))
        return fail(error, "option '%s' is a single value", name);
    return true;
}

bool options_take_bool(json_t *options, const char *name, bool *value, GError **error)
{
    g_autofree char *text = NULL;
    if (!take_text(options, name, &text, error))
        return false;
    return !text || parse_bool(name, text, value, error);
}

bool options_take_number(json_t *options, const char *name, uint64_t max, uint64_t *value,
                         GError **error)
{
    g_autofree char *text = NULL;
    if (!take_text(options, name, &text, error))
        return false;
    return !text || parse_unsigned(name, text, max, value, error);
}

bool options_take_size(json_t *options, const char *name, uint64_t *value, GError **error)
{
    g_autofree char *text = NULL;
    if (!take_text(options, name, &text, error))
        return false;
    return !text || parse_size(name, text, 1, value, error);
}

bool options_take_enum(json_t *options, const char *name, const char *const *words, int *value,
                       GError **error)
{
    g_autofree char *text = NULL;
    if (!take_text(options, name, &text, error))
        return false;
    if (!text)
        return true;
    for (int i = 0; words[i]; i++) {
        if (!strcmp(words[i], text)) {
            *value = i;
            return true;
        }
    }
    return fail(error, "Parameter '%s' does not accept value '%s'%s", name, text,
                hint_nearest(text, words));
}

json_t *options_take_object(json_t *options, const char *name)
{
    json_t *value = json_object_get(options, name);
    if (!json_is_object(value))
        return NULL;
    json_incref(value);
    json_object_del(options, name);
    return value;
}

char *options_leftover(json_t *options)
{
    const char *name;
    json_t *value;

    json_object_foreach(options, name, value)
    {
        g_autofree char *inner = json_is_object(value) ? options_leftover(value) : NULL;
        return inner ? g_strdup_printf("%s.%s", name, inner) : g_strdup(name);
    }
    return NULL;
}

/* Members come in the order of QEMU's table of names: by this hash, and within a slot newest first.
 */
static unsigned name_slot(const char *name)
{
    unsigned value = 0x238f13afu * strlen(name);
    for (unsigned i = 0; name[i]; i++)
        value += (unsigned)(signed char)name[i] << (i * 5 % 24);
    return (1103515243u * value + 12345) % 512;
}

struct member {
    const char *name;
    unsigned slot, age;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    if (left->slot != right->slot)
        return left->slot < right->slot ? -1 : 1;
    return left->age < right->age ? 1 : -1;
}

const char **options_order(json_t *object)
{
    size_t size = json_object_size(object);
    g_autofree struct member *members = g_new0(struct member, size + 1);
    const char **names = g_new0(const char *, size + 1), *name;
    unsigned count = 0;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        members[count] = (struct member){ name, name_slot(name), count };
        count++;
    }
    qsort(members, count, sizeof(*members), compare_members);
    for (unsigned i = 0; i < count; i++)
        names[i] = members[i].name;
    return names;
}

static void dump(json_t *value, GString *out)
{
    if (json_is_object(value)) {
        g_autofree const char **names = options_order(value);
        g_string_append_c(out, '{');
        for (unsigned i = 0; names[i]; i++) {
            g_string_append_printf(out, "%s\"%s\": ", i ? ", " : "", names[i]);
            dump(json_object_get(value, names[i]), out);
        }
        g_string_append_c(out, '}');
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    g_string_append(out, text ? text : "null");
    free(text);
}

char *options_dump(json_t *options)
{
    GString *out = g_string_new(NULL);
    dump(options, out);
    return g_string_free(out, FALSE);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option texts in JSON, as libvirt writes them, made the same items as the other form:
 *
 *      {"driver":"nvme","id":"n","addr":"0x3"}        driver=nvme,id=n,addr=0x3
 *      {"node-name":"a","file":{"driver":"file"}}     node-name=a,file.driver=file
 *      {"ports":[1,2]}                                ports.0=1,ports.1=2 */
#include <jansson.h>

#include "util/keyval.h"

#define DEPTH_MAX 32 /* of nested values: more than any option has */

static void item_add(GArray *items, const char *name, char *value)
{
    struct keyval_item item = { .name = g_strdup(name), .value = value };
    g_array_append_val(items, item);
}

static bool flatten(GArray *items, const char *name, const json_t *value, unsigned depth,
                    GError **error);

static bool flatten_object(GArray *items, const char *prefix, const json_t *object, unsigned depth,
                           GError **error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        g_autofree char *name = *prefix ? g_strdup_printf("%s.%s", prefix, key) : g_strdup(key);
        if (!*key)
            return fail(error, "a name in JSON is empty");
        if (!flatten(items, name, value, depth + 1, error))
            return false;
    }
    return true;
}

static bool flatten(GArray *items, const char *name, const json_t *value, unsigned depth,
                    GError **error)
{
    if (depth > DEPTH_MAX)
        return fail(error, "JSON is nested more than %u deep", DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return flatten_object(items, name, value, depth, error);
    case JSON_ARRAY:
        for (size_t i = 0; i < json_array_size(value); i++) {
            g_autofree char *element = g_strdup_printf("%s.%zu", name, i);
            if (!flatten(items, element, json_array_get(value, i), depth + 1, error))
                return false;
        }
        return true;
    case JSON_STRING:
        item_add(items, name, g_strdup(json_string_value(value)));
        return true;
    case JSON_INTEGER:
        item_add(items, name, g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        item_add(items, name, g_strdup(json_is_true(value) ? "on" : "off"));
        return true;
    case JSON_REAL:
        return fail(error, "'%s' is a whole number", name);
    default:
        return fail(error, "'%s' is null, and stands for no value", name);
    }
}

struct keyval *keyval_parse_json(const char *text, GError **error)
{
    json_error_t reason;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &reason);
    if (!root) {
        fail(error, "JSON parse error, %s (line %d, column %d)", reason.text, reason.line,
             reason.column);
        return NULL;
    }
    GArray *items = g_array_new(FALSE, TRUE, sizeof(struct keyval_item));
    bool good = json_is_object(root) ? flatten(items, "", root, 0, error)
                                     : fail(error, "JSON of an option is an object, {…}");
    json_decref(root);
    struct keyval *keyval = g_new0(struct keyval, 1);
    keyval->text = g_strdup(text);
    keyval->count = items->len;
    keyval->items = (struct keyval_item *)g_array_free(items, FALSE);
    if (good)
        return keyval;
    keyval_free(keyval);
    return NULL;
}

struct keyval *keyval_parse_any(const char *text, const char *implied, GError **error)
{
    return *text == '{' ? keyval_parse_json(text, error) : keyval_parse(text, implied, error);
}

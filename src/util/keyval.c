/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/keyval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Moves `*text` past one item and its comma; the result has ",," made ",". */
static char *take_item(const char **text)
{
    GString *item = g_string_new(NULL);
    const char *at = *text;

    for (; *at; at++) {
        if (*at == ',' && *++at != ',')
            break;
        g_string_append_c(item, *at);
    }
    *text = at;
    return g_string_free(item, FALSE);
}

static bool item_split(struct keyval_item *item, const char *text, const char *implied,
                       GError **error)
{
    const char *equals = strchr(text, '=');

    if (!*text || equals == text)
        return fail(error, "an option's name is missing before '%s'", *text ? text : ",");
    if (equals) {
        item->name = g_strndup(text, equals - text);
        item->value = g_strdup(equals + 1);
    } else if (implied) {
        item->name = g_strdup(implied);
        item->value = g_strdup(text);
    } else {
        item->name = g_strdup(text);
        item->value = g_strdup("on");
        item->bare = true;
    }
    return true;
}

struct keyval *keyval_parse(const char *text, const char *implied, GError **error)
{
    g_autoptr(GArray) items = g_array_new(FALSE, TRUE, sizeof(struct keyval_item));
    struct keyval *keyval = g_new0(struct keyval, 1);
    const char *whole = text;
    bool good = true;

    if (!*text && implied)
        good = fail(error, "the %s is missing", implied);
    else if (g_str_has_suffix(text, ",") && !g_str_has_suffix(text, ",,"))
        good = fail(error, "nothing follows the last comma of '%s'", text);
    while (good && *text) {
        struct keyval_item item = { 0 };
        g_autofree char *part = take_item(&text);
        good = item_split(&item, part, items->len ? NULL : implied, error);
        if (good)
            g_array_append_val(items, item);
    }
    keyval->text = g_strdup(whole);
    keyval->count = items->len;
    keyval->items = (struct keyval_item *)g_array_free(g_steal_pointer(&items), FALSE);
    if (good)
        return keyval;
    keyval_free(keyval);
    return NULL;
}

void keyval_free(struct keyval *keyval)
{
    if (!keyval)
        return;
    for (size_t i = 0; i < keyval->count; i++) {
        g_free(keyval->items[i].name);
        g_free(keyval->items[i].value);
    }
    g_free(keyval->items);
    g_free(keyval->text);
    g_free(keyval);
}

const char *keyval_get(const struct keyval *keyval, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < keyval->count; i++)
        if (!strcmp(keyval->items[i].name, name))
            value = keyval->items[i].value;
    return value;
}

void keyval_add(struct keyval *keyval, const char *name, const char *value)
{
    keyval->items = g_renew(struct keyval_item, keyval->items, keyval->count + 1);
    keyval->items[keyval->count++] = (struct keyval_item){
        .name = g_strdup(name),
        .value = g_strdup(value),
    };
}

const char *keyval_take(struct keyval *keyval, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < keyval->count; i++) {
        if (!strcmp(keyval->items[i].name, name)) {
            keyval->items[i].taken = true;
            value = keyval->items[i].value;
        }
    }
    return value;
}

bool keyval_take_bool(struct keyval *keyval, const char *name, bool *value, GError **error)
{
    const char *text = keyval_take(keyval, name);
    return !text || parse_bool(name, text, value, error);
}

bool keyval_take_unsigned(struct keyval *keyval, const char *name, uint64_t max, uint64_t *value,
                          GError **error)
{
    const char *text = keyval_take(keyval, name);
    return !text || parse_unsigned(name, text, max, value, error);
}

bool keyval_finish(const struct keyval *keyval, const char *const *names, GError **error)
{
    for (size_t i = 0; i < keyval->count; i++) {
        const char *name = keyval->items[i].name;
        if (!keyval->items[i].taken)
            return fail(error, "option '%s' is unknown%s", name, hint_nearest(name, names));
    }
    return true;
}

bool parse_bool(const char *name, const char *text, bool *value, GError **error)
{
    static const char *const words[2][5] = {
        { "off", "no", "false", "n", NULL },
        { "on", "yes", "true", "y", NULL },
    };
    for (int sense = 0; sense < 2; sense++) {
        if (g_strv_contains(words[sense], text)) {
            *value = sense;
            return true;
        }
    }
    return fail(error, "%s is 'on' or 'off', not '%s'", name, text);
}

bool parse_unsigned(const char *name, const char *text, uint64_t max, uint64_t *value,
                    GError **error)
{
    char *end;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

    errno = 0;
    /* Base 0 would read "010" as eight; nobody means that. strtoull() takes signs and spaces. */
    uint64_t number = strtoull(text, &end, hex ? 16 : 10);
    if (!g_ascii_isdigit(text[0]) || *end || (hex && !g_ascii_isxdigit(text[2])))
        return fail(error, "%s is a number, not '%s'", name, text);
    if (errno == ERANGE || number > max)
        return fail(error, "%s is at most %" G_GUINT64_FORMAT ", and '%s' is more", name, max,
                    text);
    *value = number;
    return true;
}

/* Powers of 1024 as their suffix letters name them, from 1 for 'b' on; -1 for another letter. */
static int suffix_power(char letter)
{
    static const char letters[] = "bkmgtpe";
    const char *found = strchr(letters, g_ascii_tolower(letter));
    return letter && found ? found - letters : -1;
}

bool parse_size(const char *name, const char *text, uint64_t unit, uint64_t *bytes, GError **error)
{
    char *end;

    errno = 0;
    uint64_t whole = strtoull(text, &end, 10);
    bool too_large = errno == ERANGE;
    double fraction = 0;
    if (!g_ascii_isdigit(text[0]))
        return fail(error, "%s is a size such as 512M or 2G, not '%s'", name, text);
    if (*end == '.' && g_ascii_isdigit(end[1]))
        fraction = g_ascii_strtod(end, &end);
    if (*end) {
        int power = suffix_power(*end);
        if (power < 0 || end[1])
            return fail(error,
                        "%s: '%s' ends in an unknown suffix (b, k, M, G, T, P and E are known)",
                        name, text);
        unit = 1ull << (10 * power);
    }
    if (too_large || __builtin_mul_overflow(whole, unit, &whole)
        || __builtin_add_overflow(whole, (uint64_t)(fraction * unit), bytes))
        return fail(error, "%s: '%s' is more than 16 exabytes", name, text);
    return true;
}

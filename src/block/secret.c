/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/secret.h"

#include <string.h>

struct secret {
    uint8_t *data;
    size_t size;
};

static GHashTable *secrets; /* [main] by id */

static void secret_free(gpointer opaque)
{
    struct secret *secret = opaque;
    explicit_bzero(secret->data, secret->size);
    g_free(secret->data);
    g_free(secret);
}

static bool secret_load(json_t *options, char **data, gsize *size, GError **error)
{
    g_autofree char *file = options_take_string(options, "file");
    g_autofree char *format = options_take_string(options, "format");

    *data = options_take_string(options, "data");
    if (!*data == !file)
        return fail(error, "'file' and 'data' are mutually exclusive, and one must be given");
    if (file && !g_file_get_contents(file, data, size, error))
        return false;
    if (!file)
        *size = strlen(*data);
    if (!g_strcmp0(format, "base64")) {
        g_autofree char *text = g_strndup(*data, *size);
        g_free(*data);
        *data = (char *)g_base64_decode(text, size);
    } else if (format && strcmp(format, "raw")) {
        return fail(error, "a secret's format is 'raw' or 'base64', not '%s'", format);
    }
    return true;
}

bool block_secret_add(json_t *options, GError **error)
{
    g_autofree char *id = options_take_string(options, "id"), *data = NULL;
    gsize size = 0;

    if (!id)
        return fail(error, "Parameter 'id' is missing");
    if (options_has(options, "keyid") || options_has(options, "iv"))
        return fail(error, "secrets encrypted with another secret (keyid, iv) are not supported");
    if (!secret_load(options, &data, &size, error))
        return false;
    g_autofree char *rest = options_leftover(options);
    if (rest)
        return fail(error, "Property 'secret.%s' not found", rest);
    struct secret *secret = g_new0(struct secret, 1);
    secret->data = (uint8_t *)g_steal_pointer(&data);
    secret->size = size;
    if (!secrets)
        secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
    g_hash_table_insert(secrets, g_steal_pointer(&id), secret);
    return true;
}

const uint8_t *block_secret_find(const char *id, size_t *size, GError **error)
{
    struct secret *secret = secrets ? g_hash_table_lookup(secrets, id) : NULL;
    if (!secret) {
        fail(error, "No secret with id '%s'", id);
        return NULL;
    }
    *size = secret->size;
    return secret->data;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backing files: their names, which come from the image and so from anybody, and their opening. */
#include <errno.h>
#include <string.h>

#include "block/graph.h"

char *block_path_combine(const char *filename, const char *backing, GError **error)
{
    g_autofree char *protocol = block_name_protocol(backing);

    if (g_path_is_absolute(backing) || protocol)
        return g_strdup(backing);
    if (g_str_has_prefix(filename, "json:")) {
        fail(error, "Cannot generate a base directory with the extension '%s'", filename);
        return NULL;
    }
    const char *slash = strrchr(filename, '/');
    const char *colon = strchr(filename, ':');
    const char *end = slash ? slash + 1 : filename;
    g_autofree char *own = block_name_protocol(filename);
    if (!slash && own)
        end = colon + 1;
    return g_strdup_printf("%.*s%s", (int)(end - filename), filename, backing);
}

/* Fills in what the header says, where the user's options do not say otherwise. */
static bool header_options(struct block_node *node, json_t *backing, GError **error)
{
    g_autofree char *format = NULL;
    g_autofree char *name =
        node->driver->backing_name ? node->driver->backing_name(node, &format) : NULL;
    if (!name || options_has(backing, "file") || options_has(backing, "filename"))
        return true;
    const char *own = node->file->filename ? node->file->filename : "";
    g_autofree char *path = block_path_combine(own, name, error);
    if (!path)
        return false;
    if (open_is_cyclic(path))
        return fail(error, "Backing file '%s' of '%s' has it as its own backing file", path, own);
    options_set(backing, "filename", path);
    if (format && !options_has(backing, "driver") && !g_str_has_prefix(path, "json:")) {
        const struct block_driver *driver = block_driver_find(format);
        if (!driver)
            return fail(error, "Unknown driver '%s'", format);
        options_set(backing, "driver", format);
        if (!driver->is_protocol) {
            auto_json *file = json_object();
            options_set(file, "filename", path);
            json_object_set(backing, "file", file);
            json_object_del(backing, "filename");
        }
    }
    return true;
}

bool block_open_backing(struct block_node *node, json_t *options, GError **error)
{
    json_t *given = json_object_get(options, "backing");

    if (json_is_null(given) || (json_is_string(given) && !*json_string_value(given))) {
        json_object_del(options, "backing");
        return true;
    }
    if (json_is_string(given))
        return block_open_child(node, options, "backing", BLOCK_ROLE_BACKING, false, error);
    auto_json *backing = given ? options_take_object(options, "backing") : json_object();
    if (node->flags & BLOCK_OPEN_NO_BACKING)
        return true;
    if (!backing)
        return fail(error, "A block device must be specified for \"backing\"");
    if (!header_options(node, backing, error))
        return false;
    if (!json_object_size(backing))
        return true;
    unsigned flags = node->flags & ~(BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_CHECK);
    struct block_node *base = block_open_options(backing, flags, error);
    if (!base)
        return fail_prefix(error, "Could not open backing file: ");
    return child_link(node, "backing", BLOCK_ROLE_BACKING, base, 0, BLOCK_PERM_ALL, error);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening: from a name or a tree of options to a graph of nodes. */
#include <errno.h>
#include <string.h>

#include "block/graph.h"

enum { PROBE_BYTES = 2048, DEPTH_MAX = 256 };

/* The images whose opening is under way, outermost first, to find cycles. */
static GPtrArray *opening; /* [main] char *, canonical names */

static struct block_node *open_tree(json_t *options, unsigned flags, GError **error);

/* ---- Options every node has ---- */

static bool flag_option(json_t *options, const char *name, unsigned bit, unsigned *flags,
                        GError **error)
{
    bool value = *flags & bit;
    if (!options_take_bool(options, name, &value, error))
        return false;
    *flags = value ? *flags | bit : *flags & ~bit;
    return true;
}

static bool cache_options(json_t *options, unsigned *flags, GError **error)
{
    auto_json *cache = options_take_object(options, "cache");
    bool ignored;

    if (!cache)
        return true;
    if (!flag_option(cache, "direct", BLOCK_OPEN_DIRECT, flags, error)
        || !flag_option(cache, "no-flush", BLOCK_OPEN_NO_FLUSH, flags, error)
        || !options_take_bool(cache, "writeback", &ignored, error))
        return false;
    g_autofree char *rest = options_leftover(cache);
    return !rest || fail(error, "option 'cache.%s' is unknown", rest);
}

struct common {
    char *driver, *name;
    unsigned flags;
    int discard, detect_zeroes;
};

static void common_clear(struct common *common)
{
    g_free(common->driver);
    g_free(common->name);
}

static bool common_options(json_t *options, struct common *common, GError **error)
{
    static const char *const discard_words[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const detect_words[] = { "off", "on", "unmap", NULL };
    bool read_only = !(common->flags & BLOCK_OPEN_RW);

    common->driver = options_take_string(options, "driver");
    common->name = options_take_string(options, "node-name");
    common->discard = -1;
    if (!cache_options(options, &common->flags, error)
        || !options_take_bool(options, "read-only", &read_only, error)
        || !flag_option(options, "auto-read-only", BLOCK_OPEN_AUTO_READ_ONLY, &common->flags, error)
        || !flag_option(options, "force-share", BLOCK_OPEN_FORCE_SHARE, &common->flags, error)
        || !options_take_enum(options, "discard", discard_words, &common->discard, error)
        || !options_take_enum(options, "detect-zeroes", detect_words, &common->detect_zeroes,
                              error))
        return false;
    common->flags = read_only ? common->flags & ~BLOCK_OPEN_RW : common->flags | BLOCK_OPEN_RW;
    if (common->discard >= 0)
        common->flags = common->discard >= 2 ? common->flags | BLOCK_OPEN_UNMAP
                                             : common->flags & ~BLOCK_OPEN_UNMAP;
    if ((common->flags & BLOCK_OPEN_FORCE_SHARE) && (common->flags & BLOCK_OPEN_RW))
        return fail(error, "force-share=on can only be used with read-only images");
    if (common->detect_zeroes == BLOCK_DETECT_UNMAP && !(common->flags & BLOCK_OPEN_UNMAP))
        return fail(error, "setting detect-zeroes to unmap is not allowed without setting discard "
                           "operation to unmap");
    return true;
}

/* ---- Names ---- */

static const char *const plain_options[] = {
    "driver",        "node-name", "read-only", "auto-read-only", "force-share", "cache", "discard",
    "detect-zeroes", "file",      "filename",  "locking",        "aio",         NULL
};

/* A name that opens the same again: the file's own, unless options say more than it. */
static void name_set(struct block_node *node)
{
    const char *option;
    json_t *value;
    bool plain =
        node->filename
        || (node->file && node->file->filename && !g_str_has_prefix(node->file->filename, "json:"));

    json_object_foreach(node->options, option, value) plain &=
        g_strv_contains(plain_options, option);
    if (plain && !node->filename)
        node->filename = g_strdup(node->file->filename);
    if (plain)
        return;
    auto_json *full = json_deep_copy(node->options);
    json_object_del(full, "node-name");
    json_object_set_new(full, "driver", json_string(node->driver->name));
    if (node->file)
        json_object_set_new(full, "file",
                            node->file->options ? json_deep_copy(node->file->options)
                                                : json_object());
    g_autofree char *text = options_dump(full);
    g_free(node->filename);
    node->filename = g_strdup_printf("json:%s", text);
}

bool open_is_cyclic(const char *filename)
{
    g_autofree char *canonical = g_canonicalize_filename(filename, NULL);
    for (guint i = 0; opening && i < opening->len; i++) {
        if (!strcmp(opening->pdata[i], canonical))
            return true;
    }
    return false;
}

/* ---- One node ---- */

static bool driver_open(struct block_node *node, json_t *options, GError **error)
{
    if (!node->driver->open(node, options, error))
        return false;
    if (node->driver->supports_backing && !block_open_backing(node, options, error)) {
        if (node->driver->close)
            node->driver->close(node);
        return false;
    }
    g_autofree char *rest = options_leftover(options);
    if (!rest)
        return true;
    if (node->driver->close)
        node->driver->close(node);
    return node->driver->is_protocol
               ? fail(error, "Block protocol '%s' doesn't support the option '%s'",
                      node->driver->name, rest)
               : fail(error, "Block format '%s' does not support the option '%s'",
                      node->driver->name, rest);
}

/* `options`: the driver's own, consumed. `full`: all, to be remembered. */
static struct block_node *open_node(const struct block_driver *driver, struct common *common,
                                    json_t *options, json_t *full, GError **error)
{
    struct block_node *node = node_new(driver, common->name, error);

    if (!node)
        return NULL;
    node->flags = common->flags;
    node->read_only = !(common->flags & BLOCK_OPEN_RW);
    node->detect_zeroes = common->detect_zeroes;
    node->options = json_deep_copy(full);
    json_object_set_new(node->options, "driver", json_string(driver->name));
    if (!driver_open(node, options, error)) {
        node_free(node);
        return NULL;
    }
    name_set(node);
    return node;
}

/* Opens the file below an image whose format is not told, and finds the format. The file becomes
 * options["file"], by name; it has one reference, which the caller drops. */
static struct block_node *open_and_probe(json_t *options, struct common *common,
                                         const struct block_driver **driver, GError **error)
{
    json_t *inner = json_object_get(options, "file");
    struct block_node *file = NULL;
    uint8_t head[PROBE_BYTES] = { 0 };

    if (json_is_string(inner)) {
        file = block_find(json_string_value(inner));
        if (!file) {
            fail(error, "Cannot find device='' nor node-name='%s'", json_string_value(inner));
            return NULL;
        }
        block_ref(file);
    } else if (json_is_object(inner)) {
        auto_json *copy = json_deep_copy(inner);
        unsigned flags = common->flags | BLOCK_OPEN_PROTOCOL | BLOCK_OPEN_UNMAP;
        file = open_tree(copy, flags, error);
    } else {
        fail(error, "A block device must be specified for \"file\"");
    }
    if (!file)
        return NULL;
    uint64_t length = MIN(block_length(file), PROBE_BYTES);
    int result = block_pread(file, 0, head, length);
    if (result) {
        errno = -result;
        fail_errno(error, "Could not read image for determining its format");
        block_unref(file);
        return NULL;
    }
    *driver = block_driver_probe(head, length, file->filename);
    json_object_set_new(options, "file", json_string(file->name));
    return file;
}

/* Moves a "filename" to where it belongs: into the protocol's options, or below a format. Sets
 * `*driver` if the name decides it. */
static bool place_filename(json_t *options, const struct block_driver **driver, bool protocol,
                           GError **error)
{
    g_autofree char *filename = options_peek_string(options, "filename");

    if (!filename)
        return true;
    if (!*driver && !protocol) {
        if (options_has(options, "file"))
            return fail(error, "options 'filename' and 'file' contradict each other");
        json_object_del(options, "filename");
        auto_json *file = json_object();
        options_set(file, "filename", filename);
        json_object_set(options, "file", file);
        return true;
    }
    if (*driver && !(*driver)->is_protocol)
        return true;       /* its open() complains */
    bool named = !*driver; /* then the name may have a prefix */
    if (!*driver)
        *driver = block_driver_protocol(filename, error);
    if (!*driver)
        return false;
    if (!named)
        return true;
    json_object_del(options, "filename");
    if ((*driver)->parse_filename)
        return (*driver)->parse_filename(filename, options, error);
    g_autofree char *prefix = block_name_protocol(filename);
    options_set(options, "filename", prefix ? filename + strlen(prefix) + 1 : filename);
    return true;
}

/* "json:{…}" as a file name stands for its options. */
static bool expand_json(json_t *options, GError **error)
{
    g_autofree char *filename = options_peek_string(options, "filename");

    if (!filename || !g_str_has_prefix(filename, "json:"))
        return true;
    auto_json *inner = options_from_json(filename + strlen("json:"), error);
    if (!inner)
        return false;
    json_object_del(options, "filename");
    options_merge(inner, options);
    json_object_clear(options);
    json_object_update(options, inner);
    return true;
}

/* Consumes `options`. */
static struct block_node *open_tree(json_t *options, unsigned flags, GError **error)
{
    __attribute__((cleanup(common_clear))) struct common common = { .flags = flags };
    auto_json *full = NULL;
    const struct block_driver *driver = NULL;
    auto_block *file = NULL;
    bool probed = false;

    if (!expand_json(options, error) || !common_options(options, &common, error))
        return NULL;
    if (common.driver && !(driver = block_driver_find(common.driver))) {
        fail(error, "Unknown driver '%s'", common.driver);
        return NULL;
    }
    bool protocol = flags & BLOCK_OPEN_PROTOCOL;
    common.flags &= ~BLOCK_OPEN_PROTOCOL;
    if (!place_filename(options, &driver, protocol, error))
        return NULL;
    full = json_deep_copy(options);
    if (!driver) {
        if (!options_has(options, "file")) {
            fail(error, "Must specify either driver or file");
            return NULL;
        }
        file = open_and_probe(options, &common, &driver, error);
        if (!file)
            return NULL;
        probed = true;
    }
    struct block_node *node = open_node(driver, &common, options, full, error);
    if (node && probed && !strcmp(driver->name, "raw"))
        node->probed_raw = true;
    return node;
}

/* ---- Public ---- */

struct block_node *block_open_options(json_t *options, unsigned flags, GError **error)
{
    if (!opening)
        opening = g_ptr_array_new_with_free_func(g_free);
    if (opening->len >= DEPTH_MAX) {
        fail(error, "The chain of backing files is longer than %d", DEPTH_MAX);
        return NULL;
    }
    g_autofree char *filename = options_peek_string(options, "filename");
    if (!filename && json_is_object(json_object_get(options, "file")))
        filename = options_peek_string(json_object_get(options, "file"), "filename");
    g_ptr_array_add(opening, g_canonicalize_filename(filename ? filename : "", NULL));
    auto_json *copy = json_deep_copy(options);
    struct block_node *node = open_tree(copy, flags, error);
    g_ptr_array_set_size(opening, opening->len - 1);
    return node;
}

struct block_node *block_open(const char *filename, const char *format, json_t *options,
                              unsigned flags, GError **error)
{
    auto_json *tree = options_copy(options);

    if (!filename[0]) {
        fail(error, "The 'file' block driver requires a file name");
        return NULL;
    }
    if (format && !g_str_has_prefix(filename, "json:")) {
        const struct block_driver *driver = block_driver_find(format);
        if (!driver) {
            fail(error, "Unknown driver '%s'", format);
            return NULL;
        }
        if (!driver->is_protocol && !options_has(tree, "file")) {
            auto_json *file = json_object();
            options_set(file, "filename", filename);
            json_object_set(tree, "file", file);
            filename = NULL;
        }
    }
    if (format)
        options_set(tree, "driver", format);
    if (filename)
        options_set(tree, "filename", filename);
    return block_open_options(tree, flags, error);
}

static struct block_node *child_open(struct block_node *node, json_t *options, const char *name,
                                     enum block_role role, GError **error)
{
    json_t *value = json_object_get(options, name);

    if (json_is_string(value)) {
        struct block_node *child = block_find(json_string_value(value));
        if (!child)
            fail(error, "Cannot find device='' nor node-name='%s'", json_string_value(value));
        else
            block_ref(child);
        json_object_del(options, name);
        return child;
    }
    if (!json_is_object(value)) {
        fail(error, "A block device must be specified for \"%s\"", name);
        return NULL;
    }
    auto_json *inner = options_take_object(options, name);
    unsigned flags = node->flags | BLOCK_OPEN_UNMAP;
    if (role == BLOCK_ROLE_BACKING)
        flags = (flags & ~(BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE)) | (node->flags & BLOCK_OPEN_UNMAP);
    else
        flags |= BLOCK_OPEN_PROTOCOL;
    return open_tree(inner, flags, error);
}

bool block_open_child(struct block_node *node, json_t *options, const char *name,
                      enum block_role role, bool optional, GError **error)
{
    if (optional && !options_has(options, name))
        return true;
    struct block_node *child = child_open(node, options, name, role, error);
    if (!child)
        return false;
    /* The file could not be written, and nobody insisted: so the image cannot either. */
    if (role != BLOCK_ROLE_BACKING && child->read_only && !node->read_only) {
        if (!(node->flags & BLOCK_OPEN_AUTO_READ_ONLY)) {
            block_unref(child);
            return fail(error, "Block node is read-only");
        }
        node->read_only = true;
    }
    return child_link(node, name, role, child, 0, BLOCK_PERM_ALL, error);
}

bool block_open_file(struct block_node *node, json_t *options, GError **error)
{
    return block_open_child(node, options, "file", BLOCK_ROLE_STORAGE, false, error);
}

bool block_open_child_named(struct block_node *node, const char *filename, const char *name,
                            enum block_role role, GError **error)
{
    auto_json *options = json_object();
    auto_json *inner = json_object();

    options_set(inner, "filename", filename);
    json_object_set(options, name, inner);
    return block_open_child(node, options, name, role, false, error);
}

bool block_cache_mode(const char *mode, unsigned *flags, bool *writethrough, GError **error)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool writethrough;
    } modes[] = {
        { "none", BLOCK_OPEN_DIRECT, false },      { "off", BLOCK_OPEN_DIRECT, false },
        { "directsync", BLOCK_OPEN_DIRECT, true }, { "writeback", 0, false },
        { "unsafe", BLOCK_OPEN_NO_FLUSH, false },  { "writethrough", 0, true },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(modes[i].name, mode)) {
            *flags = (*flags & ~(BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH)) | modes[i].flags;
            *writethrough = modes[i].writethrough;
            return true;
        }
    }
    return fail(error,
                "cache mode '%s' is none of none, writethrough, writeback, unsafe and "
                "directsync",
                mode);
}

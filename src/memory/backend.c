/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/backend.h"

#include <string.h>

#include "util/object.h"

struct memory_backend {
    struct object object;
    struct guest_ram_options options;
    char *path;
    uint64_t size;
};

static struct memory_backend *backend_of(struct object *object)
{
    return container_of(object, struct memory_backend, object);
}

/* "0", "0-3"; repeated for more. */
static bool nodes_parse(const char *text, uint64_t *nodes, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    uint64_t first, last;
    if (!parse_unsigned("host-nodes", ends[0], 63, &first, error))
        return false;
    last = first;
    if (ends[1] && !parse_unsigned("host-nodes", ends[1], 63, &last, error))
        return false;
    if (last < first)
        return fail(error, "host-nodes=%s: the range ends before it begins", text);
    for (uint64_t node = first; node <= last; node++)
        *nodes |= 1ull << node;
    return true;
}

static bool policy_take(struct keyval *options, struct guest_ram_options *ram, GError **error)
{
    static const char *const names[] = { "default", "preferred", "bind", "interleave", NULL };
    const char *policy = keyval_take(options, "policy");
    keyval_take(options, "host-nodes");
    for (size_t i = 0; i < options->count; i++)
        if (!strcmp(options->items[i].name, "host-nodes")
            && !nodes_parse(options->items[i].value, &ram->host_nodes, error))
            return false;
    for (int i = 0; policy && names[i]; i++)
        if (!strcmp(names[i], policy))
            ram->policy = i;
    if (policy && strcmp(policy, names[ram->policy]))
        return fail(error, "policy=%s: it is default, preferred, bind or interleave", policy);
    if (!ram->policy != !ram->host_nodes)
        return fail(error,
                    ram->policy ? "host-nodes must be set for policy %s"
                                : "host-nodes must be empty for policy %s",
                    names[ram->policy]);
    return true;
}

static bool common_take(struct memory_backend *backend, struct keyval *options, GError **error)
{
    struct guest_ram_options *ram = &backend->options;
    const char *size = keyval_take(options, "size");
    uint64_t threads = 0;
    bool reserve = true;
    if (!size)
        return fail(error, "can't create backend with size 0: size= is missing");
    return parse_size("size", size, 1, &backend->size, error)
           && keyval_take_bool(options, "share", &ram->share, error)
           && keyval_take_bool(options, "prealloc", &ram->prealloc, error)
           && keyval_take_unsigned(options, "prealloc-threads", 256, &threads, error)
           && keyval_take_bool(options, "reserve", &reserve, error)
           && keyval_take_bool(options, "merge", &ram->merge, error)
           && keyval_take_bool(options, "dump", &ram->dump, error)
           && policy_take(options, ram, error);
}

static bool ram_create(struct object *object, struct keyval *options, GError **error)
{
    struct memory_backend *backend = backend_of(object);
    backend->options.merge = backend->options.dump = true;
    return common_take(backend, options, error);
}

static bool memfd_create_backend(struct object *object, struct keyval *options, GError **error)
{
    struct memory_backend *backend = backend_of(object);
    bool seal = true;
    backend->options.merge = backend->options.dump = backend->options.share = true;
    const char *huge = keyval_take(options, "hugetlbsize");
    return common_take(backend, options, error) && keyval_take_bool(options, "seal", &seal, error)
           && keyval_take_bool(options, "hugetlb", &backend->options.hugetlb, error)
           && (!huge || parse_size("hugetlbsize", huge, 1, &backend->options.hugetlb_bytes, error));
}

static bool file_create(struct object *object, struct keyval *options, GError **error)
{
    struct memory_backend *backend = backend_of(object);
    bool discard = false;
    const char *path = keyval_take(options, "mem-path");
    backend->options.merge = backend->options.dump = true;
    if (!path)
        return fail(error, "mem-path property not set");
    backend->path = g_strdup(path);
    backend->options.path = backend->path;
    return common_take(backend, options, error)
           && keyval_take_bool(options, "discard-data", &discard, error);
}

static void backend_destroy(struct object *object)
{
    g_free(backend_of(object)->path);
}

#define COMMON_OPTIONS \
    { "size", "size", "bytes, or with k, M, G, T" }, \
        { "share", "bool", "other processes can map it" }, \
        { "prealloc", "bool", "take all of it at the start" }, \
        { "prealloc-threads", "int", "accepted" }, { "reserve", "bool", "accepted" }, \
        { "merge", "bool", "equal pages may be merged (KSM)" }, \
        { "dump", "bool", "part of core dumps" }, \
        { "host-nodes", "nodes", "NUMA nodes of the host, as 0-1" }, \
    { \
        "policy", "enum", "default, preferred, bind, interleave" \
    }

static const struct object_option ram_options[] = { COMMON_OPTIONS, {} };
static const struct object_option memfd_options[] = {
    COMMON_OPTIONS,
    { "hugetlb", "bool", "of huge pages" },
    { "hugetlbsize", "size", "which huge pages" },
    { "seal", "bool", "accepted" },
    {},
};
static const struct object_option file_options[] = {
    COMMON_OPTIONS,
    { "mem-path", "string", "a file, or a folder such as /dev/hugepages" },
    { "discard-data", "bool", "accepted" },
    {},
};

OBJECT_TYPE(memory_backend_ram) = {
    .name = "memory-backend-ram",
    .description = "anonymous memory",
    .size = sizeof(struct memory_backend),
    .options = ram_options,
    .create = ram_create,
};

OBJECT_TYPE(memory_backend_memfd) = {
    .name = "memory-backend-memfd",
    .description = "memory of a nameless file",
    .size = sizeof(struct memory_backend),
    .options = memfd_options,
    .create = memfd_create_backend,
};

OBJECT_TYPE(memory_backend_file) = {
    .name = "memory-backend-file",
    .description = "memory of a file",
    .size = sizeof(struct memory_backend),
    .options = file_options,
    .create = file_create,
    .destroy = backend_destroy,
};

const struct guest_ram_options *memory_backend_find(const char *id, uint64_t *size, GError **error)
{
    struct object *object = object_find_type(id, "memory-backend-", error);
    if (!object)
        return NULL;
    *size = backend_of(object)->size;
    return &backend_of(object)->options;
}

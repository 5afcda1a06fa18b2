/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Creating images. The options of one image are those of its format and of its protocol. */
#include <string.h>

#include "block/driver.h"

static bool create_protocol(struct block_create *create, GError **error)
{
    const struct block_driver *driver = block_driver_protocol(create->filename, error);

    if (!driver)
        return false;
    if (!driver->create)
        return fail(error, "Protocol driver '%s' does not support image creation", driver->name);
    return driver->create(create, error);
}

struct block_node *block_create_storage(struct block_create *create, uint64_t length,
                                        GError **error)
{
    struct block_create storage = *create;
    storage.size = length;

    if (!create_protocol(&storage, error))
        return NULL;
    return block_open(create->filename, NULL, NULL,
                      BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_PROTOCOL | BLOCK_OPEN_UNMAP,
                      error);
}

bool block_create(const char *format, const char *filename, json_t *options, GError **error)
{
    const struct block_driver *driver = block_driver_find(format);
    auto_json *own = options_copy(options);
    uint64_t size = 0;

    if (!driver)
        return fail(error, "Unknown file format '%s'", format);
    if (!driver->create)
        return fail(error, "Format driver '%s' does not support image creation", format);
    if (!options_take_size(own, "size", &size, error))
        return false;
    if (size > INT64_MAX)
        return fail(error, "Image size must be less than 8 EiB!");
    struct block_create create = { .filename = filename, .size = size, .options = own };
    if (!driver->create(&create, error))
        return false;
    g_autofree char *rest = options_leftover(own);
    return !rest || fail(error, "Invalid parameter '%s'", rest);
}

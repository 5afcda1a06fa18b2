/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img rebase: gives an image another backing file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "img/img.h"

enum { CHUNK = 2 << 20 };

struct rebase {
    struct block_node *top, *old, *new;
    uint8_t *old_data, *new_data;
};

/* Writes into the top layer where the backing files differ and it has nothing. */
static int copy_difference(struct rebase *r, uint64_t offset, uint64_t length)
{
    uint32_t unit = MAX(r->top->cluster_size, 512u);
    int error = block_pread(r->top, offset, r->old_data, length);

    if (!error && r->new)
        error = block_pread(r->new, offset, r->new_data, length);
    else
        memset(r->new_data, 0, length);
    for (uint64_t at = 0; at < length && !error;) {
        uint64_t part = MIN(unit - (offset + at) % unit, length - at);
        if (memcmp(r->old_data + at, r->new_data + at, part)) {
            error = buffer_is_zero(r->old_data + at, part)
                        ? block_write_zeroes(r->top, offset + at, part, 0)
                        : block_pwrite(r->top, offset + at, r->old_data + at, part, 0);
        }
        at += part;
    }
    return error;
}

static int rebase_safe(struct rebase *r)
{
    uint64_t size = block_length(r->top);
    int error = 0;

    for (uint64_t offset = 0; offset < size && !error;) {
        struct block_status status, above;
        error = block_status(r->top, offset, MIN(size - offset, CHUNK), &status);
        if (error)
            break;
        uint64_t length = status.length;
        if (!(status.flags & BLOCK_STATUS_ALLOCATED)) {
            /* Layers that both chains share need not be compared; zero everywhere is quick too. */
            error = block_status_above(r->top, NULL, offset, length, &above);
            length = error ? length : MIN(length, above.length);
            bool zero = (above.flags & BLOCK_STATUS_ZERO) && !r->new;
            if (!error && !zero)
                error = copy_difference(r, offset, length);
        }
        offset += length;
        img_progress(offset * 100.0 / size);
    }
    return error ? error : block_flush(r->top);
}

static struct block_node *new_open(struct block_node *top, const char *backing, const char *format,
                                   const char *cache, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = block_path_combine(top->filename, backing, &error);
    struct img_open how = { .format = format, .cache = cache, .flags = flags };

    if (!path) {
        img_fail(g_steal_pointer(&error));
        return NULL;
    }
    return img_open(path, &how);
}

static int rebase(struct block_node *top, const char *backing, const char *format,
                  const char *cache, unsigned flags, bool unsafe)
{
    g_autoptr(GError) error = NULL;
    struct rebase r = { .top = top, .old = top->backing };
    int status = 0;

    if (!top->driver->set_backing) {
        report_error("Could not change the backing file to '%s': Operation not supported", backing);
        return 1;
    }
    if (format && !block_driver_find(format)) {
        report_error("Invalid format name: '%s'", format);
        return 1;
    }
    if (!unsafe) {
        auto_image *new = r.new = *backing ? new_open(top, backing, format, cache, flags) : NULL;
        if (*backing && !new)
            return 1;
        r.old_data = aligned_alloc(4096, CHUNK);
        r.new_data = aligned_alloc(4096, CHUNK);
        int result = r.old_data && r.new_data ? rebase_safe(&r) : -ENOMEM;
        free(r.old_data);
        free(r.new_data);
        if (result) {
            report_error("error while rebasing: %s", g_strerror(-result));
            status = 1;
        }
        if (!status && new && !format)
            format = new->driver->name;
    }
    if (!status && !top->driver->set_backing(top, backing, format, &error))
        status = img_fail_context(g_steal_pointer(&error),
                                  "Could not change the backing file to '%s': ", backing);
    return status;
}

int img_rebase(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "force-share", no_argument, 0, 'U' },
        { "compress", no_argument, 0, 'c' },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP };
    const char *backing = NULL, *format = NULL, *source_cache = NULL;
    bool unsafe = false, progress = false, quiet = false;
    unsigned source_flags = 0;
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:F:b:upt:T:qUc", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'F':
            format = optarg;
            break;
        case 'b':
            backing = optarg;
            break;
        case 'u':
            unsafe = true;
            break;
        case 'p':
            progress = true;
            break;
        case 't':
            how.cache = optarg;
            break;
        case 'T':
            source_cache = optarg;
            break;
        case 'q':
            quiet = true;
            break;
        case 'U':
            source_flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case 'c':
            report_error("compression (-c) is not supported here");
            return 1;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("rebase");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    if (!unsafe && !backing) {
        report_error("Use backing file (-b) option or the -u option");
        return 1;
    }
    if (unsafe)
        how.flags |= BLOCK_OPEN_NO_BACKING;
    struct block_node *top = img_open(argv[optind], &how);
    if (!top)
        return 1;
    img_progress_start(progress && !quiet);
    int status = rebase(top, backing ? backing : "", format, source_cache, source_flags, unsafe);
    if (!img_close(top))
        status = 1;
    if (!status)
        img_progress_end();
    return status;
}

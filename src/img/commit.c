/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img commit: moves what an image has into its backing file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "img/img.h"

enum { CHUNK = 2 << 20 };

/* One layer of the chain, by name. */
struct layer {
    char *filename, *format;
};

static void layer_clear(void *opaque)
{
    struct layer *layer = opaque;
    g_free(layer->filename);
    g_free(layer->format);
}

static bool same_file(const char *a, const char *b)
{
    g_autofree char *left = g_canonicalize_filename(a, NULL);
    g_autofree char *right = g_canonicalize_filename(b, NULL);
    return !strcmp(left, right);
}

/* The layers below the top, down to the base. */
static bool layers_find(struct block_node *top, const char *base, GArray *layers)
{
    for (struct block_node *node = top->backing; node; node = node->backing) {
        struct layer layer = { g_strdup(node->filename), g_strdup(node->driver->name) };
        g_array_append_val(layers, layer);
        if (!base || same_file(node->filename, base))
            return true;
    }
    if (!layers->len)
        report_error("Image does not have a backing file");
    else
        report_error("Did not find '%s' in the backing chain of '%s'", base, top->filename);
    return false;
}

/* Opens the chain anew from its base up, which is to be written like the top. Each layer is told by
 * its name to the one above. */
static struct block_node *chain_open(const char *filename, struct img_open how, GArray *layers,
                                     struct block_node **base)
{
    struct block_node *below = NULL;

    for (guint i = layers->len; i-- > 0;) {
        const struct layer *layer = &g_array_index(layers, struct layer, i);
        auto_json *options = json_object();
        bool lowest = i == layers->len - 1;
        if (below)
            options_set(options, "backing", below->name);
        struct img_open layer_how = { .format = layer->format,
                                      .cache = how.cache,
                                      .options = options,
                                      .flags = lowest ? how.flags : BLOCK_OPEN_UNMAP };
        struct block_node *node = img_open(layer->filename, &layer_how);
        if (!lowest)
            block_unref(below); /* held by the one above */
        else
            *base = node;
        if (!node)
            return NULL;
        below = lowest ? block_ref(node) : node;
    }
    auto_json *options = json_object();
    options_set(options, "backing", below->name);
    how.options = options;
    struct block_node *top = img_open(filename, &how);
    block_unref(below);
    return top;
}

static int copy_down(struct block_node *top, struct block_node *base, struct block_node *target)
{
    uint64_t size = block_length(top);
    uint8_t *buffer = aligned_alloc(4096, CHUNK);
    int error = buffer ? 0 : -ENOMEM;

    for (uint64_t offset = 0; offset < size && !error;) {
        struct block_status status;
        error = block_status_above(top, base, offset, size - offset, &status);
        uint64_t length = status.length;
        if (error)
            break;
        if ((status.flags & BLOCK_STATUS_ALLOCATED) && (status.flags & BLOCK_STATUS_ZERO)) {
            error = block_write_zeroes(target, offset, length, BLOCK_MAY_UNMAP);
        } else if (status.flags & BLOCK_STATUS_ALLOCATED) {
            length = MIN(length, CHUNK);
            error = block_pread(top, offset, buffer, length);
            if (!error)
                error = block_pwrite(target, offset, buffer, length, 0);
        }
        offset += length;
        img_progress(offset * 100.0 / size);
    }
    free(buffer);
    return error ? error : block_flush(target);
}

static int commit(struct block_node *top, struct block_node *target, bool drop)
{
    g_autoptr(GError) error = NULL;

    if (block_length(target) < block_length(top)
        && !block_truncate(target, block_length(top), BLOCK_PREALLOC_OFF, &error))
        return img_fail(g_steal_pointer(&error));
    int result = copy_down(top, target, target);
    if (result) {
        report_error("Block job failed: %s", g_strerror(-result));
        return 1;
    }
    if (drop || !top->driver->make_empty)
        return 0;
    return top->driver->make_empty(top, &error)
               ? 0
               : img_fail_context(g_steal_pointer(&error), "Could not empty %s: ", top->filename);
}

/* Finds the chain's layers, opens it so that its base can be written, and commits. */
static int commit_chain(const char *filename, const struct img_open *how, const char *base,
                        bool drop)
{
    g_autoptr(GArray) layers = g_array_new(FALSE, TRUE, sizeof(struct layer));
    struct img_open look = *how;
    struct block_node *target = NULL;

    g_array_set_clear_func(layers, layer_clear);
    look.flags = BLOCK_OPEN_NO_IO;
    struct block_node *top = img_open(filename, &look);
    bool found = top && layers_find(top, base, layers);
    img_close(top);
    if (!found)
        return 1;
    top = chain_open(filename, *how, layers, &target);
    int status = top ? commit(top, target, drop) : 1;
    if (!img_close(top))
        status = 1;
    if (!img_close(target))
        status = 1;
    return status;
}

int img_commit(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP };
    const char *base = NULL;
    bool quiet = false, drop = false, progress = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":f:ht:b:dpqr:", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 't':
            how.cache = optarg;
            break;
        case 'b':
            base = optarg;
            drop = true; /* what lies between would not fit an emptied top */
            break;
        case 'd':
            drop = true;
            break;
        case 'p':
            progress = true;
            break;
        case 'q':
            quiet = true;
            break;
        case 'r':
            report_error("a rate limit (-r) is not supported here");
            return 1;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("commit");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    img_progress_start(progress && !quiet);
    int status = commit_chain(argv[optind], &how, base, drop);
    if (!status) {
        img_progress_end();
        if (!quiet)
            printf("Image committed.\n");
    }
    return status;
}

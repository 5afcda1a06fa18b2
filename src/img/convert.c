/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img convert: copies disks into a new (or existing) image of any format. */
#include "img/convert.h"

#include <string.h>

#include "img/create.h"
#include "img/img.h"
#include "util/keyval.h"

struct convert {
    struct img_open source, target;
    json_t *create_options;
    const char *format, *target_name, *snapshot, *backing, *backing_format;
    bool no_create, quiet, progress, compressed, out_of_order, bitmaps, target_opts;
    bool target_is_zero;
    uint64_t sparse_bytes, rate;
    unsigned threads;
    bool salvage, help;
    char *options_text;
};

enum {
    OPTION_OBJECT = 256,
    OPTION_IMAGE_OPTS,
    OPTION_TARGET_OPTS,
    OPTION_TARGET_ZERO,
    OPTION_SALVAGE,
    OPTION_BITMAPS,
    OPTION_SKIP_BROKEN,
};

static const struct option long_options[] = {
    { "help", no_argument, 0, 'h' },
    { "source-format", required_argument, 0, 'f' },
    { "source-cache", required_argument, 0, 'T' },
    { "snapshot", required_argument, 0, 'l' },
    { "sparse-size", required_argument, 0, 'S' },
    { "output-format", required_argument, 0, 'O' },
    { "options", required_argument, 0, 'o' },
    { "backing", required_argument, 0, 'B' },
    { "backing-format", required_argument, 0, 'F' },
    { "cache", required_argument, 0, 't' },
    { "no-create", no_argument, 0, 'n' },
    { "compress", no_argument, 0, 'c' },
    { "parallel", required_argument, 0, 'm' },
    { "progress", no_argument, 0, 'p' },
    { "quiet", no_argument, 0, 'q' },
    { "rate-limit", required_argument, 0, 'r' },
    { "force-share", no_argument, 0, 'U' },
    { "object", required_argument, 0, OPTION_OBJECT },
    { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
    { "source-image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
    { "target-image-opts", no_argument, 0, OPTION_TARGET_OPTS },
    { "target-is-zero", no_argument, 0, OPTION_TARGET_ZERO },
    { "salvage", no_argument, 0, OPTION_SALVAGE },
    { "bitmaps", no_argument, 0, OPTION_BITMAPS },
    { "skip-broken-bitmaps", no_argument, 0, OPTION_SKIP_BROKEN },
    {},
};

static bool parse_threads(struct convert *c, const char *text)
{
    uint64_t value;
    if (!parse_unsigned("-m", text, 16, &value, NULL) || !value) {
        report_error(
            "Invalid number of coroutines. Allowed number of coroutines is between 1 and 16");
        return false;
    }
    c->threads = value;
    return true;
}

static bool parse_sparse(struct convert *c, const char *text)
{
    if (!img_parse_size("buffer size for sparse output", text, &c->sparse_bytes))
        return false;
    if (c->sparse_bytes % 512 || c->sparse_bytes > 16 << 20) {
        report_error(
            "Invalid buffer size for sparse output specified. Valid sizes are multiples of "
            "512 up to 16777216. Select 0 to disable sparse detection (fully allocates "
            "output).");
        return false;
    }
    return true;
}

static bool take_option(struct convert *c, int letter, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    switch (letter) {
    case 'f':
        c->source.format = optarg;
        return true;
    case 'T':
        c->source.cache = optarg;
        return true;
    case 'l':
        c->snapshot = optarg;
        return true;
    case 'S':
        return parse_sparse(c, optarg);
    case 'O':
        c->format = optarg;
        return true;
    case 'o':
        c->help |= img_wants_help(optarg);
        if (c->help || img_create_options(c->create_options, optarg, &error))
            return true;
        img_fail(g_steal_pointer(&error));
        return false;
    case 'B':
        c->backing = optarg;
        return true;
    case 'F':
        c->backing_format = optarg;
        return true;
    case 't':
        c->target.cache = optarg;
        return true;
    case 'n':
        return c->no_create = true;
    case 'c':
        return c->compressed = true;
    case 'C':
        return true; /* a hint about speed; the copy is the same without it */
    case 'm':
        return parse_threads(c, optarg);
    case 'p':
        return c->progress = true;
    case 'q':
        return c->quiet = true;
    case 'r':
        return img_parse_size("rate limit", optarg, &c->rate);
    case 'U':
        c->source.flags |= BLOCK_OPEN_FORCE_SHARE;
        return true;
    case 'W':
        return c->out_of_order = true;
    case OPTION_OBJECT:
        return img_object(optarg);
    case OPTION_IMAGE_OPTS:
        return c->source.image_opts = true;
    case OPTION_TARGET_OPTS:
        return c->target_opts = true;
    case OPTION_TARGET_ZERO:
        return c->target_is_zero = true;
    case OPTION_SALVAGE:
        return c->salvage = true;
    case OPTION_BITMAPS:
        return c->bitmaps = true;
    case OPTION_SKIP_BROKEN:
        return true;
    }
    img_bad_option(argc, argv);
    return false;
}

static bool combination_check(const struct convert *c)
{
    if (c->no_create && json_object_size(c->create_options))
        warn("-o has no effect when skipping image creation");
    if (c->target_opts && !c->no_create)
        return report_error("--target-image-opts requires use of -n flag"), false;
    if (c->target_opts && c->format)
        return report_error("cannot mix -O and --target-image-opts"), false;
    if (c->target_is_zero && !c->no_create)
        return report_error("--target-is-zero requires use of -n flag"), false;
    if (c->target_is_zero && c->backing)
        return report_error("Cannot use -B with --target-is-zero"), false;
    if (c->compressed && c->sparse_bytes == 0)
        return report_error("Cannot use -S 0 and -c together"), false;
    if (c->backing_format && !c->backing)
        return report_error("-F requires -B"), false;
    return true;
}

/* "snapshot.id=1,snapshot.name=x", or either alone as a word. */
static bool snapshot_load(const struct convert *c, struct block_node *source)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup(c->snapshot);

    if (!c->snapshot)
        return true;
    if (g_str_has_prefix(c->snapshot, "snapshot.")) {
        auto_json *tree = options_from_text(c->snapshot, NULL, &error);
        json_t *inner = tree ? json_object_get(tree, "snapshot") : NULL;
        g_free(name);
        name = options_peek_string(inner, "id");
        if (!name)
            name = options_peek_string(inner, "name");
    }
    if (!name)
        fail(&error, "the snapshot's name is missing in '%s'", c->snapshot);
    else if (!source->driver->snapshots || !source->driver->snapshots->load)
        fail(&error, "Device '' does not support internal snapshots");
    else if (source->driver->snapshots->load(source, name, &error))
        return true;
    img_fail_context(g_steal_pointer(&error), "Failed to load snapshot: ");
    return false;
}

static bool target_create(struct convert *c, uint64_t length, uint32_t source_cluster)
{
    g_autoptr(GError) error = NULL;

    if (!options_has(c->create_options, "size"))
        json_object_set_new(c->create_options, "size", json_integer(length));
    if (c->backing)
        options_set(c->create_options, "backing_file", c->backing);
    if (c->backing_format)
        options_set(c->create_options, "backing_fmt", c->backing_format);
    const struct block_driver *driver = block_driver_find(c->format);
    if (!driver) {
        report_error("Unknown file format '%s'", c->format);
        return false;
    }
    if (c->compressed && !driver->compressible) {
        report_error("Compression not supported for this file format");
        return false;
    }
    if (img_create_image(c->target_name, c->format, c->create_options, false, true, &error))
        return true;
    img_fail_context(g_steal_pointer(&error), "%s: error while converting %s: ", c->target_name,
                     c->format);
    return false;
}

static struct block_node *target_open(struct convert *c, uint64_t length)
{
    c->target.flags = BLOCK_OPEN_RW | BLOCK_OPEN_UNMAP | (c->no_create ? 0 : BLOCK_OPEN_RESIZE);
    c->target.format = c->target_opts ? NULL : c->format;
    c->target.image_opts = c->target_opts;
    if (!c->target.cache)
        c->target.cache = "unsafe";
    struct block_node *target = img_open(c->target_name, &c->target);
    if (!target)
        return NULL;
    if (block_length(target) < length) {
        report_error("output file is smaller than input file");
        img_close(target);
        return NULL;
    }
    if (c->compressed && !target->driver->compressible) {
        report_error("Compression not supported for this file format");
        img_close(target);
        return NULL;
    }
    return target;
}

static int convert_bitmaps(struct block_node *source, struct block_node *target)
{
    g_autoptr(GError) error = NULL;
    if (!source->driver->bitmaps || !target->driver->bitmaps) {
        report_error("Format driver '%s' does not support bitmaps",
                     (source->driver->bitmaps ? target : source)->driver->name);
        return 1;
    }
    if (source->driver->bitmaps->copy_all(source, target, &error))
        return 0;
    return img_fail(g_steal_pointer(&error));
}

/* A new image reads as zeroes; a device or an old image does not. */
static bool reads_zero(const struct convert *c, struct block_node *target)
{
    return c->target_is_zero
           || (!c->no_create && !target->backing && strcmp(target->driver->name, "host_device")
               && (!target->file || strcmp(target->file->driver->name, "host_device")));
}

static int convert_run(struct convert *c, struct block_node **sources, unsigned count)
{
    uint64_t length = 0;

    for (unsigned i = 0; i < count; i++)
        length += block_length(sources[i]);
    if (count == 1 && !snapshot_load(c, sources[0]))
        return 1;
    length = count == 1 ? block_length(sources[0]) : length;
    if (!c->no_create && !target_create(c, length, sources[0]->cluster_size))
        return 1;
    struct block_node *target = target_open(c, length);
    if (!target)
        return 1;
    struct copy copy = {
        .sources = sources,
        .source_count = count,
        .target = target,
        .length = length,
        .threads = c->threads,
        .sparse_bytes = c->sparse_bytes,
        .compressed = c->compressed,
        .in_order = !c->out_of_order && !c->compressed && target->cluster_size,
        .target_is_zero = reads_zero(c, target) && c->sparse_bytes,
        .target_has_backing = target->backing && c->backing && !c->no_create,
        .backing_length = target->backing ? block_length(target->backing) : 0,
        .salvage = c->salvage,
        .quiet = c->quiet,
        .rate = c->rate,
    };
    img_progress_start(c->progress && !c->quiet);
    int status = copy_run(&copy) ? 1 : 0;
    if (!status && c->bitmaps)
        status = convert_bitmaps(sources[0], target);
    if (!img_close(target))
        status = 1;
    if (!status)
        img_progress_end();
    return status;
}

int img_convert(int argc, char **argv)
{
    auto_json *create_options = json_object();
    struct convert c = { .create_options = create_options, .sparse_bytes = 4096, .threads = 8 };
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:Wr:U", long_options, NULL))
           >= 0) {
        if (letter == 'h')
            return img_help("convert");
        if (!take_option(&c, letter, argc, argv))
            return 1;
    }
    unsigned count = argc - optind > 1 ? argc - optind - 1 : 0;
    c.target_name = count || argc - optind == 1 ? argv[argc - 1] : NULL;
    if (c.help)
        return img_print_create_options(c.format ? c.format : "raw",
                                        argc > optind ? argv[argc - 1] : NULL);
    if (!count) {
        report_error("Must specify image file name");
        return 1;
    }
    if (!combination_check(&c))
        return 1;
    if (!c.target_opts && !c.format)
        c.format = "raw";
    if (c.bitmaps && count > 1) {
        report_error("Copying bitmaps only possible with single source");
        return 1;
    }
    g_autofree struct block_node **sources = g_new0(struct block_node *, count);
    int status = 0;
    for (unsigned i = 0; i < count && !status; i++) {
        sources[i] = img_open(argv[optind + i], &c.source);
        status = sources[i] ? 0 : 1;
    }
    if (!status)
        status = convert_run(&c, sources, count);
    for (unsigned i = 0; i < count; i++)
        img_close(sources[i]);
    return status;
}

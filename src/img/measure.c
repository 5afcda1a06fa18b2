/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img measure: how large a new image would be. */
#include <string.h>

#include "img/img.h"

static void print_result(const struct block_measure *measure, bool json)
{
    if (!json) {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", measure->required,
               measure->fully_allocated);
        if (measure->bitmaps != UINT64_MAX)
            printf("bitmaps size: %" PRIu64 "\n", measure->bitmaps);
        return;
    }
    auto_json *result = json_object();
    json_object_set_new(result, "required", json_integer(measure->required));
    json_object_set_new(result, "fully-allocated", json_integer(measure->fully_allocated));
    if (measure->bitmaps != UINT64_MAX)
        json_object_set_new(result, "bitmaps", json_integer(measure->bitmaps));
    img_print_json(result);
}

static int measure_format(const char *format, json_t *options, uint64_t size,
                          struct block_node *source, bool json)
{
    const struct block_driver *driver = block_driver_find(format);
    struct block_measure measure = { .bitmaps = UINT64_MAX };
    g_autoptr(GError) error = NULL;

    if (!driver) {
        report_error("Unknown file format '%s'", format);
        return 1;
    }
    if (!driver->measure) {
        report_error("Block driver '%s' does not support size measurement", format);
        return 1;
    }
    if (!driver->measure(options, source ? block_length(source) : size, source, &measure, &error))
        return img_fail(g_steal_pointer(&error));
    if (source && !strcmp(source->driver->name, format) && driver->supports_backing
        && measure.bitmaps == UINT64_MAX)
        measure.bitmaps = 0;
    print_result(&measure, json);
    return 0;
}

int img_measure(int argc, char **argv)
{
    enum { OPTION_OUTPUT = 256, OPTION_OBJECT, OPTION_IMAGE_OPTS, OPTION_SIZE };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "output", required_argument, 0, OPTION_OUTPUT },
        { "size", required_argument, 0, OPTION_SIZE },
        { "force-share", no_argument, 0, 'U' },
        {},
    };
    struct img_open how = { 0 };
    const char *format = "raw", *snapshot = NULL;
    uint64_t size = UINT64_MAX;
    auto_json *options = json_object();
    g_autoptr(GError) error = NULL;
    bool json = false;
    int letter;

    while ((letter = getopt_long(argc, argv, "hf:l:o:O:U", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'l':
            snapshot = optarg;
            break;
        case 'o':
            if (!img_create_options(options, optarg, &error))
                return img_fail(g_steal_pointer(&error));
            break;
        case 'O':
            format = optarg;
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_SIZE:
            if (!img_parse_size("image size", optarg, &size))
                return 1;
            break;
        case OPTION_OUTPUT:
            if (!img_output_format(optarg, &json))
                return 1;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("measure");
        default:
            return img_bad_option(argc, argv);
        }
    }
    const char *filename = optind < argc ? argv[optind] : NULL;
    if (argc - optind > 1) {
        report_error("At most one filename argument is allowed.");
        return 1;
    }
    if (filename && size != UINT64_MAX) {
        report_error("--size N cannot be used together with a filename.");
        return 1;
    }
    if (!filename && size == UINT64_MAX) {
        report_error("Either --size N or one filename must be specified.");
        return 1;
    }
    auto_image *source = filename ? img_open(filename, &how) : NULL;
    if (filename && !source)
        return 1;
    if (snapshot
        && (!source->driver->snapshots
            || !source->driver->snapshots->load(source, snapshot, &error)))
        return error ? img_fail_context(g_steal_pointer(&error), "Failed to load snapshot: ")
                     : (report_error("Failed to load snapshot"), 1);
    return measure_format(format, options, size, source, json);
}

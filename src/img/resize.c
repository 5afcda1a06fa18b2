/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img resize: makes the disk larger or smaller. */
#include <string.h>

#include "img/img.h"

static bool new_size(struct block_node *node, const char *text, uint64_t *size)
{
    char sign = text[0] == '+' || text[0] == '-' ? *text++ : 0;
    uint64_t bytes, old = block_length(node);

    if (!img_parse_size("image size", text, &bytes))
        return false;
    *size = sign == '+' ? old + bytes : sign == '-' ? old - bytes : bytes;
    if ((sign == '-' && bytes >= old) || (!sign && !bytes)) {
        report_error("New image size must be positive");
        return false;
    }
    return true;
}

static int resize(struct block_node *node, const char *text, int preallocation, bool shrink,
                  bool quiet)
{
    uint64_t size, old = block_length(node);
    g_autoptr(GError) error = NULL;

    if (!new_size(node, text, &size))
        return 1;
    if (size <= old && preallocation) {
        report_error("Preallocation can only be used for growing images");
        return 1;
    }
    if (size < old && !shrink) {
        report_error("Use the --shrink option to perform a shrink operation.");
        warn("Shrinking an image will delete all data beyond the shrunken image's end. Before "
             "performing such an operation, make sure there is no important data there.");
        if (!strcmp(node->driver->name, "raw"))
            fprintf(stderr, "Before using --shrink, make sure that the file system or partitions "
                            "have been shrunk.\n");
        return 1;
    }
    /* Sectors are whole: a size between two of them means the larger. */
    size = (size + 511) & ~511ull;
    if (!block_truncate(node, size, preallocation, &error))
        return img_fail(g_steal_pointer(&error));
    if (!quiet)
        printf("Image resized.\n");
    return 0;
}

int img_resize(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_PREALLOCATION, OPTION_SHRINK };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "preallocation", required_argument, 0, OPTION_PREALLOCATION },
        { "shrink", no_argument, 0, OPTION_SHRINK },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP };
    int letter, preallocation = 0;
    bool quiet = false, shrink = false;

    if (argc < 3) {
        report_error("Not enough arguments");
        fprintf(stderr, "Try 'qemu-img --help' for more information\n");
        return 1;
    }
    /* "-1G" is a size, not an option: it is taken away before the options are looked at. */
    const char *size = argv[--argc];
    argv[argc] = NULL;
    while ((letter = getopt_long(argc, argv, ":f:hq", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'q':
            quiet = true;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case OPTION_PREALLOCATION:
            for (preallocation = 0; block_preallocation_names[preallocation]; preallocation++) {
                if (!strcmp(block_preallocation_names[preallocation], optarg))
                    break;
            }
            if (!block_preallocation_names[preallocation]) {
                report_error("Invalid preallocation mode '%s'", optarg);
                return 1;
            }
            break;
        case OPTION_SHRINK:
            shrink = true;
            break;
        case 'h':
            return img_help("resize");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        report_error("Expecting image file name and size");
        return 1;
    }
    struct block_node *node = img_open(argv[optind], &how);
    if (!node)
        return 1;
    int status = resize(node, size, preallocation, shrink, quiet);
    return img_close(node) || status ? status : 1;
}

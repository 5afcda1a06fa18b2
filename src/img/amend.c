/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img amend: changes options of an image that were chosen when it was created. */
#include <string.h>

#include "img/img.h"

static int print_help(const char *format)
{
    static const char *const kinds[] = { "str", "size", "bool (on/off)", "num" };
    const struct block_driver *driver = block_driver_find(format);
    const struct block_create_option *option;

    if (!driver || !driver->amend) {
        report_error("Format driver '%s' does not support option amendment", format);
        return 1;
    }
    printf("Creation options for '%s':\n", format);
    for (option = driver->create_options; option && option->name; option++) {
        if (option->amend)
            printf("  %s=<%s> - %s\n", option->name, kinds[option->kind], option->help);
    }
    printf("\nNote that not all of these options may be amendable.\n");
    return 0;
}

static int amend(struct block_node *node, json_t *options, bool force, const char *filename)
{
    g_autoptr(GError) error = NULL;

    if (!node->driver->amend) {
        report_error("Format driver '%s' does not support option amendment", node->driver->name);
        return 1;
    }
    const struct block_create_option *option = node->driver->create_options;
    for (; option && option->name; option++) {
        const char *name = option->name;
        if (!strchr(name, '.') && options_has(options, name) && !option->amend) {
            report_error("Invalid parameter '%s'\nThis option is only supported for image creation",
                         name);
            return 1;
        }
    }
    if (!node->driver->amend(node, options, force, &error))
        return img_fail(g_steal_pointer(&error));
    g_autofree char *rest = options_leftover(options);
    if (rest) {
        report_error("Invalid parameter '%s'", rest);
        return 1;
    }
    return 0;
}

int img_amend(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_FORCE };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "force", no_argument, 0, OPTION_FORCE },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP };
    auto_json *options = json_object();
    g_autoptr(GError) error = NULL;
    bool progress = false, quiet = false, help = false, force = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":ho:f:t:pq", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'o':
            help |= img_wants_help(optarg);
            if (!help && !img_create_options(options, optarg, &error))
                return img_fail(g_steal_pointer(&error));
            break;
        case 'f':
            how.format = optarg;
            break;
        case 't':
            how.cache = optarg;
            break;
        case 'p':
            progress = true;
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
        case OPTION_FORCE:
            force = true;
            break;
        case 'h':
            return img_help("amend");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (help && how.format)
        return print_help(how.format);
    if (!json_object_size(options) && !help) {
        report_error("Must specify options (-o)");
        return 1;
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    struct block_node *node = img_open(argv[optind], &how);
    if (!node)
        return 1;
    img_progress_start(progress && !quiet);
    int status = help ? print_help(node->driver->name) : amend(node, options, force, argv[optind]);
    if (!img_close(node))
        status = 1;
    if (!status)
        img_progress_end();
    return status;
}

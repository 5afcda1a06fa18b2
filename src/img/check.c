/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img check: finds and repairs what is wrong inside an image. */
#include <string.h>

#include "img/img.h"

enum { EXIT_CORRUPT = 2, EXIT_LEAKS = 3, EXIT_UNSUPPORTED = 63 };

static void print_finding(struct block_check *check, bool error, const char *text)
{
    fprintf(error ? stderr : stdout, "%s\n", text);
}

static void print_finding_quietly(struct block_check *check, bool error, const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static void add_number(json_t *object, const char *name, uint64_t value)
{
    if (value)
        json_object_set_new(object, name, json_integer(value));
}

static void print_json(struct block_node *node, const struct block_check *check,
                       const char *filename)
{
    auto_json *result = json_object();

    json_object_set_new(result, "filename", json_string(filename));
    json_object_set_new(result, "format", json_string(node->driver->name));
    json_object_set_new(result, "check-errors", json_integer(check->check_errors));
    add_number(result, "image-end-offset", check->image_end_offset);
    add_number(result, "corruptions", check->corruptions);
    add_number(result, "leaks", check->leaks);
    add_number(result, "corruptions-fixed", check->corruptions_fixed);
    add_number(result, "leaks-fixed", check->leaks_fixed);
    add_number(result, "total-clusters", check->total_clusters);
    add_number(result, "allocated-clusters", check->allocated_clusters);
    add_number(result, "fragmented-clusters", check->fragmented_clusters);
    add_number(result, "compressed-clusters", check->compressed_clusters);
    img_print_json(result);
}

static void print_human(const struct block_check *check)
{
    if (!check->corruptions && !check->leaks && !check->check_errors) {
        printf("No errors were found on the image.\n");
    } else {
        if (check->corruptions)
            printf("\n%" PRIu64 " errors were found on the image.\n"
                   "Data may be corrupted, or further writes to the image may corrupt it.\n",
                   check->corruptions);
        if (check->leaks)
            printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
                   "This means waste of disk space, but no harm to data.\n",
                   check->leaks);
        if (check->check_errors)
            printf("\n%" PRIu64 " internal errors have occurred during the check.\n",
                   check->check_errors);
    }
    if (check->total_clusters && check->allocated_clusters)
        printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, "
               "%0.2f%% compressed clusters\n",
               check->allocated_clusters, check->total_clusters,
               check->allocated_clusters * 100.0 / check->total_clusters,
               check->fragmented_clusters * 100.0 / check->allocated_clusters,
               check->compressed_clusters * 100.0 / check->allocated_clusters);
    if (check->image_end_offset)
        printf("Image end offset: %" PRIu64 "\n", check->image_end_offset);
}

static int run(struct block_node *node, struct block_check *check)
{
    g_autoptr(GError) error = NULL;

    if (!node->driver->check) {
        report_error("This image format does not support checks");
        return EXIT_UNSUPPORTED;
    }
    if (!node->driver->check(node, check, &error)) {
        img_fail_context(g_steal_pointer(&error), "Check failed: ");
        return 1;
    }
    return 0;
}

/* After a repair all is looked at again; what the second look finds is what is left. */
static int check_image(struct block_node *node, struct img_options *options, bool leaks, bool all)
{
    void (*print)(struct block_check *, bool, const char *) = options->quiet ? NULL
                                                              : options->json
                                                                  ? print_finding_quietly
                                                                  : print_finding;
    struct block_check first = { .fix_leaks = leaks, .fix_errors = all, .message = print };
    int status = run(node, &first);

    if (status)
        return status;
    struct block_check result = first;
    if (first.corruptions_fixed || first.leaks_fixed) {
        if (!options->json && !options->quiet) {
            printf("The following inconsistencies were found and repaired:\n\n"
                   "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
                   "Double checking the fixed image now...\n",
                   first.leaks_fixed, first.corruptions_fixed);
        }
        result = (struct block_check){ .message = print };
        status = run(node, &result);
        if (status)
            return status;
        result.corruptions_fixed = first.corruptions_fixed;
        result.leaks_fixed = first.leaks_fixed;
    }
    if (options->json)
        print_json(node, &result, options->filename);
    else if (!options->quiet)
        print_human(&result);
    return result.corruptions    ? EXIT_CORRUPT
           : result.check_errors ? 1
           : result.leaks        ? EXIT_LEAKS
                                 : 0;
}

int img_check(int argc, char **argv)
{
    enum { OPTION_OUTPUT = 256, OPTION_OBJECT, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "format", required_argument, 0, 'f' },
        { "repair", required_argument, 0, 'r' },
        { "output", required_argument, 0, OPTION_OUTPUT },
        { "force-share", no_argument, 0, 'U' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        {},
    };
    struct img_options options = { .cache = "writeback" };
    struct img_open how = { .flags = BLOCK_OPEN_CHECK | BLOCK_OPEN_UNMAP };
    bool leaks = false, all = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:r:T:qU", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'r':
            all = !strcmp(optarg, "all");
            leaks = all || !strcmp(optarg, "leaks");
            if (!leaks) {
                report_error("-r expects 'leaks' or 'all' as argument, not '%s'", optarg);
                return 1;
            }
            how.flags |= BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE;
            break;
        case 'T':
            how.cache = optarg;
            break;
        case 'q':
            options.quiet = true;
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_OUTPUT:
            if (!img_output_format(optarg, &options.json))
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
            return img_help("check");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    options.filename = argv[optind];
    struct block_node *node = img_open(options.filename, &how);
    if (!node)
        return 1;
    int status = check_image(node, &options, leaks, all);
    return img_close(node) || status ? status : 1;
}

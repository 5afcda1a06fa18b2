/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img map: which layer has which part of the disk, and where. */
#include <string.h>

#include "img/img.h"

struct run {
    uint64_t start, length, offset;
    unsigned flags, depth;
    struct block_node *file;
};

enum {
    SHOWN = BLOCK_STATUS_DATA | BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET
};

static bool print_run(const struct run *run, bool json, bool last)
{
    if (!json) {
        bool data = (run->flags & BLOCK_STATUS_DATA) && !(run->flags & BLOCK_STATUS_ZERO);
        if (data && !(run->flags & BLOCK_STATUS_OFFSET)) {
            report_error("File contains external, encrypted or compressed clusters.");
            return false;
        }
        if (data) {
            g_autofree char *start = g_strdup_printf(run->start ? "0x%" PRIx64 : "0", run->start);
            g_autofree char *length = g_strdup_printf("0x%" PRIx64, run->length);
            g_autofree char *offset =
                g_strdup_printf(run->offset ? "0x%" PRIx64 : "0", run->offset);
            printf("%-16s%-16s%-16s%s\n", start, length, offset,
                   run->file ? run->file->filename : "");
        }
        return true;
    }
    printf("{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, "
           "\"zero\": %s, \"data\": %s",
           run->start, run->length, run->depth,
           run->flags & BLOCK_STATUS_ALLOCATED ? "true" : "false",
           run->flags & BLOCK_STATUS_ZERO ? "true" : "false",
           run->flags & BLOCK_STATUS_DATA ? "true" : "false");
    if (run->flags & BLOCK_STATUS_OFFSET)
        printf(", \"offset\": %" PRIu64, run->offset);
    printf(last ? "}]\n" : "},\n");
    return true;
}

static bool joins(const struct run *run, const struct run *next)
{
    return run->length && run->flags == next->flags && run->depth == next->depth
           && run->file == next->file
           && (!(run->flags & BLOCK_STATUS_OFFSET) || run->offset + run->length == next->offset);
}

static int map_image(struct block_node *node, uint64_t start, uint64_t length, bool json)
{
    uint64_t size = block_length(node),
             end = MIN(size, length > UINT64_MAX - start ? size : start + length);
    struct run run = { 0 };

    if (json)
        putchar('[');
    else
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    for (uint64_t offset = start; offset < end;) {
        struct block_status status;
        int error = block_status_above(node, NULL, offset, MIN(end - offset, 1ull << 31), &status);
        if (error) {
            report_error("Failed to read image metadata: %s", g_strerror(-error));
            return 1;
        }
        struct run next = { offset,       status.length, status.host_offset, status.flags & SHOWN,
                            status.depth, status.file };
        if (!(next.flags & BLOCK_STATUS_OFFSET)) {
            next.offset = 0;
            next.file = NULL;
        }
        offset += status.length;
        if (joins(&run, &next)) {
            run.length += next.length;
            continue;
        }
        if (run.length && !print_run(&run, json, false))
            return 1;
        run = next;
    }
    if (run.length)
        return print_run(&run, json, true) ? 0 : 1;
    if (json)
        printf("]\n");
    return 0;
}

int img_map(int argc, char **argv)
{
    enum { OPTION_OUTPUT = 256, OPTION_OBJECT, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "format", required_argument, 0, 'f' },
        { "output", required_argument, 0, OPTION_OUTPUT },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "force-share", no_argument, 0, 'U' },
        { "start-offset", required_argument, 0, 's' },
        { "max-length", required_argument, 0, 'l' },
        {},
    };
    struct img_open how = { 0 };
    uint64_t start = 0, length = UINT64_MAX;
    bool json = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":f:s:l:hU", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case 's':
            if (!img_parse_size("start offset", optarg, &start))
                return 1;
            break;
        case 'l':
            if (!img_parse_size("max length", optarg, &length))
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
            return img_help("map");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    auto_image *node = img_open(argv[optind], &how);
    return node ? map_image(node, start, length, json) : 1;
}

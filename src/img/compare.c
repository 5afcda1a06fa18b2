/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img compare: whether two images have the same contents. */
#include <stdlib.h>
#include <string.h>

#include "img/img.h"

enum { CHUNK = 2 << 20, EXIT_DIFFERENT = 1, EXIT_ERROR = 2 };

struct comparison {
    struct block_node *node[2];
    const char *name[2];
    uint8_t *buffer[2];
    bool quiet, strict;
};

static int differ(const struct comparison *c, uint64_t offset)
{
    if (!c->quiet)
        printf("Content mismatch at offset %" PRIu64 "!\n", offset);
    return EXIT_DIFFERENT;
}

static int read_error(const struct comparison *c, unsigned side, uint64_t offset, int error)
{
    report_error("Error while reading offset %" PRIu64 " of %s: %s", offset, c->name[side],
                 g_strerror(-error));
    return 4;
}

/* The sector of the first difference. */
static int64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t length)
{
    if (!memcmp(a, b, length))
        return -1;
    for (uint64_t at = 0; at < length; at += 512) {
        if (memcmp(a + at, b + at, MIN(512, length - at)))
            return at;
    }
    return -1;
}

static int compare_data(struct comparison *c, uint64_t offset, uint64_t length)
{
    for (unsigned side = 0; side < 2; side++) {
        int error = block_pread(c->node[side], offset, c->buffer[side], length);
        if (error)
            return read_error(c, side, offset, error);
    }
    int64_t at = first_difference(c->buffer[0], c->buffer[1], length);
    return at < 0 ? 0 : differ(c, offset + at);
}

static int compare_zero(struct comparison *c, unsigned side, uint64_t offset, uint64_t length)
{
    int error = block_pread(c->node[side], offset, c->buffer[side], length);

    if (error)
        return read_error(c, side, offset, error);
    for (uint64_t at = 0; at < length; at += 512) {
        if (!buffer_is_zero(c->buffer[side] + at, MIN(512, length - at)))
            return differ(c, offset + at);
    }
    return 0;
}

static int status_of(struct comparison *c, unsigned side, uint64_t offset, uint64_t length,
                     struct block_status *status)
{
    int error = block_status_above(c->node[side], NULL, offset, length, status);
    if (!error)
        return 0;
    report_error("Sector allocation test failed for %s", c->name[side]);
    return 3;
}

static int compare_common(struct comparison *c, uint64_t end, uint64_t total)
{
    for (uint64_t offset = 0; offset < end;) {
        struct block_status status[2];
        int result = status_of(c, 0, offset, end - offset, &status[0]);
        if (!result)
            result = status_of(c, 1, offset, MIN(end - offset, status[0].length), &status[1]);
        if (result)
            return result;
        uint64_t length = MIN(status[0].length, status[1].length);
        bool zero[2] = { status[0].flags & BLOCK_STATUS_ZERO, status[1].flags & BLOCK_STATUS_ZERO };
        bool there[2] = { status[0].flags & BLOCK_STATUS_ALLOCATED,
                          status[1].flags & BLOCK_STATUS_ALLOCATED };
        if (c->strict && there[0] != there[1]) {
            if (!c->quiet)
                printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", offset);
            return EXIT_DIFFERENT;
        }
        if (!zero[0] || !zero[1]) {
            length = MIN(length, CHUNK);
            result = zero[0] != zero[1] ? compare_zero(c, zero[0], offset, length)
                                        : compare_data(c, offset, length);
        }
        if (result)
            return result;
        offset += length;
        img_progress(offset * 100.0 / total);
    }
    return 0;
}

static int compare_rest(struct comparison *c, unsigned larger, uint64_t from, uint64_t end)
{
    for (uint64_t offset = from; offset < end;) {
        struct block_status status;
        int result = status_of(c, larger, offset, end - offset, &status);
        if (result)
            return result;
        uint64_t length = status.length;
        if (!(status.flags & BLOCK_STATUS_ZERO)) {
            length = MIN(length, CHUNK);
            result = compare_zero(c, larger, offset, length);
        }
        if (result)
            return result;
        offset += length;
        img_progress(offset * 100.0 / end);
    }
    return 0;
}

static int compare_images(struct comparison *c)
{
    uint64_t size[2] = { block_length(c->node[0]), block_length(c->node[1]) };
    unsigned larger = size[1] > size[0];

    if (c->strict && size[0] != size[1]) {
        if (!c->quiet)
            printf("Strict mode: Image size mismatch!\n");
        return EXIT_DIFFERENT;
    }
    for (unsigned side = 0; side < 2; side++)
        c->buffer[side] = aligned_alloc(4096, CHUNK);
    int result = compare_common(c, MIN(size[0], size[1]), MAX(size[larger], 1));
    if (!result && size[0] != size[1]) {
        if (!c->quiet)
            printf("Warning: Image size mismatch!\n");
        result = compare_rest(c, larger, size[!larger], size[larger]);
    }
    if (!result && !c->quiet)
        printf("Images are identical.\n");
    for (unsigned side = 0; side < 2; side++)
        free(c->buffer[side]);
    return result;
}

int img_compare(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "force-share", no_argument, 0, 'U' },
        {},
    };
    struct img_open how[2] = { 0 };
    struct comparison c = { 0 };
    bool progress = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:F:T:pqsU", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
        case 'F':
            how[letter == 'F'].format = optarg;
            break;
        case 'T':
            how[0].cache = how[1].cache = optarg;
            break;
        case 'p':
            progress = true;
            break;
        case 'q':
            c.quiet = true;
            break;
        case 's':
            c.strict = true;
            break;
        case 'U':
            how[0].flags = how[1].flags = BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return EXIT_ERROR;
            break;
        case OPTION_IMAGE_OPTS:
            how[0].image_opts = how[1].image_opts = true;
            break;
        case 'h':
            return img_help("compare");
        default:
            img_bad_option(argc, argv);
            return EXIT_ERROR;
        }
    }
    if (optind != argc - 2) {
        img_usage_error("Expecting two image file names");
        return EXIT_ERROR;
    }
    auto_image *first = c.node[0] = img_open(c.name[0] = argv[optind], &how[0]);
    auto_image *second = c.node[1] = first ? img_open(c.name[1] = argv[optind + 1], &how[1]) : NULL;
    if (!first || !second)
        return EXIT_ERROR;
    img_progress_start(progress && !c.quiet);
    int result = compare_images(&c);
    if (!result)
        img_progress_end();
    return result;
}

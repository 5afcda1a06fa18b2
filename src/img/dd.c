/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img dd: copies a part of an image, with dd's arguments. */
#include <string.h>

#include "img/convert.h"
#include "img/create.h"
#include "img/img.h"
#include "util/keyval.h"

struct dd {
    const char *in, *out, *format;
    uint64_t block, count, skip;
    bool has_count;
};

static bool argument(struct dd *dd, const char *word)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, equals - word) : g_strdup(word);
    const char *value = equals ? equals + 1 : "";

    if (!strcmp(name, "if") && equals) {
        dd->in = value;
    } else if (!strcmp(name, "of") && equals) {
        dd->out = value;
    } else if (!strcmp(name, "bs") && equals) {
        if (!parse_size("bs", value, 1, &dd->block, NULL) || !dd->block || dd->block > INT32_MAX)
            return report_error("invalid number: '%s'", value), false;
    } else if (!strcmp(name, "count") && equals) {
        dd->has_count = true;
        if (!parse_size("count", value, 1, &dd->count, NULL) || dd->count > INT64_MAX)
            return report_error("invalid number: '%s'", value), false;
    } else if (!strcmp(name, "skip") && equals) {
        if (!parse_size("skip", value, 1, &dd->skip, NULL) || dd->skip > INT64_MAX)
            return report_error("invalid number: '%s'", value), false;
    } else {
        return report_error("unrecognized operand %s", word), false;
    }
    return true;
}

static int copy_part(const struct dd *dd, struct block_node *source)
{
    uint64_t size = block_length(source), length = size, bytes, start;
    g_autoptr(GError) error = NULL;
    auto_json *options = json_object();

    if (dd->has_count && !__builtin_mul_overflow(dd->count, dd->block, &bytes))
        length = MIN(length, bytes);
    if (__builtin_mul_overflow(dd->skip, dd->block, &start) || start > length) {
        report_error("%s: cannot skip to specified offset", dd->in);
        start = length;
    }
    /* As QEMU has it, the count includes what is skipped. */
    length -= start;
    json_object_set_new(options, "size", json_integer(length));
    if (!img_create_image(dd->out, dd->format, options, false, true, &error))
        return img_fail_context(g_steal_pointer(&error),
                                "%s: error while creating output image: ", dd->out);
    struct img_open how = { .format = dd->format,
                            .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP };
    struct block_node *target = img_open(dd->out, &how);
    if (!target)
        return 1;
    g_autofree uint8_t *buffer = g_malloc(1 << 20);
    int result = 0;
    for (uint64_t at = 0; at < length && !result;) {
        uint64_t part = MIN(length - at, 1 << 20);
        result = block_pread(source, start + at, buffer, part);
        if (!result && !buffer_is_zero(buffer, part))
            result = block_pwrite(target, at, buffer, part, 0);
        at += part;
    }
    if (result)
        report_error("error while copying image: %s", g_strerror(-result));
    return img_close(target) && !result ? 0 : 1;
}

int img_dd(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "force-share", no_argument, 0, 'U' },
        {},
    };
    struct img_open how = { 0 };
    struct dd dd = { .format = "raw", .block = 512 };
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:O:U", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            how.format = optarg;
            break;
        case 'O':
            dd.format = optarg;
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("dd");
        default:
            return img_bad_option(argc, argv);
        }
    }
    for (; optind < argc; optind++) {
        if (!argument(&dd, argv[optind]))
            return 1;
    }
    if (!dd.in || !dd.out) {
        report_error("Must specify both input and output files");
        return 1;
    }
    auto_image *source = img_open(dd.in, &how);
    return source ? copy_part(&dd, source) : 1;
}

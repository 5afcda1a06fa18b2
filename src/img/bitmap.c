/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img bitmap: changes an image's persistent bitmaps. */
#include <string.h>

#include "img/img.h"

struct action {
    int kind; /* the option's letter */
    const char *source;
};

enum {
    ACTION_ADD = 256,
    ACTION_REMOVE,
    ACTION_CLEAR,
    ACTION_ENABLE,
    ACTION_DISABLE,
    ACTION_MERGE,
    OPTION_OBJECT,
    OPTION_IMAGE_OPTS,
};

static const struct option long_options[] = {
    { "help", no_argument, 0, 'h' },
    { "object", required_argument, 0, OPTION_OBJECT },
    { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
    { "add", no_argument, 0, ACTION_ADD },
    { "remove", no_argument, 0, ACTION_REMOVE },
    { "clear", no_argument, 0, ACTION_CLEAR },
    { "enable", no_argument, 0, ACTION_ENABLE },
    { "disable", no_argument, 0, ACTION_DISABLE },
    { "merge", required_argument, 0, ACTION_MERGE },
    { "source-file", required_argument, 0, 'b' },
    { "source-format", required_argument, 0, 'F' },
    { "granularity", required_argument, 0, 'g' },
    {},
};

static bool act(struct block_node *node, const struct action *action, const char *name,
                struct block_node *source, uint32_t granularity, bool disabled, GError **error)
{
    const struct block_bitmap_ops *ops = node->driver->bitmaps;
    switch (action->kind) {
    case ACTION_ADD:
        return ops->add(node, name, granularity, disabled, error);
    case ACTION_REMOVE:
        return ops->remove(node, name, error);
    case ACTION_CLEAR:
        return ops->clear(node, name, error);
    case ACTION_ENABLE:
    case ACTION_DISABLE:
        return ops->enable(node, name, action->kind == ACTION_ENABLE, error);
    default:
        return ops->merge(node, name, source ? source : node, action->source, error);
    }
}

int img_bitmap(int argc, char **argv)
{
    struct img_open how = { .flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE }, source_how = { 0 };
    const char *source_name = NULL;
    g_autoptr(GArray) actions = g_array_new(FALSE, FALSE, sizeof(struct action));
    g_autoptr(GError) error = NULL;
    uint64_t granularity = 0;
    bool added = false, disabled = false;
    int letter, status = 0;

    while ((letter = getopt_long(argc, argv, ":b:f:F:g:h", long_options, NULL)) >= 0) {
        struct action action = { letter, optarg };
        switch (letter) {
        case 'b':
            source_name = optarg;
            break;
        case 'f':
            how.format = optarg;
            break;
        case 'F':
            source_how.format = optarg;
            break;
        case 'g':
            if (!img_parse_size("granularity", optarg, &granularity))
                return 1;
            break;
        case ACTION_ADD:
            added = true;
            g_array_append_val(actions, action);
            break;
        case ACTION_DISABLE:
            disabled = added && actions->len == 1;
            g_array_append_val(actions, action);
            break;
        case ACTION_REMOVE:
        case ACTION_CLEAR:
        case ACTION_ENABLE:
        case ACTION_MERGE:
            g_array_append_val(actions, action);
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case 'h':
            return img_help("bitmap");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 2) {
        report_error("Expecting filename and bitmap name");
        return 1;
    }
    if (!actions->len) {
        report_error("Need at least one of --add, --remove, --clear, --enable, --disable, or "
                     "--merge");
        return 1;
    }
    if (granularity && !added) {
        report_error("granularity only supported with --add");
        return 1;
    }
    struct block_node *node = img_open(argv[optind], &how);
    struct block_node *source = node && source_name ? img_open(source_name, &source_how) : NULL;
    if (!node || (source_name && !source))
        status = 1;
    if (!status && !node->driver->bitmaps) {
        report_error("Format driver '%s' does not support bitmaps", node->driver->name);
        status = 1;
    }
    for (guint i = 0; i < actions->len && !status; i++) {
        const struct action *action = &g_array_index(actions, struct action, i);
        if (!act(node, action, argv[optind + 1], source, granularity, disabled, &error))
            status = img_fail_context(g_steal_pointer(&error),
                                      "Operation on bitmap %s failed: ", argv[optind + 1]);
    }
    img_close(source);
    if (!img_close(node))
        status = 1;
    return status;
}

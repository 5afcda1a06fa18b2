/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img info: what an image is. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "img/img.h"
#include "img/snapshots.h"

enum { OPTION_OUTPUT = 256, OPTION_OBJECT, OPTION_IMAGE_OPTS, OPTION_CHAIN };

static const struct option long_options[] = {
    { "help", no_argument, 0, 'h' },
    { "format", required_argument, 0, 'f' },
    { "force-share", no_argument, 0, 'U' },
    { "output", required_argument, 0, OPTION_OUTPUT },
    { "object", required_argument, 0, OPTION_OBJECT },
    { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
    { "backing-chain", no_argument, 0, OPTION_CHAIN },
    {},
};

/* ---- As JSON ---- */

static json_t *snapshots_json(GArray *list)
{
    json_t *array = json_array();
    for (guint i = 0; i < list->len; i++) {
        const struct block_snapshot *snapshot = &g_array_index(list, struct block_snapshot, i);
        json_t *entry = json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", snapshot->id, "name", snapshot->name,
            "vm-state-size", (json_int_t)snapshot->vm_state_size, "date-sec",
            (json_int_t)snapshot->date_sec, "date-nsec", (json_int_t)snapshot->date_nsec,
            "vm-clock-sec", (json_int_t)(snapshot->vm_clock_nsec / 1000000000), "vm-clock-nsec",
            (json_int_t)(snapshot->vm_clock_nsec % 1000000000));
        if (snapshot->icount != UINT64_MAX)
            json_object_set_new(entry, "icount", json_integer(snapshot->icount));
        json_array_append_new(array, entry);
    }
    return array;
}

/* QEMU's ImageInfo, without the backing image. */
static json_t *info_json(struct block_node *node)
{
    json_t *info = json_object();
    int64_t allocated = block_allocated_size(node);

    json_object_set_new(info, "virtual-size", json_integer(block_length(node)));
    json_object_set_new(info, "filename", json_string(node->filename));
    json_object_set_new(info, "format", json_string(node->driver->name));
    if (allocated >= 0)
        json_object_set_new(info, "actual-size", json_integer(allocated));
    if (node->cluster_size)
        json_object_set_new(info, "cluster-size", json_integer(node->cluster_size));
    json_t *specific = node->driver->specific_info ? node->driver->specific_info(node) : NULL;
    if (json_object_get(json_object_get(specific, "data"), "encrypt")
        || !g_strcmp0(node->driver->name, "luks"))
        json_object_set_new(info, "encrypted", json_true());
    json_object_set_new(info, "dirty-flag",
                        json_boolean(node->driver->is_dirty && node->driver->is_dirty(node)));
    if (specific)
        json_object_set_new(info, "format-specific", specific);
    g_autofree char *format = NULL;
    g_autofree char *backing =
        node->driver->backing_name ? node->driver->backing_name(node, &format) : NULL;
    if (backing) {
        g_autofree char *full = block_path_combine(node->filename, backing, NULL);
        json_object_set_new(info, "backing-filename", json_string(backing));
        if (full)
            json_object_set_new(info, "full-backing-filename", json_string(full));
        if (format)
            json_object_set_new(info, "backing-filename-format", json_string(format));
    }
    if (node->driver->snapshots) {
        g_autoptr(GArray) list = snapshots_get(node, NULL);
        if (list && list->len)
            json_object_set_new(info, "snapshots", snapshots_json(list));
    }
    return info;
}

/* ---- For people ---- */

static void print_specific(json_t *value, unsigned depth);

static void print_scalar(json_t *value)
{
    if (json_is_string(value))
        printf(" %s\n", json_string_value(value));
    else if (json_is_boolean(value))
        printf(" %s\n", json_is_true(value) ? "true" : "false");
    else
        printf(" %" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
}

static void print_member(json_t *value, unsigned depth)
{
    if (json_is_object(value) || json_is_array(value)) {
        putchar('\n');
        print_specific(value, depth + 1);
    } else {
        print_scalar(value);
    }
}

static void print_specific(json_t *value, unsigned depth)
{
    const char *name;
    json_t *member;
    size_t index;

    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            printf("%*s[%zu]:", depth * 4, "", index);
            print_member(member, depth);
        }
        return;
    }
    g_autofree const char **names = options_order(value);
    for (index = 0; (name = names[index]); index++) {
        g_autofree char *words = g_strdelimit(g_strdup(name), "-", ' ');
        printf("%*s%s:", depth * 4, "", words);
        print_member(json_object_get(value, name), depth);
    }
}

static const char *text_of(json_t *info, const char *name)
{
    return json_string_value(json_object_get(info, name));
}

static void print_info(struct block_node *node, json_t *info)
{
    uint64_t size = block_length(node);
    g_autofree char *size_text = img_size_text(size);
    json_t *actual = json_object_get(info, "actual-size");
    g_autofree char *actual_text =
        actual ? img_size_text(json_integer_value(actual)) : g_strdup("unavailable");
    const char *backing = text_of(info, "backing-filename");
    const char *full = text_of(info, "full-backing-filename");
    const char *format = text_of(info, "backing-filename-format");

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\ndisk size: %s\n",
           text_of(info, "filename"), text_of(info, "format"), size_text, size, actual_text);
    if (json_is_true(json_object_get(info, "encrypted")))
        printf("encrypted: yes\n");
    if (node->cluster_size)
        printf("cluster_size: %u\n", node->cluster_size);
    if (json_is_true(json_object_get(info, "dirty-flag")))
        printf("cleanly shut down: no\n");
    if (backing) {
        printf("backing file: %s", backing);
        if (!full)
            printf(" (cannot determine actual path)");
        else if (strcmp(full, backing))
            printf(" (actual path: %s)", full);
        putchar('\n');
        if (format)
            printf("backing file format: %s\n", format);
    }
    if (json_object_get(info, "snapshots")) {
        g_autoptr(GArray) list = snapshots_get(node, NULL);
        snapshots_print(list);
    }
    json_t *specific = json_object_get(json_object_get(info, "format-specific"), "data");
    if (specific && json_object_size(specific)) {
        printf("Format specific information:\n");
        print_specific(specific, 1);
    }
}

/* ---- The chain ---- */

/* Opens each image without its backing file, so that a chain that ends in nothing is still told. */
static int info_chain(struct img_options *options, bool chain, json_t *all)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *filename = g_strdup(options->filename);
    g_autofree char *format = g_strdup(options->format);
    bool image_opts = options->image_opts, first = true;

    while (filename) {
        struct img_open how = { .format = format,
                                .image_opts = image_opts,
                                .flags = BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_IO
                                         | (options->share ? BLOCK_OPEN_FORCE_SHARE : 0) };
        if (!g_hash_table_add(seen, g_strdup(filename))) {
            report_error("Backing file '%s' creates an infinite loop.", filename);
            return 1;
        }
        auto_image *node = img_open(filename, &how);
        if (!node)
            return 1;
        json_t *info = info_json(node);
        json_array_append_new(all, info);
        if (!options->json) {
            if (!first)
                putchar('\n');
            print_info(node, info);
        }
        first = image_opts = false;
        g_clear_pointer(&filename, g_free);
        g_clear_pointer(&format, g_free);
        if (!chain || !text_of(info, "backing-filename"))
            break;
        if (!text_of(info, "full-backing-filename")) {
            report_error("Could not determine the full name of backing file '%s'",
                         text_of(info, "backing-filename"));
            return 1;
        }
        filename = g_strdup(text_of(info, "full-backing-filename"));
        format = g_strdup(text_of(info, "backing-filename-format"));
    }
    return 0;
}

int img_info(int argc, char **argv)
{
    struct img_options options = { 0 };
    bool chain = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":hf:U", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'f':
            options.format = optarg;
            break;
        case 'U':
            options.share = true;
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
            options.image_opts = true;
            break;
        case OPTION_CHAIN:
            chain = true;
            break;
        case 'h':
            return img_help("info");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    options.filename = argv[optind];
    auto_json *all = json_array();
    int status = info_chain(&options, chain, all);
    if (!status && options.json)
        img_print_json(chain ? all : json_array_get(all, 0));
    return status;
}

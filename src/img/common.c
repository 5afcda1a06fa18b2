/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "block/secret.h"
#include "img/img.h"
#include "util/keyval.h"

/* ---- Opening ---- */

static struct block_child *attach(struct block_node *node, unsigned flags, GError **error)
{
    unsigned perm = flags & BLOCK_OPEN_NO_IO ? 0 : BLOCK_PERM_READ;
    if (flags & BLOCK_OPEN_RW)
        perm |= BLOCK_PERM_WRITE | (flags & BLOCK_OPEN_RESIZE ? BLOCK_PERM_RESIZE : 0);
    return block_attach(node, "qemu-img", perm, BLOCK_PERM_ALL, error);
}

static struct block_node *open_options(json_t *options, json_t *more, unsigned flags,
                                       GError **error)
{
    options_merge(options, more);
    return block_open_options(options, flags, error);
}

struct block_node *img_open(const char *filename, const struct img_open *how)
{
    g_autoptr(GError) error = NULL;
    auto_json *options = NULL;
    struct block_node *node = NULL;
    unsigned flags = how->flags;
    bool writethrough;

    if (how->cache && !block_cache_mode(how->cache, &flags, &writethrough, NULL)) {
        report_error("Invalid cache option: %s", how->cache);
        return NULL;
    }
    if (how->image_opts && how->format) {
        report_error("--image-opts and --format are mutually exclusive");
        return NULL;
    }
    if (how->image_opts) {
        options = options_from_text(filename, NULL, &error);
        if (options && (flags & BLOCK_OPEN_FORCE_SHARE) && options_has(options, "force-share"))
            fail(&error, "--force-share/-U conflicts with image options");
        else if (options)
            node = open_options(options, how->options, flags, &error);
    } else {
        node = block_open(filename, how->format, how->options, flags, &error);
    }
    if (node && !attach(node, flags, &error)) {
        block_unref(node);
        node = NULL;
    }
    if (!node) {
        img_fail_context(g_steal_pointer(&error),
                         strcmp(g_get_prgname(), "qemu-io") ? "Could not open '%s': "
                                                            : "can't open device %s: ",
                         filename);
        return NULL;
    }
    if (node->probed_raw && (flags & BLOCK_OPEN_RW))
        fprintf(stderr,
                "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write "
                "operations on block 0 will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.\n",
                node->filename);
    return node;
}

bool img_close(struct block_node *node)
{
    int error = 0;

    if (!node)
        return true;
    if (!node->read_only)
        error = block_flush(node);
    if (error)
        report_error("Could not flush '%s': %s", node->filename, g_strerror(-error));
    for (guint i = node->parents->len; i-- > 0;) {
        struct block_child *child = node->parents->pdata[i];
        if (!child->parent)
            block_detach(child);
    }
    block_unref(node);
    return !error;
}

/* ---- Errors and options ---- */

int img_fail(GError *error)
{
    report_error("%s", error->message);
    g_error_free(error);
    return 1;
}

int img_fail_context(GError *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *context = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    report_error("%s%s", context, error->message);
    g_error_free(error);
    return 1;
}

int img_usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    report_error("%s", text);
    fprintf(stderr, "Try 'qemu-img --help' for more information\n");
    return 1;
}

int img_bad_option(int argc, char **argv)
{
    /* getopt has moved on: the culprit is the word before. */
    const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
    if (optopt && optopt < 256 && strchr(word, optopt) && word[0] == '-')
        report_error("missing argument for option '%s'", word);
    else
        report_error("unrecognized option '%s'", word);
    fprintf(stderr, "Try 'qemu-img --help' for more information\n");
    return 1;
}

bool img_output_format(const char *word, bool *json)
{
    *json = !strcmp(word, "json");
    if (*json || !strcmp(word, "human"))
        return true;
    report_error("--output must be used with human or json as argument.");
    return false;
}

bool img_object(const char *text)
{
    g_autoptr(GError) error = NULL;
    auto_json *options = text[0] == '{' ? options_from_json(text, &error)
                                        : options_from_text(text, "qom-type", &error);
    g_autofree char *type = options ? options_take_string(options, "qom-type") : NULL;

    if (!options) {
        img_fail(g_steal_pointer(&error));
        return false;
    }
    if (g_strcmp0(type, "secret")) {
        report_error("invalid object type: %s", type ? type : "");
        return false;
    }
    if (!block_secret_add(options, &error)) {
        img_fail(g_steal_pointer(&error));
        return false;
    }
    return true;
}

bool img_create_options(json_t *options, const char *text, GError **error)
{
    auto_json *more = options_from_text(text, NULL, error);
    if (!more)
        return false;
    options_merge(options, more);
    return true;
}

bool img_wants_help(const char *text)
{
    auto_keyval *keyval = text ? keyval_parse(text, NULL, NULL) : NULL;
    for (size_t i = 0; keyval && i < keyval->count; i++) {
        const struct keyval_item *item = &keyval->items[i];
        if (item->bare && (!strcmp(item->name, "help") || !strcmp(item->name, "?")))
            return true;
    }
    return false;
}

static int compare_options(const void *a, const void *b)
{
    const struct block_create_option *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static void collect_options(GPtrArray *list, const struct block_driver *driver)
{
    const struct block_create_option *option = driver->create_options;
    for (; option && option->name; option++) {
        bool known = false;
        for (guint i = 0; i < list->len; i++) {
            const struct block_create_option *other = list->pdata[i];
            known |= !strcmp(other->name, option->name);
        }
        if (!known)
            g_ptr_array_add(list, (void *)option);
    }
}

int img_print_create_options(const char *format, const char *filename)
{
    static const char *const kinds[] = { "str", "size", "bool (on/off)", "num" };
    const struct block_driver *driver = block_driver_find(format);
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    if (!driver) {
        report_error("Unknown file format '%s'", format);
        return 1;
    }
    if (!driver->create) {
        report_error("Format driver '%s' does not support image creation", format);
        return 1;
    }
    collect_options(list, driver);
    const struct block_driver *protocol = filename ? block_driver_protocol(filename, NULL) : NULL;
    if (protocol && protocol != driver)
        collect_options(list, protocol);
    qsort(list->pdata, list->len, sizeof(*list->pdata), compare_options);
    printf(filename ? "Supported options:\n" : "Supported %s options:\n", format);
    for (guint i = 0; i < list->len; i++) {
        const struct block_create_option *option = list->pdata[i];
        g_autofree char *head = g_strdup_printf("%s=<%s>", option->name, kinds[option->kind]);
        printf("  %-22s - %s\n", head, option->help);
    }
    if (!filename && !driver->is_protocol)
        printf("\nThe protocol level may support further options.\n"
               "Specify the target filename to include those options.\n");
    return 0;
}

bool img_parse_size(const char *name, const char *text, uint64_t *bytes)
{
    g_autoptr(GError) error = NULL;
    if (parse_size(name, text, 1, bytes, &error) && *bytes <= INT64_MAX)
        return true;
    if (error && !strstr(error->message, "more than")) {
        report_error("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", name);
        report_error("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    } else {
        report_error("%c%s must be less than 8 EiB!", g_ascii_toupper(name[0]), name + 1);
    }
    return false;
}

/* ---- Output ---- */

char *img_size_text(uint64_t bytes)
{
    static const char *const units[] = { "", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB" };
    int exponent;

    /* Three digits are printed: 999.5 and more of a unit is shown as the next. */
    frexp(bytes / (1000.0 / 1024.0), &exponent);
    int unit = exponent > 0 ? (exponent - 1) / 10 : 0;
    unit = CLAMP(unit, 0, (int)G_N_ELEMENTS(units) - 1);
    double value = (double)bytes / (1ull << (unit * 10));
    return g_strdup_printf("%0.3g%s", value, unit ? units[unit] : " B");
}

static void print_value(json_t *value, unsigned depth);

static void print_object(json_t *object, unsigned depth)
{
    g_autofree const char **names = options_order(object);

    putchar('{');
    for (unsigned i = 0; names[i]; i++) {
        printf("%s\n%*s\"%s\": ", i ? "," : "", depth * 4 + 4, "", names[i]);
        print_value(json_object_get(object, names[i]), depth + 1);
    }
    printf("\n%*s}", depth * 4, "");
}

static void print_value(json_t *value, unsigned depth)
{
    if (json_is_object(value)) {
        print_object(value, depth);
    } else if (json_is_array(value)) {
        putchar('[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            printf("%s\n%*s", i ? "," : "", depth * 4 + 4, "");
            print_value(json_array_get(value, i), depth + 1);
        }
        printf("\n%*s]", depth * 4, "");
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        fputs(text ? text : "null", stdout);
        free(text);
    }
}

void img_print_json(json_t *value)
{
    print_value(value, 0);
    putchar('\n');
}

/* ---- Progress ---- */

static struct {
    bool enabled;
    double shown;
} progress;

void img_progress_start(bool enabled)
{
    progress.enabled = enabled;
    progress.shown = -1;
    if (enabled)
        img_progress(0);
}

void img_progress(double percent)
{
    if (!progress.enabled || (percent - progress.shown < 1 && percent < 100 && progress.shown >= 0))
        return;
    progress.shown = percent;
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

void img_progress_end(void)
{
    if (!progress.enabled)
        return;
    if (progress.shown < 100)
        img_progress(100);
    putchar('\n');
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img create: makes an image; and what convert and others need of that. */
#include "img/create.h"

#include <string.h>

#include "img/img.h"

/* Text of an option as the user gave it, or its default. */
static char *option_text(json_t *options, const struct block_create_option *option)
{
    const char *dot = strchr(option->name, '.');
    g_autofree char *head = dot ? g_strndup(option->name, dot - option->name) : NULL;
    json_t *inner = dot ? json_object_get(options, head) : options;
    char *text =
        json_is_object(inner) ? options_peek_string(inner, dot ? dot + 1 : option->name) : NULL;

    if (text && option->kind == BLOCK_OPTION_SIZE) {
        uint64_t bytes = 0;
        auto_json *copy = json_object();
        options_set(copy, "value", text);
        if (options_take_size(copy, "value", &bytes, NULL)) {
            g_free(text);
            return g_strdup_printf("%" PRIu64, bytes);
        }
    }
    return text ? text : g_strdup(option->default_value);
}

static void print_driver_options(const struct block_driver *driver, const struct block_driver *skip,
                                 json_t *options)
{
    const struct block_create_option *option = driver->create_options;
    for (; option && option->name; option++) {
        const struct block_create_option *other = skip ? skip->create_options : NULL;
        bool known = false;
        for (; other && other->name; other++)
            known |= !strcmp(other->name, option->name);
        g_autofree char *text = known ? NULL : option_text(options, option);
        if (!text)
            continue;
        if (strpbrk(text, " ,'\""))
            printf(" %s='%s'", option->name, text);
        else
            printf(" %s=%s", option->name, text);
    }
}

static void print_formatting(const char *filename, const char *format, json_t *options)
{
    const struct block_driver *driver = block_driver_find(format);
    const struct block_driver *protocol = block_driver_protocol(filename, NULL);

    printf("Formatting '%s', fmt=%s", filename, format);
    if (driver)
        print_driver_options(driver, NULL, options);
    if (driver && protocol && protocol != driver)
        print_driver_options(protocol, driver, options);
    putchar('\n');
}

/* Opens the backing file, to see that it is there and how large it is. */
static bool backing_check(const char *filename, json_t *options, bool unsafe, GError **error)
{
    g_autofree char *backing = options_peek_string(options, "backing_file");
    g_autofree char *format = options_peek_string(options, "backing_fmt");

    if (!backing || !*backing)
        return true;
    if (!strcmp(filename, backing))
        return fail(error, "Error: Trying to create an image with the same filename as the backing "
                           "file");
    if (unsafe)
        return true;
    if (format && !block_driver_find(format))
        return fail(error, "Unknown driver '%s'\nCould not open backing image.", format);
    g_autofree char *path = block_path_combine(filename, backing, error);
    if (!path)
        return false;
    g_autoptr(GError) reason = NULL;
    auto_block *node = block_open(path, format, NULL, BLOCK_OPEN_NO_IO, &reason);
    if (!node)
        return fail(error, "%s\nCould not open backing image.", reason->message);
    if (!format)
        return fail(error,
                    "backing_file given without backing_fmt: Detected format of %s.\n"
                    "Use -F to give the backing image's format",
                    node->driver->name);
    if (!options_has(options, "size"))
        json_object_set_new(options, "size", json_integer(block_length(node)));
    return true;
}

static bool name_known(const struct block_driver *driver, const char *name)
{
    const struct block_create_option *option = driver ? driver->create_options : NULL;
    size_t length = strlen(name);
    for (; option && option->name; option++) {
        if (!strncmp(option->name, name, length)
            && (!option->name[length] || option->name[length] == '.'))
            return true;
    }
    return false;
}

/* A wrong name is told before anything is made. */
static bool names_check(const struct block_driver *driver, const char *filename, json_t *options,
                        GError **error)
{
    const struct block_driver *protocol = block_driver_protocol(filename, error);
    const char *name;
    json_t *value;

    if (!protocol)
        return false;
    json_object_foreach(options, name, value)
    {
        if (!name_known(driver, name) && !name_known(protocol, name))
            return fail(error, "Invalid parameter '%s'", name);
    }
    return true;
}

bool img_create_image(const char *filename, const char *format, json_t *options, bool unsafe,
                      bool quiet, GError **error)
{
    const struct block_driver *driver = block_driver_find(format);

    if (!driver)
        return fail(error, "Unknown file format '%s'", format);
    if (!driver->create)
        return fail(error, "Format driver '%s' does not support image creation", format);
    if (options_has(options, "backing_file") && !driver->supports_backing)
        return fail(error, "Backing file not supported for file format '%s'", format);
    if (!backing_check(filename, options, unsafe, error))
        return false;
    if (!options_has(options, "size"))
        return fail(error, "Image creation needs a size parameter");
    if (!names_check(driver, filename, options, error))
        return false;
    if (!quiet) {
        print_formatting(filename, format, options);
        fflush(stdout);
    }
    return block_create(format, filename, options, error);
}

int img_create(int argc, char **argv)
{
    enum { OPTION_OBJECT = 256 };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "object", required_argument, 0, OPTION_OBJECT },
        {},
    };
    const char *format = "raw", *backing = NULL, *backing_format = NULL;
    g_autoptr(GError) error = NULL;
    auto_json *options = json_object();
    bool quiet = false, unsafe = false, help = false;
    int letter;

    while ((letter = getopt_long(argc, argv, ":F:b:f:ho:qu", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'F':
            backing_format = optarg;
            break;
        case 'b':
            backing = optarg;
            break;
        case 'f':
            format = optarg;
            break;
        case 'o':
            help |= img_wants_help(optarg);
            if (!help && !img_create_options(options, optarg, &error))
                return img_fail(g_steal_pointer(&error));
            break;
        case 'q':
            quiet = true;
            break;
        case 'u':
            unsafe = true;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case 'h':
            return img_help("create");
        default:
            return img_bad_option(argc, argv);
        }
    }
    const char *filename = optind < argc ? argv[optind++] : NULL;
    if (help)
        return img_print_create_options(format, filename);
    if (!filename) {
        img_usage_error("Expecting image file name");
        return 1;
    }
    if (optind < argc) {
        uint64_t size;
        if (!img_parse_size("image size", argv[optind++], &size))
            return 1;
        json_object_set_new(options, "size", json_integer(size));
    }
    if (optind != argc) {
        img_usage_error("Unexpected argument: %s", argv[optind]);
        return 1;
    }
    if (backing)
        options_set(options, "backing_file", backing);
    if (backing_format)
        options_set(options, "backing_fmt", backing_format);
    if (img_create_image(filename, format, options, unsafe, quiet, &error))
        return 0;
    return img_fail_context(g_steal_pointer(&error), "%s: ", filename);
}

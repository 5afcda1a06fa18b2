/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From texts to chardevs: -chardev "driver,id=x,…", and the short forms of -serial and -monitor. */
#include "chardev/backend.h"

#include <stdio.h>
#include <string.h>

static const struct chardev_driver *const drivers[] = {
    &chardev_stdio, &chardev_file, &chardev_pty, &chardev_socket, &chardev_null,
};

static const struct chardev_driver *driver_find(const char *name, GError **error)
{
    const char *names[G_N_ELEMENTS(drivers) + 1] = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
        names[i] = drivers[i]->name;
        if (!strcmp(names[i], name))
            return drivers[i];
    }
    const char *hint = hint_nearest(name, names);
    fail(error, "chardev '%s' is unknown%s", name, *hint ? hint : "; -chardev help lists them");
    return NULL;
}

void chardev_print_help(void)
{
    printf("Available chardev backend types:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
        printf("  %-8s %s\n", drivers[i]->name, drivers[i]->help);
    printf("mux=on lets several devices share one.\n");
}

struct chardev *chardev_new(const char *definition, GError **error)
{
    auto_keyval *options = keyval_parse(definition, "backend", error);
    bool mux = false;

    if (!options || !keyval_take_bool(options, "mux", &mux, error))
        return NULL;
    const char *name = keyval_take(options, "backend"), *id = keyval_take(options, "id");
    if (!name || !id || !*id) {
        fail(error,
             name ? "a chardev needs id=" : "the kind of chardev is missing, such as 'stdio'");
        return NULL;
    }
    const struct chardev_driver *driver = driver_find(name, error);
    return driver ? chardev_open(driver, id, options, mux, error) : NULL;
}

/* "host:port,more" as "host=…,port=…,more"; the host may be empty, or [an IPv6 address]. */
static char *tcp_options(const char *text, GError **error)
{
    g_autofree char *address = g_strndup(text, strcspn(text, ","));
    const char *more = text + strlen(address);
    char *colon = strrchr(address, ':');

    if (!colon) {
        fail(error, "'%s' is not HOST:PORT", address);
        return NULL;
    }
    *colon = '\0';
    size_t length = strlen(address);
    bool brackets = length >= 2 && address[0] == '[' && address[length - 1] == ']';
    if (brackets)
        address[length - 1] = '\0';
    return g_strdup_printf("host=%s,port=%s%s", address + brackets, colon + 1, more);
}

static struct chardev *open_text(const char *driver, const char *id, const char *text, bool mux,
                                 GError **error)
{
    auto_keyval *options = keyval_parse(text, NULL, error);
    const struct chardev_driver *found = options ? driver_find(driver, error) : NULL;
    return found ? chardev_open(found, id, options, mux, error) : NULL;
}

/* A path taken as it is, commas and all. */
static struct chardev *open_path(const char *id, const char *path, bool mux, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(path, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);
    g_autofree char *text = g_strconcat("path=", escaped, NULL);
    return open_text("file", id, text, mux, error);
}

static struct chardev *open_socket(const char *id, const char *kind, const char *rest, bool mux,
                                   GError **error)
{
    g_autofree char *text =
        kind[0] == 'u' ? g_strconcat("path=", rest, NULL) : tcp_options(rest, error);
    return text ? open_text("socket", id, text, mux, error) : NULL;
}

static struct chardev *open_short(const char *id, const char *text, bool mux, GError **error)
{
    static const char *const forms[] = { "stdio", "mon:stdio", "null", "none",     "vc", "pty",
                                         "file:", "unix:",     "tcp:", "chardev:", NULL };

    if (!strcmp(text, "stdio"))
        return open_text("stdio", id, mux ? "signal=off" : "", mux, error);
    if (!strcmp(text, "null") || !strcmp(text, "vc") || g_str_has_prefix(text, "vc:"))
        return open_text("null", id, "", mux, error); /* there is no window for a console yet */
    if (!strcmp(text, "pty"))
        return open_text("pty", id, "", mux, error);
    if (g_str_has_prefix(text, "file:"))
        return open_path(id, text + strlen("file:"), mux, error);
    if (g_str_has_prefix(text, "unix:"))
        return open_socket(id, "unix", text + strlen("unix:"), mux, error);
    if (g_str_has_prefix(text, "tcp:"))
        return open_socket(id, "tcp", text + strlen("tcp:"), mux, error);
    const char *hint = hint_nearest(text, forms);
    fail(error, "'%s' is no character device%s", text,
         *hint ? hint
               : "; there are stdio, mon:stdio, null, none, pty, file:, unix:, tcp:, chardev:");
    return NULL;
}

struct chardev *chardev_new_short(const char *id, const char *definition, GError **error)
{
    if (g_str_has_prefix(definition, "chardev:")) {
        const char *name = definition + strlen("chardev:");
        struct chardev *chardev = chardev_find(name);
        if (!chardev)
            fail(error, "chardev '%s' does not exist; define it with -chardev …,id=%s", name, name);
        return chardev;
    }
    if (g_str_has_prefix(definition, "mon:"))
        return open_short(id, definition + strlen("mon:"), true, error);
    return open_short(id, definition, false, error);
}

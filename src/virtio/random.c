/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/random.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/random.h>

#include "chardev/chardev.h"
#include "hw/property.h"
#include "util/object.h"

/* Requests are served in order. With a descriptor, it is watched while there are any; the built-in
 * source answers from an idle callback; a daemon is asked and its answer awaited. */
struct random_source {
    struct object object;
    GQueue requests;     /* struct random_request * */
    guint watch;         /* of the descriptor or the idle callback; 0: none */
    int fd;              /* rng-random; else -1 */
    struct chardev *egd; /* rng-egd; else NULL */
    size_t egd_asked;    /* bytes the daemon still owes */
};

struct random_ops {
    void (*begin)(struct random_source *source); /* there is a request again */
};

static struct random_source *source_of(struct object *object)
{
    return container_of(object, struct random_source, object);
}

void random_source_ask(struct random_source *source, struct random_request *request, void *buffer,
                       size_t length)
{
    const struct random_ops *ops = source->object.type->ops;
    request->buffer = buffer;
    request->length = length;
    g_queue_push_tail(&source->requests, request);
    ops->begin(source);
}

void random_source_forget(struct random_source *source, struct random_request *request)
{
    g_queue_remove(&source->requests, request);
}

static void first_arrived(struct random_source *source, size_t bytes)
{
    struct random_request *request = g_queue_pop_head(&source->requests);
    request->arrived(request, bytes);
}

static void source_destroy(struct object *object)
{
    struct random_source *source = source_of(object);
    if (source->watch)
        g_source_remove(source->watch);
    if (source->egd)
        chardev_detach(source->egd);
    g_queue_clear(&source->requests);
    if (source->fd > 0)
        close(source->fd);
}

/* --- rng-builtin ---------------------------------------------------------------------------- */

static gboolean builtin_answer(gpointer opaque)
{
    struct random_source *source = opaque;
    guint rounds = source->requests.length; /* those that come meanwhile wait for the next call */
    for (; rounds && source->requests.length; rounds--) {
        struct random_request *request = g_queue_peek_head(&source->requests);
        /* Blocks only before the host's generator has been seeded at all. */
        ssize_t got = getrandom(request->buffer, request->length, 0);
        if (got <= 0)
            break;
        first_arrived(source, got);
    }
    if (source->requests.length)
        return G_SOURCE_CONTINUE;
    source->watch = 0;
    return G_SOURCE_REMOVE;
}

static void builtin_begin(struct random_source *source)
{
    if (!source->watch)
        source->watch = g_idle_add_full(G_PRIORITY_DEFAULT, builtin_answer, source, NULL);
}

static bool builtin_create(struct object *object, struct keyval *options, GError **error)
{
    source_of(object)->fd = -1;
    return true;
}

static const struct random_ops builtin_ops = { builtin_begin };

OBJECT_TYPE(rng_builtin) = {
    .name = "rng-builtin",
    .description = "randomness of the host's generator",
    .size = sizeof(struct random_source),
    .create = builtin_create,
    .destroy = source_destroy,
    .ops = &builtin_ops,
};

struct random_source *random_source_builtin(GError **error)
{
    static unsigned count;
    g_autofree char *id = g_strdup_printf("#rng%u", count++);
    struct keyval none = { 0 };
    struct object *object = object_new_internal("rng-builtin", id, &none, error);
    return object ? source_of(object_ref(object)) : NULL;
}

/* --- rng-random ----------------------------------------------------------------------------- */

static gboolean device_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    struct random_source *source = opaque;
    struct random_request *request = g_queue_peek_head(&source->requests);
    if (request) {
        ssize_t got = read(fd, request->buffer, request->length);
        if (got > 0)
            first_arrived(source, got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            g_queue_clear(&source->requests); /* it has ended: the guest waits for ever */
    }
    if (source->requests.length)
        return G_SOURCE_CONTINUE;
    source->watch = 0;
    return G_SOURCE_REMOVE;
}

static void device_begin(struct random_source *source)
{
    if (!source->watch)
        source->watch = g_unix_fd_add(source->fd, G_IO_IN, device_readable, source);
}

static bool device_create(struct object *object, struct keyval *options, GError **error)
{
    struct random_source *source = source_of(object);
    const char *name = keyval_take(options, "filename");
    name = name ? name : "/dev/urandom";
    source->fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return source->fd >= 0 || fail_errno(error, "Could not open '%s'", name);
}

static const struct random_ops device_ops = { device_begin };
static const struct object_option device_options[] = {
    { "filename", "string", "/dev/urandom if not given" },
    {},
};

OBJECT_TYPE(rng_random) = {
    .name = "rng-random",
    .description = "randomness read from a device",
    .size = sizeof(struct random_source),
    .options = device_options,
    .create = device_create,
    .destroy = source_destroy,
    .ops = &device_ops,
};

/* --- rng-egd -------------------------------------------------------------------------------- */

#define EGD_READ 2 /* command: the next byte says how many bytes are wanted, as they come */
#define EGD_MAX 255

static size_t egd_room(void *opaque)
{
    const struct random_source *source = opaque;
    const struct random_request *request = g_queue_peek_head((GQueue *)&source->requests);
    return request ? MIN(request->length, source->egd_asked) : 0;
}

static void egd_begin(struct random_source *source)
{
    const struct random_request *request = g_queue_peek_head(&source->requests);
    if (!request)
        return;
    if (!source->egd_asked) {
        uint8_t command[2] = { EGD_READ, MIN(request->length, EGD_MAX) };
        source->egd_asked = command[1];
        chardev_write(source->egd, command, sizeof(command));
    }
    chardev_accept_input(source->egd);
}

static void egd_receive(void *opaque, const uint8_t *data, size_t length)
{
    struct random_source *source = opaque;
    struct random_request *request = g_queue_peek_head(&source->requests);
    size_t used = request ? MIN(length, request->length) : 0;
    source->egd_asked -= MIN(length, source->egd_asked);
    if (!used)
        return;
    memcpy(request->buffer, data, used);
    first_arrived(source, used);
    egd_begin(source);
}

static const struct chardev_frontend egd_frontend = {
    .can_receive = egd_room,
    .receive = egd_receive,
};

static bool egd_create(struct object *object, struct keyval *options, GError **error)
{
    struct random_source *source = source_of(object);
    const char *name = keyval_take(options, "chardev");
    source->fd = -1;
    if (!name)
        return fail(error, "Parameter 'chardev' is missing");
    struct chardev *chardev = chardev_find(name);
    if (!chardev)
        return fail(error, "Device '%s' not found", name);
    if (!chardev_attach(chardev, &egd_frontend, source, error))
        return false;
    source->egd = chardev;
    return true;
}

static const struct random_ops egd_ops = { egd_begin };
static const struct object_option egd_options[] = {
    { "chardev", "string", "where the daemon is" },
    {},
};

OBJECT_TYPE(rng_egd) = {
    .name = "rng-egd",
    .description = "randomness of a daemon that speaks EGD's protocol",
    .late = true,
    .size = sizeof(struct random_source),
    .options = egd_options,
    .create = egd_create,
    .destroy = source_destroy,
    .ops = &egd_ops,
};

/* --- as a property -------------------------------------------------------------------------- */

static void *take(struct device *dev, const char *id, GError **error)
{
    struct object *object = object_find_type(id, "rng-", error);
    return object ? source_of(object_ref(object)) : NULL;
}

static void release(struct device *dev, void *target)
{
    struct object *object = &((struct random_source *)target)->object;
    object_unref(object);
    if (object->id[0] == '#') /* made for this device alone */
        object_delete(object->id, NULL);
}

static const char *id_of(const void *target)
{
    return ((const struct random_source *)target)->object.id;
}

const struct reference_kind random_reference = {
    .noun = "rng",
    .take = take,
    .release = release,
    .id = id_of,
};

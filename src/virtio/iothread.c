/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/iothread.h"

#include <pthread.h>
#include <string.h>

#include "block/block.h"
#include "hw/property.h"
#include "util/object.h"

struct iothread {
    struct object object;
    uint64_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch; /* accepted, have no effect */
    GMainContext *context;
    GMainLoop *loop;
    struct block_context *block;
    pthread_t thread;
    bool started;
};

static void *iothread_main(void *opaque)
{
    struct iothread *iothread = opaque;
    g_main_context_push_thread_default(iothread->context);
    g_main_loop_run(iothread->loop);
    g_main_context_pop_thread_default(iothread->context);
    return NULL;
}

static bool iothread_create(struct object *object, struct keyval *options, GError **error)
{
    struct iothread *iothread = container_of(object, struct iothread, object);

    if (!keyval_take_unsigned(options, "poll-max-ns", INT64_MAX, &iothread->poll_max_ns, error)
        || !keyval_take_unsigned(options, "poll-grow", INT64_MAX, &iothread->poll_grow, error)
        || !keyval_take_unsigned(options, "poll-shrink", INT64_MAX, &iothread->poll_shrink, error)
        || !keyval_take_unsigned(options, "aio-max-batch", INT64_MAX, &iothread->aio_max_batch,
                                 error))
        return false;
    iothread->context = g_main_context_new();
    iothread->loop = g_main_loop_new(iothread->context, FALSE);
    iothread->block = block_context_new(iothread->context, error);
    if (!iothread->block)
        return false;
    if (pthread_create(&iothread->thread, NULL, iothread_main, iothread))
        return fail(error, "cannot start the thread of iothread '%s'", object->id);
    iothread->started = true;
    g_autofree char *name = g_strdup_printf("IO %.12s", object->id);
    pthread_setname_np(iothread->thread, name);
    return true;
}

static void iothread_destroy(struct object *object)
{
    struct iothread *iothread = container_of(object, struct iothread, object);
    if (iothread->started) {
        g_main_loop_quit(iothread->loop);
        pthread_join(iothread->thread, NULL);
    }
    block_context_free(iothread->block);
    if (iothread->loop)
        g_main_loop_unref(iothread->loop);
    if (iothread->context)
        g_main_context_unref(iothread->context);
}

static const struct object_option iothread_options[] = {
    { "poll-max-ns", "int", "accepted: the thread does not poll" },
    { "poll-grow", "int", "accepted" },
    { "poll-shrink", "int", "accepted" },
    { "aio-max-batch", "int", "accepted" },
    {},
};

OBJECT_TYPE(iothread) = {
    .name = "iothread",
    .description = "a thread that devices work on",
    .size = sizeof(struct iothread),
    .options = iothread_options,
    .create = iothread_create,
    .destroy = iothread_destroy,
};

GMainContext *iothread_loop(struct iothread *iothread)
{
    return iothread->context;
}

struct block_context *iothread_block_context(struct iothread *iothread)
{
    return iothread ? iothread->block : block_context_main();
}

/* --- leaving the loop ----------------------------------------------------------------------- */

struct barrier {
    pthread_mutex_t lock;
    pthread_cond_t passed;
    bool done; /* [lock] */
};

static gboolean pass(gpointer opaque)
{
    struct barrier *barrier = opaque;
    pthread_mutex_lock(&barrier->lock);
    barrier->done = true;
    pthread_cond_signal(&barrier->passed);
    pthread_mutex_unlock(&barrier->lock);
    return G_SOURCE_REMOVE;
}

void iothread_detach(struct iothread *iothread, GSource *source)
{
    struct barrier barrier = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

    g_source_destroy(source);
    g_source_unref(source);
    if (!iothread)
        return;
    g_main_context_invoke(iothread->context, pass, &barrier);
    pthread_mutex_lock(&barrier.lock);
    while (!barrier.done)
        pthread_cond_wait(&barrier.passed, &barrier.lock);
    pthread_mutex_unlock(&barrier.lock);
}

/* --- as a property -------------------------------------------------------------------------- */

static void *take(struct device *dev, const char *id, GError **error)
{
    struct object *object = object_find_type(id, "iothread", error);
    return object ? container_of(object_ref(object), struct iothread, object) : NULL;
}

static void release(struct device *dev, void *target)
{
    object_unref(&((struct iothread *)target)->object);
}

static const char *id_of(const void *target)
{
    return ((const struct iothread *)target)->object.id;
}

const struct reference_kind iothread_reference = {
    .noun = "iothread",
    .take = take,
    .release = release,
    .id = id_of,
};

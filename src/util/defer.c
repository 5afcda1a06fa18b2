/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/defer.h"

#include <errno.h>
#include <glib-unix.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/* The main loop's list of work. Made with the first defer_init(), kept for the process's life. */
static struct {
    pthread_mutex_t lock;
    struct defer *first, **end; /* [lock] */
    unsigned count;             /* [lock] */
    int fd;                     /* [const] wakes the loop */
} list = { .lock = PTHREAD_MUTEX_INITIALIZER, .end = &list.first, .fd = -1 };

static void put(struct defer *defer)
{
    pthread_mutex_lock(&list.lock);
    defer->next = NULL;
    *list.end = defer;
    list.end = &defer->next;
    list.count++;
    pthread_mutex_unlock(&list.lock);
}

static struct defer *take(void)
{
    pthread_mutex_lock(&list.lock);
    struct defer *defer = list.first;
    if (defer && !(list.first = defer->next))
        list.end = &list.first;
    if (defer)
        list.count--;
    pthread_mutex_unlock(&list.lock);
    return defer;
}

static unsigned waiting_count(void)
{
    pthread_mutex_lock(&list.lock);
    unsigned count = list.count;
    pthread_mutex_unlock(&list.lock);
    return count;
}

static gboolean woken(gint fd, GIOCondition condition, gpointer opaque)
{
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        warn("reading an event counter failed: %s", g_strerror(errno));
    /* Not those that come meanwhile: work that asks for itself again must let others have their
     * turn. One at a time, since one may cancel another. */
    for (unsigned left = waiting_count(); left; left--) {
        struct defer *defer = take();
        if (!defer)
            break;
        atomic_store(&defer->waiting, false);
        defer->run(defer->opaque);
    }
    return G_SOURCE_CONTINUE;
}

void defer_init(struct defer *defer, void (*run)(void *opaque), void *opaque)
{
    *defer = (struct defer){ .run = run, .opaque = opaque };
    if (list.fd >= 0)
        return;
    list.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (list.fd < 0) {
        report_error("cannot make an event counter: %s", g_strerror(errno));
        exit(1);
    }
    g_unix_fd_add(list.fd, G_IO_IN, woken, NULL);
}

void defer_schedule(struct defer *defer)
{
    const uint64_t one = 1;
    if (atomic_exchange(&defer->waiting, true))
        return;
    put(defer);
    if (write(list.fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        warn("writing an event counter failed: %s", g_strerror(errno));
}

void defer_cancel(struct defer *defer)
{
    pthread_mutex_lock(&list.lock);
    for (struct defer **link = &list.first; *link; link = &(*link)->next) {
        if (*link != defer)
            continue;
        *link = defer->next;
        if (list.end == &defer->next)
            list.end = link;
        list.count--;
        break;
    }
    pthread_mutex_unlock(&list.lock);
    atomic_store(&defer->waiting, false);
}

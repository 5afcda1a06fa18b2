/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All armed timers are in one binary heap, the earliest at its root. One timerfd wakes the main
 * loop at the root's deadline.
 *
 * The descriptor is set only when a timer becomes due before what it is set for. Cancelling or
 * postponing the earliest timer leaves it alone: guests re-arm their local APIC timers thousands of
 * times a second, and one wake-up in vain is cheaper than a system call for each. */
#include "util/timer.h"

#include <errno.h>
#include <glib-unix.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>

#define NEVER UINT64_MAX

static struct {
    pthread_mutex_t lock;
    struct timer **heap;     /* [lock] heap[i] is due no later than heap[2i + 1] and heap[2i + 2] */
    size_t count, capacity;  /* [lock] */
    int fd;                  /* [lock] -1 until timers_start() */
    uint64_t fd_deadline_ns; /* [lock] what fd is set for; NEVER: not set */
    bool firing;             /* [lock] timers_fire() sets the descriptor when it is done */
} timers = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .fd_deadline_ns = NEVER };

uint64_t clock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

static void heap_place(struct timer *timer, size_t index)
{
    timers.heap[index] = timer;
    timer->heap_index = index;
}

static void heap_up(struct timer *timer, size_t index)
{
    while (index) {
        size_t parent = (index - 1) / 2;
        if (timers.heap[parent]->deadline_ns <= timer->deadline_ns)
            break;
        heap_place(timers.heap[parent], index);
        index = parent;
    }
    heap_place(timer, index);
}

static void heap_down(struct timer *timer, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= timers.count)
            break;
        if (child + 1 < timers.count
            && timers.heap[child + 1]->deadline_ns < timers.heap[child]->deadline_ns)
            child++;
        if (timer->deadline_ns <= timers.heap[child]->deadline_ns)
            break;
        heap_place(timers.heap[child], index);
        index = child;
    }
    heap_place(timer, index);
}

static void heap_add(struct timer *timer)
{
    if (timers.count == timers.capacity) {
        timers.capacity = MAX(16, timers.capacity * 2);
        timers.heap = g_renew(struct timer *, timers.heap, timers.capacity);
    }
    timers.count++;
    heap_up(timer, timers.count - 1);
}

static void heap_remove(struct timer *timer)
{
    size_t index = timer->heap_index;
    struct timer *last = timers.heap[--timers.count];
    timer->deadline_ns = NEVER;
    if (last == timer)
        return;
    if (index && last->deadline_ns < timers.heap[(index - 1) / 2]->deadline_ns)
        heap_up(last, index);
    else
        heap_down(last, index);
}

/* Called with the lock held after a change of the heap. */
static void descriptor_update(void)
{
    uint64_t earliest = timers.count ? timers.heap[0]->deadline_ns : NEVER;
    if (timers.fd < 0 || timers.firing || earliest >= timers.fd_deadline_ns)
        return;
    uint64_t set_ns = MAX(earliest, 1); /* zero would disarm */
    struct itimerspec when = { .it_value = { .tv_sec = set_ns / 1000000000u,
                                             .tv_nsec = set_ns % 1000000000u } };
    if (timerfd_settime(timers.fd, TFD_TIMER_ABSTIME, &when, NULL) == 0)
        timers.fd_deadline_ns = earliest;
}

void timer_init(struct timer *timer, void (*fire)(void *opaque), void *opaque)
{
    *timer = (struct timer){ .fire = fire, .opaque = opaque, .deadline_ns = NEVER };
}

void timer_arm(struct timer *timer, uint64_t deadline_ns)
{
    pthread_mutex_lock(&timers.lock);
    if (timer->deadline_ns != NEVER)
        heap_remove(timer);
    timer->deadline_ns = deadline_ns;
    if (deadline_ns != NEVER)
        heap_add(timer);
    descriptor_update();
    pthread_mutex_unlock(&timers.lock);
}

void timer_cancel(struct timer *timer)
{
    pthread_mutex_lock(&timers.lock);
    if (timer->deadline_ns != NEVER)
        heap_remove(timer);
    pthread_mutex_unlock(&timers.lock);
}

/* Fires what is due now. A callback may arm its own timer in the past again; counting down from the
 * number of timers keeps that from starving the rest of the main loop. */
static gboolean timers_fire(int fd, GIOCondition condition, void *opaque)
{
    uint64_t expirations;
    if (read(fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        warn("cannot read the timer descriptor: %s", g_strerror(errno));

    pthread_mutex_lock(&timers.lock);
    timers.firing = true;
    timers.fd_deadline_ns = NEVER;
    uint64_t now_ns = clock_now_ns();
    for (size_t left = timers.count; left && timers.count; left--) {
        struct timer *timer = timers.heap[0];
        if (timer->deadline_ns > now_ns)
            break;
        heap_remove(timer);
        void (*fire)(void *) = timer->fire;
        void *argument = timer->opaque;
        pthread_mutex_unlock(&timers.lock);
        fire(argument); /* may free the timer */
        pthread_mutex_lock(&timers.lock);
    }
    timers.firing = false;
    descriptor_update();
    pthread_mutex_unlock(&timers.lock);
    return G_SOURCE_CONTINUE;
}

bool timers_start(GError **error)
{
    auto_close int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return fail_errno(error, "cannot create the timer descriptor");

    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(timers_fire), NULL, NULL);
    /* Before other sources: a guest's clock tick is late sooner than its disk. */
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_attach(source, NULL);
    g_source_unref(source);

    pthread_mutex_lock(&timers.lock);
    timers.fd = take_fd(&fd);
    descriptor_update();
    pthread_mutex_unlock(&timers.lock);
    return true;
}

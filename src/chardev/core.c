/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part all back ends share: the list of chardevs, front ends, the output queue, and one GSource
 * per chardev whose prepare function decides, before each poll, what is worth waiting for. So
 * another thread changes nothing but a flag and wakes the main loop. */
#include "chardev/backend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "util/timer.h"

#define THROTTLE_MS 10
#define STALL_NS 1000000000ull
#define READ_BYTES 4096

struct chardev_source {
    GSource source;
    struct chardev *chardev;
};

/* [main] The back ends of this process's -chardev and -serial options. */
static GPtrArray *chardevs;

struct chardev *chardev_find(const char *id)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        struct chardev *chardev = chardevs->pdata[i];
        if (!strcmp(chardev->id, id))
            return chardev;
    }
    return NULL;
}

/* --- output --- */

static size_t queued(const struct chardev *chardev)
{
    return chardev->queue->len - chardev->queue_start;
}

static void queue_clear(struct chardev *chardev)
{
    g_byte_array_set_size(chardev->queue, 0);
    chardev->queue_start = 0;
}

static ssize_t send_now(struct chardev *chardev, const uint8_t *data, size_t length)
{
    ssize_t sent;
    do
        sent = chardev->driver->send ? chardev->driver->send(chardev, data, length)
                                     : write(chardev->out_fd, data, length);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/* Writes what the back end takes now and returns how much that was. A back end that fails takes
 * all. */
static size_t write_some(struct chardev *chardev, const uint8_t *data, size_t length)
{
    size_t done = 0;

    while (done < length && chardev->out_fd >= 0) {
        ssize_t sent = send_now(chardev, data + done, length - done);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return done;
        if (sent <= 0) {
            atomic_store(&chardev->failed, true);
            g_main_context_wakeup(NULL);
            return length;
        }
        done += sent;
        chardev->progress_ns = clock_now_ns();
        chardev->drop_reported = false;
    }
    return length;
}

static void queue_flush(struct chardev *chardev)
{
    chardev->queue_start +=
        write_some(chardev, chardev->queue->data + chardev->queue_start, queued(chardev));
    if (!queued(chardev)) {
        queue_clear(chardev);
    } else if (chardev->queue_start >= CHARDEV_QUEUE_SOFT) {
        g_byte_array_remove_range(chardev->queue, 0, chardev->queue_start);
        chardev->queue_start = 0;
    }
}

/* Makes room in a long queue; false if the reader has stalled and its output must go. */
static bool queue_throttle(struct chardev *chardev)
{
    bool stalled = clock_now_ns() - chardev->progress_ns > STALL_NS;

    if (queued(chardev) < CHARDEV_QUEUE_SOFT)
        return true;
    if (!(stalled && chardev->driver->drop_when_stalled)) {
        struct pollfd poll_out = { .fd = chardev->out_fd, .events = POLLOUT };
        poll(&poll_out, 1, THROTTLE_MS);
        queue_flush(chardev);
        if (queued(chardev) < CHARDEV_QUEUE_HARD)
            return true;
    }
    if (!chardev->drop_reported)
        warn("chardev '%s': nobody reads; output is dropped until somebody does", chardev->id);
    chardev->drop_reported = true;
    return false;
}

void chardev_write(struct chardev *chardev, const void *data, size_t length)
{
    pthread_mutex_lock(&chardev->lock);
    if (chardev->driver->write) {
        chardev->driver->write(chardev, data, length);
    } else if (chardev->out_fd >= 0 && !atomic_load(&chardev->failed)) {
        size_t done = queued(chardev) ? 0 : write_some(chardev, data, length);
        if (done < length && queue_throttle(chardev)) {
            bool was_empty = !queued(chardev);
            g_byte_array_append(chardev->queue, (const guint8 *)data + done, length - done);
            if (was_empty)
                g_main_context_wakeup(NULL);
        }
    }
    pthread_mutex_unlock(&chardev->lock);
}

/* --- input --- */

/* How many bytes may be read now. */
static size_t input_room(struct chardev *chardev)
{
    if (!chardev->slot_count)
        return 0;
    if (chardev->is_mux)
        return mux_room(chardev);
    return chardev->slots[0].frontend->can_receive(chardev->slots[0].opaque);
}

static void input_deliver(struct chardev *chardev, const uint8_t *data, size_t length)
{
    if (chardev->is_mux)
        mux_input(chardev, data, length);
    else
        chardev->slots[0].frontend->receive(chardev->slots[0].opaque, data, length);
}

void chardev_accept_input(struct chardev *chardev)
{
    if (atomic_exchange(&chardev->input_blocked, false))
        g_main_context_wakeup(NULL);
}

static void poll_end(struct chardev *chardev, gpointer *tag)
{
    if (*tag)
        g_source_remove_unix_fd(chardev->source, *tag);
    *tag = NULL;
}

void chardev_send_event(struct chardev *chardev, enum chardev_event event)
{
    const struct chardev_slot *slot = &chardev->slots[chardev->focus];

    chardev->opened = event == CHARDEV_OPENED || (chardev->opened && event != CHARDEV_CLOSED);
    if (chardev->slot_count && slot->frontend->event)
        slot->frontend->event(slot->opaque, event);
}

void chardev_set_fds(struct chardev *chardev, int in_fd, int out_fd)
{
    poll_end(chardev, &chardev->in_tag);
    poll_end(chardev, &chardev->out_tag);
    pthread_mutex_lock(&chardev->lock);
    queue_clear(chardev);
    chardev->in_fd = in_fd;
    chardev->out_fd = out_fd;
    chardev->progress_ns = clock_now_ns();
    chardev->drop_reported = false;
    atomic_store(&chardev->failed, false);
    pthread_mutex_unlock(&chardev->lock);
    g_main_context_wakeup(NULL);
}

static void input_read(struct chardev *chardev)
{
    uint8_t data[READ_BYTES];
    size_t room = input_room(chardev);

    if (!room)
        return;
    ssize_t got = read(chardev->in_fd, data, MIN(room, sizeof(data)));
    if (got > 0) {
        input_deliver(chardev, data, got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (chardev->driver->lost)
            chardev->driver->lost(chardev);
        else
            chardev->in_fd = -1;
    }
}

/* --- the GSource --- */

static void poll_want(struct chardev *chardev, gpointer *tag, int fd, GIOCondition events,
                      bool wanted)
{
    /* A descriptor nobody waits for is taken out of the poll rather than asked for no events: it
     * would report a hang-up for ever. */
    if (wanted && !*tag)
        *tag = g_source_add_unix_fd(chardev->source, fd, events);
    else if (!wanted)
        poll_end(chardev, tag);
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    struct chardev *chardev = ((struct chardev_source *)source)->chardev;

    *timeout = -1;
    /* Set before asking for room: a device that makes room after the question sees the flag. */
    atomic_store(&chardev->input_blocked, true);
    bool room = input_room(chardev);
    bool pending = chardev->is_mux && mux_pending(chardev);
    if (room || pending)
        atomic_store(&chardev->input_blocked, false);
    poll_want(chardev, &chardev->in_tag, chardev->in_fd, G_IO_IN, chardev->in_fd >= 0 && room);

    pthread_mutex_lock(&chardev->lock);
    int out_fd = chardev->out_fd;
    bool output = out_fd >= 0 && queued(chardev);
    pthread_mutex_unlock(&chardev->lock);
    poll_want(chardev, &chardev->out_tag, out_fd, G_IO_OUT, output);
    return pending || atomic_load(&chardev->failed);
}

static gboolean source_check(GSource *source)
{
    struct chardev *chardev = ((struct chardev_source *)source)->chardev;

    return (chardev->in_tag && g_source_query_unix_fd(source, chardev->in_tag))
           || (chardev->out_tag && g_source_query_unix_fd(source, chardev->out_tag));
}

static void output_failed(struct chardev *chardev)
{
    pthread_mutex_lock(&chardev->lock);
    queue_clear(chardev);
    chardev->out_fd = -1;
    atomic_store(&chardev->failed, false);
    pthread_mutex_unlock(&chardev->lock);
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    struct chardev *chardev = ((struct chardev_source *)source)->chardev;
    bool readable = chardev->in_tag && g_source_query_unix_fd(source, chardev->in_tag);

    if (atomic_load(&chardev->failed)) {
        output_failed(chardev);
        if (chardev->driver->lost)
            chardev->driver->lost(chardev);
        return G_SOURCE_CONTINUE;
    }
    /* Who holds the lock is a writer, and flushes the queue itself. */
    if (chardev->out_tag && !pthread_mutex_trylock(&chardev->lock)) {
        queue_flush(chardev);
        pthread_mutex_unlock(&chardev->lock);
    }
    if (chardev->is_mux)
        mux_deliver(chardev);
    if (readable)
        input_read(chardev);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

static void source_start(struct chardev *chardev)
{
    chardev->source = g_source_new(&source_functions, sizeof(struct chardev_source));
    ((struct chardev_source *)chardev->source)->chardev = chardev;
    g_source_set_static_name(chardev->source, "chardev");
    g_source_attach(chardev->source, NULL);
}

/* --- life --- */

static void chardev_free(struct chardev *chardev)
{
    if (chardev->source) {
        g_source_destroy(chardev->source);
        g_source_unref(chardev->source);
    }
    for (unsigned i = 0; i < CHARDEV_SLOTS; i++)
        g_free(chardev->slots[i].buffer);
    pthread_mutex_destroy(&chardev->lock);
    g_byte_array_unref(chardev->queue);
    g_free(chardev->id);
    g_free(chardev);
}

struct chardev *chardev_open(const struct chardev_driver *driver, const char *id,
                             struct keyval *options, bool mux, GError **error)
{
    if (chardev_find(id)) {
        fail(error, "chardev id '%s' is used twice", id);
        return NULL;
    }
    struct chardev *chardev = g_malloc0(driver->size);
    chardev->driver = driver;
    chardev->id = g_strdup(id);
    chardev->is_mux = mux;
    chardev->in_fd = chardev->out_fd = -1;
    chardev->queue = g_byte_array_new();
    pthread_mutex_init(&chardev->lock, NULL);
    source_start(chardev);
    if (!driver->open(chardev, options, error) || !keyval_finish(options, driver->options, error)) {
        driver->close(chardev);
        chardev_free(chardev);
        return NULL;
    }
    if (!chardevs)
        chardevs = g_ptr_array_new();
    g_ptr_array_add(chardevs, chardev);
    return chardev;
}

bool chardev_attach(struct chardev *chardev, const struct chardev_frontend *frontend, void *opaque,
                    GError **error)
{
    unsigned max = chardev->is_mux ? CHARDEV_SLOTS : 1;

    if (chardev->slot_count == max)
        return fail(error,
                    chardev->is_mux ? "chardev '%s' is shared by four devices already"
                                    : "chardev '%s' is in use (mux=on would share it)",
                    chardev->id);
    struct chardev_slot *slot = &chardev->slots[chardev->slot_count++];
    slot->frontend = frontend;
    slot->opaque = opaque;
    if (chardev->is_mux && !slot->buffer)
        mux_init_slot(slot);
    bool in_focus = slot == &chardev->slots[chardev->focus];
    if (chardev->opened && in_focus && frontend->event)
        frontend->event(opaque, CHARDEV_OPENED);
    g_main_context_wakeup(NULL);
    return true;
}

void chardev_detach(struct chardev *chardev)
{
    chardev->slot_count = 0;
    chardev->focus = 0;
}

static struct chardev *chardev_need(const char *id, GError **error)
{
    struct chardev *chardev = chardev_find(id);

    if (!chardev)
        fail(error, "Chardev '%s' not found", id);
    return chardev;
}

bool chardev_remove(const char *id, GError **error)
{
    struct chardev *chardev = chardev_need(id, error);

    if (!chardev)
        return false;
    if (chardev->slot_count)
        return fail(error, "Chardev '%s' is busy", id);
    g_ptr_array_remove(chardevs, chardev);
    chardev->driver->close(chardev);
    chardev_free(chardev);
    return true;
}

bool chardev_send_break(const char *id, GError **error)
{
    struct chardev *chardev = chardev_need(id, error);

    if (chardev)
        chardev_send_event(chardev, CHARDEV_BREAK);
    return chardev;
}

void chardevs_visit(void (*visit)(const char *id, const char *driver, bool connected, void *opaque),
                    void *opaque)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        const struct chardev *chardev = chardevs->pdata[i];
        visit(chardev->id, chardev->driver->name, chardev->opened, opaque);
    }
}

bool chardevs_use_stdio(void)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        const struct chardev *chardev = chardevs->pdata[i];
        if (chardev->driver == &chardev_stdio)
            return true;
    }
    return false;
}

void chardevs_activate(void)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++) {
        struct chardev *chardev = chardevs->pdata[i];
        if (chardev->driver->activate)
            chardev->driver->activate(chardev);
    }
}

static void flush(struct chardev *chardev, uint64_t patience_ns)
{
    uint64_t end_ns = clock_now_ns() + patience_ns;

    pthread_mutex_lock(&chardev->lock);
    while (queued(chardev) && chardev->out_fd >= 0 && !atomic_load(&chardev->failed)
           && clock_now_ns() < end_ns) {
        struct pollfd poll_out = { .fd = chardev->out_fd, .events = POLLOUT };
        size_t before = queued(chardev);
        poll(&poll_out, 1, THROTTLE_MS);
        queue_flush(chardev);
        if (queued(chardev) < before)
            end_ns = clock_now_ns() + patience_ns;
    }
    pthread_mutex_unlock(&chardev->lock);
}

void chardevs_flush(unsigned patience_ms)
{
    for (guint i = 0; chardevs && i < chardevs->len; i++)
        flush(chardevs->pdata[i], patience_ms * 1000000ull);
}

void chardevs_close_all(void)
{
    while (chardevs && chardevs->len) {
        struct chardev *chardev = g_ptr_array_steal_index(chardevs, chardevs->len - 1);
        chardev_detach(chardev);
        chardev->driver->close(chardev);
        chardev_free(chardev);
    }
    g_clear_pointer(&chardevs, g_ptr_array_unref);
}

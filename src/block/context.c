/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contexts: an io_uring and a list of ended requests, both served by one thread.
 *
 * What is submitted from the loop's callbacks is gathered and given to the kernel in one system
 * call when the loop is about to wait (context_prepare()), or at once when the ring is full. Other
 * threads put requests that have ended on `ended` and write to an eventfd if the list was empty; a
 * read of that eventfd is always under way in the ring, so that waiting means waiting for the ring
 * alone. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "block/driver.h"

enum { RING_ENTRIES = 256 };

struct block_context {
    GSource source; /* first member; used if there is a loop */
    pthread_t thread;
    struct io_uring ring;
    bool has_ring;
    bool attached;
    int event_fd;
    uint64_t event_value; /* where the ring's read puts it */
    struct block_completion event;
    bool event_armed;
    unsigned prepared;                         /* entries in the ring not yet submitted */
    unsigned flying;                           /* entries whose completion is awaited */
    _Atomic(struct block_request *) ended;     /* from other threads; newest first */
    struct block_request *ready, **ready_last; /* from this thread; oldest first */
};

static void event_arrived(struct block_completion *completion, int result)
{
    struct block_context *context = container_of(completion, struct block_context, event);
    context->event_armed = false;
}

static void event_arm(struct block_context *context)
{
    if (!context->has_ring || context->event_armed)
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&context->ring);
    if (!sqe)
        return;
    io_uring_prep_read(sqe, context->event_fd, &context->event_value, sizeof(uint64_t), 0);
    io_uring_sqe_set_data(sqe, &context->event);
    context->event_armed = true;
    context->prepared++;
}

static void ring_submit(struct block_context *context)
{
    if (!context->prepared)
        return;
    int count = io_uring_submit(&context->ring);
    if (count > 0)
        context->prepared -= MIN((unsigned)count, context->prepared);
}

struct io_uring_sqe *block_context_sqe(struct block_context *context)
{
    if (!context->has_ring)
        return NULL;
    /* Never more under way than completions have room for. */
    if (context->flying >= RING_ENTRIES * 2)
        return NULL;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&context->ring);
    if (!sqe) {
        ring_submit(context);
        sqe = io_uring_get_sqe(&context->ring);
    }
    if (sqe) {
        context->prepared++;
        context->flying++;
    }
    return sqe;
}

bool block_context_is_current(const struct block_context *context)
{
    return pthread_equal(context->thread, pthread_self());
}

void block_context_post(struct block_context *context, struct block_request *request)
{
    if (block_context_is_current(context)) {
        request->next = NULL;
        *context->ready_last = request;
        context->ready_last = &request->next;
        return;
    }
    struct block_request *head = atomic_load_explicit(&context->ended, memory_order_relaxed);
    do {
        request->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&context->ended, &head, request,
                                                    memory_order_release, memory_order_relaxed));
    if (!head) {
        uint64_t one = 1;
        while (write(context->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

/* Calls done() of what has ended; returns how many there were. */
static unsigned run_ended(struct block_context *context)
{
    unsigned count = 0;
    struct block_request *list =
        atomic_exchange_explicit(&context->ended, NULL, memory_order_acquire);
    struct block_request *ordered = NULL, *next;

    for (; list; list = next) {
        next = list->next;
        list->next = ordered;
        ordered = list;
    }
    for (; ordered; ordered = next) {
        next = ordered->next;
        *context->ready_last = ordered;
        context->ready_last = &ordered->next;
        ordered->next = NULL;
    }
    list = context->ready;
    context->ready = NULL;
    context->ready_last = &context->ready;
    for (; list; list = next, count++) {
        next = list->next;
        list->done(list, list->error);
    }
    return count;
}

static void run_ring(struct block_context *context)
{
    struct io_uring_cqe *cqe;

    while (context->has_ring && !io_uring_peek_cqe(&context->ring, &cqe)) {
        struct block_completion *completion = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&context->ring, cqe);
        if (completion != &context->event)
            context->flying--;
        completion->complete(completion, result);
    }
}

/* Without a ring, the eventfd is emptied here. */
static void drain_event(struct block_context *context)
{
    uint64_t value;
    if (!context->has_ring && read(context->event_fd, &value, sizeof(value)) < 0)
        return;
}

static unsigned run_all(struct block_context *context)
{
    run_ring(context);
    drain_event(context);
    unsigned count = run_ended(context);
    event_arm(context);
    return count;
}

static gboolean context_prepare(GSource *source, gint *timeout)
{
    struct block_context *context = container_of(source, struct block_context, source);
    context->thread = pthread_self();
    *timeout = -1;
    event_arm(context);
    ring_submit(context);
    return context->ready || atomic_load_explicit(&context->ended, memory_order_relaxed)
           || (context->has_ring && io_uring_cq_ready(&context->ring));
}

static gboolean context_check(GSource *source)
{
    struct block_context *context = container_of(source, struct block_context, source);
    if (context->ready || atomic_load_explicit(&context->ended, memory_order_relaxed))
        return TRUE;
    return context->has_ring && io_uring_cq_ready(&context->ring);
}

static gboolean context_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    run_all(container_of(source, struct block_context, source));
    return G_SOURCE_CONTINUE;
}

static void context_finalize(GSource *source)
{
    struct block_context *context = container_of(source, struct block_context, source);
    if (context->has_ring)
        io_uring_queue_exit(&context->ring);
    if (context->event_fd >= 0)
        close(context->event_fd);
}

static GSourceFuncs context_source = {
    .prepare = context_prepare,
    .check = context_check,
    .dispatch = context_dispatch,
    .finalize = context_finalize,
};

/* Kernels before 5.6 lack operations we use; a filter may forbid the ring altogether. Then
 * everything goes to worker threads. */
static bool ring_open(struct io_uring *ring)
{
    static const int needed[] = { IORING_OP_READ,   IORING_OP_WRITE, IORING_OP_READV,
                                  IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE };
    struct io_uring_params parameters = { .flags = IORING_SETUP_CQSIZE,
                                          .cq_entries = RING_ENTRIES * 4 };

    if (g_getenv("YADO_NO_IO_URING"))
        return false;
    if (io_uring_queue_init_params(RING_ENTRIES, ring, &parameters))
        return false;
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool good = probe && (parameters.features & IORING_FEAT_SUBMIT_STABLE);
    for (size_t i = 0; good && i < G_N_ELEMENTS(needed); i++)
        good = io_uring_opcode_supported(probe, needed[i]);
    io_uring_free_probe(probe);
    if (!good)
        io_uring_queue_exit(ring);
    return good;
}

struct block_context *block_context_new(GMainContext *loop, GError **error)
{
    GSource *source = g_source_new(&context_source, sizeof(struct block_context));
    struct block_context *context = container_of(source, struct block_context, source);

    context->thread = pthread_self();
    context->event.complete = event_arrived;
    context->ready_last = &context->ready;
    context->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (context->event_fd < 0) {
        fail_errno(error, "cannot create an event descriptor");
        g_source_unref(source);
        return NULL;
    }
    context->has_ring = ring_open(&context->ring);
    if (context->has_ring) {
        /* The ring's own read waits, instead of failing, on a blocking descriptor only. */
        close(context->event_fd);
        context->event_fd = eventfd(0, EFD_CLOEXEC);
    }
    g_source_set_name(source, "block");
    g_source_set_can_recurse(source, TRUE);
    g_source_add_unix_fd(source, context->has_ring ? context->ring.ring_fd : context->event_fd,
                         G_IO_IN);
    if (loop) {
        context->attached = true;
        g_source_attach(source, loop);
    }
    return context;
}

void block_context_free(struct block_context *context)
{
    if (!context)
        return;
    if (context->attached)
        g_source_destroy(&context->source);
    g_source_unref(&context->source);
}

struct block_context *block_context_main(void)
{
    static struct block_context *context;
    g_autoptr(GError) error = NULL;

    if (!context) {
        context = block_context_new(g_main_context_default(), &error);
        if (!context)
            g_error("%s", error->message); /* out of descriptors at the start */
    }
    return context;
}

void block_context_poll(struct block_context *context)
{
    event_arm(context);
    ring_submit(context);
    run_all(context);
    ring_submit(context);
}

void block_context_wait(struct block_context *context)
{
    context->thread = pthread_self();
    for (;;) {
        event_arm(context);
        if (context->ready || atomic_load_explicit(&context->ended, memory_order_relaxed)
            || (context->has_ring && io_uring_cq_ready(&context->ring))) {
            ring_submit(context);
        } else if (context->has_ring) {
            int count = io_uring_submit_and_wait(&context->ring, 1);
            if (count > 0)
                context->prepared -= MIN((unsigned)count, context->prepared);
        } else {
            struct pollfd wait = { .fd = context->event_fd, .events = POLLIN };
            poll(&wait, 1, -1);
        }
        if (run_all(context))
            return;
    }
}

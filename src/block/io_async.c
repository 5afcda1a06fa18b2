/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous I/O: block_submit() follows a request down the graph on the submitting thread as
 * long as nobody has to wait. Where somebody has to, the request goes to a worker thread, which
 * does it synchronously from that node on. */
#include <errno.h>

#include "block/io.h"

enum { PARTS_MAX = 32 };

/* A request cut into parts, because its data lies in several places. */
struct split {
    struct block_request *whole;
    atomic_uint pending;
    atomic_int error;
    struct part {
        struct block_request request;
        struct split *split;
    } parts[];
};

static void submit_from(struct block_node *node, struct block_request *request);

void block_request_complete(struct block_request *request, int error)
{
    request->error = error;
    while (request->guard_count)
        block_guard_leave(request->guards[--request->guard_count]);
    g_free(request->scratch);
    request->scratch = NULL;
    if (request->context)
        block_context_post(request->context, request);
    else
        request->done(request, error);
}

static void run_on_worker(void *opaque)
{
    struct block_request *request = opaque;
    int error = io_sync(request->node, request->op, request->flags, request->offset,
                        request->length, request->data);
    block_request_complete(request, error);
}

void block_request_to_worker(struct block_request *request)
{
    /* The worker passes this node's gate itself, and might wait there for this very request. */
    unsigned top = request->guard_count;
    if (top && request->guards[top - 1] == &request->node->gate.writes) {
        request->guard_count--;
        block_guard_leave(&request->node->gate.writes);
    }
    block_worker_run(run_on_worker, request);
}

static void guard_push(struct block_request *request, struct block_guard *guard)
{
    if (guard)
        request->guards[request->guard_count++] = guard;
}

static void part_done(struct block_request *request, int error)
{
    struct split *split = container_of(request, struct part, request)->split;
    if (error)
        atomic_store(&split->error, error);
    if (atomic_fetch_sub(&split->pending, 1) == 1) {
        struct block_request *whole = split->whole;
        error = atomic_load(&split->error);
        g_free(split);
        block_request_complete(whole, error);
    }
}

/* Sends the part on to where the extent says; without one, to a worker. */
static void part_submit(struct part *part, const struct block_extent *extent)
{
    struct block_request *request = &part->request;
    if (!extent) {
        block_worker_run(run_on_worker, request);
    } else if (extent->kind == BLOCK_EXTENT_ZERO) {
        if (request->op == BLOCK_READ)
            iov_fill(request->data, 0);
        block_request_complete(request, 0);
    } else {
        submit_from(extent->node, request);
    }
}

/* Continues where lookup() has found that only a part of the request lies at `first`. */
static void submit_split(struct block_node *node, struct block_request *whole,
                         struct block_extent *first)
{
    struct block_extent extents[PARTS_MAX] = { *first };
    uint64_t sizes[PARTS_MAX], offset = whole->offset, left = whole->length;
    unsigned count = 0, found = 0;

    while (left) {
        bool known =
            !count
            || (count < PARTS_MAX - 1
                && io_lookup(node, whole->op, whole->flags, offset, left, false, &extents[count]));
        sizes[count] = known ? MIN(left, extents[count].length) : left;
        found += known;
        offset += sizes[count];
        left -= sizes[count++];
    }

    struct split *split = g_malloc0(sizeof(*split) + count * sizeof(split->parts[0]));
    split->whole = whole;
    split->pending = count;
    uint64_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        struct block_request *part = &split->parts[i].request;
        split->parts[i].split = split;
        *part =
            (struct block_request){ .op = whole->op,
                                    .flags = whole->flags,
                                    .node = node,
                                    .offset = i < found ? extents[i].offset : whole->offset + at,
                                    .length = sizes[i],
                                    .done = part_done,
                                    .context = whole->context };
        if (whole->data.size)
            part->data = iov_slice(whole->data, at, sizes[i]);
        if (i < found)
            guard_push(part, extents[i].guard);
        at += sizes[i];
    }
    /* The last part may end, and free everything, before part_submit() returns. */
    for (unsigned i = 0; i < count; i++)
        part_submit(&split->parts[i], i < found ? &extents[i] : NULL);
}

/* What can be decided before the driver is asked. Returns whether the request is to go on; if not,
 * it has been completed or given to a worker. */
static bool enter_node(struct block_node *node, struct block_request *request)
{
    int error = io_check(node, request->op, request->offset, request->length);
    if (error || !request->length
        || (request->op == BLOCK_DISCARD && !(node->flags & BLOCK_OPEN_UNMAP))) {
        block_request_complete(request, error);
        return false;
    }
    if (request->op == BLOCK_WRITE && node->detect_zeroes && iov_is_zero(request->data)) {
        request->op = BLOCK_WRITE_ZEROES;
        request->flags |= node->detect_zeroes == BLOCK_DETECT_UNMAP ? BLOCK_MAY_UNMAP : 0;
        request->data = (struct iov){ 0 };
    }
    bool beyond = request->offset + request->length > block_length(node);
    if (request->guard_count > BLOCK_GUARDS_MAX - 2
        || (request->op == BLOCK_READ && beyond && node->driver->lookup)
        || ((request->flags & BLOCK_FUA) && !node->driver->native_fua)
        || (node->max_transfer && request->length > node->max_transfer)
        || !io_is_aligned(node, request->op, request->offset, request->length, request->data)) {
        block_worker_run(run_on_worker, request);
        return false;
    }
    if (node->alignment > 1 && block_op_writes(request->op)) {
        if (!gate_try_enter(&node->gate)) {
            block_worker_run(run_on_worker, request);
            return false;
        }
        guard_push(request, &node->gate.writes);
    }
    return true;
}

static void submit_from(struct block_node *node, struct block_request *request)
{
    struct block_extent extent;

    for (;; node = extent.node) {
        request->node = node;
        if (request->op == BLOCK_FLUSH) {
            if (node->driver->is_protocol && (node->flags & BLOCK_OPEN_NO_FLUSH)) {
                block_request_complete(request, 0);
                return;
            }
        } else if (!enter_node(node, request)) {
            return;
        }
        if (!io_lookup(node, request->op, request->flags, request->offset, request->length, false,
                       &extent))
            break;
        if (request->op != BLOCK_FLUSH && extent.length < request->length) {
            submit_split(node, request, &extent);
            return;
        }
        guard_push(request, extent.guard);
        if (extent.kind == BLOCK_EXTENT_ZERO) {
            if (request->op == BLOCK_READ)
                iov_fill(request->data, 0);
            block_request_complete(request, 0);
            return;
        }
        request->offset = extent.offset;
    }
    if (node->driver->submit && !node->driver->lookup)
        node->driver->submit(node, request);
    else
        block_request_to_worker(request);
}

void block_submit_guarded(struct block_node *node, struct block_request *request)
{
    submit_from(node, request);
}

void block_submit(struct block_node *node, struct block_request *request)
{
    request->guard_count = 0;
    request->scratch = NULL;
    submit_from(node, request);
}

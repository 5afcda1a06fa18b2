/* SPDX-License-Identifier: GPL-2.0-or-later */
/* null-co and null-aio: a disk that forgets what is written, for measuring everything else. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "block/driver.h"
#include "util/keyval.h"

struct null {
    uint64_t latency_ns; /* [const] */
    bool read_zeroes;    /* [const] fill buffers; otherwise they keep what they held */
};

static bool null_parse_filename(const char *filename, json_t *options, GError **error)
{
    if (strcmp(filename, "null-co://") && strcmp(filename, "null-aio://"))
        return fail(error, "The only allowed filename for this driver is 'null-co://'");
    return true;
}

static bool null_open(struct block_node *node, json_t *options, GError **error)
{
    struct null *null = node->state;
    uint64_t size = 1ull << 30;

    if (!options_take_size(options, "size", &size, error)
        || !options_take_number(options, "latency-ns", INT64_MAX, &null->latency_ns, error)
        || !options_take_bool(options, "read-zeroes", &null->read_zeroes, error))
        return false;
    if (size > INT64_MAX)
        return fail(error, "'size' may be at most %" PRIi64, INT64_MAX);
    atomic_store(&node->length, size);
    return true;
}

static void wait_latency(struct null *null)
{
    struct timespec time = { null->latency_ns / 1000000000, null->latency_ns % 1000000000 };
    while (null->latency_ns && clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR)
        ;
}

static void null_submit(struct block_node *node, struct block_request *request)
{
    struct null *null = node->state;

    if (null->latency_ns) {
        block_request_to_worker(request);
        return;
    }
    if (request->op == BLOCK_READ && null->read_zeroes)
        iov_fill(request->data, 0);
    block_request_complete(request, 0);
}

static int null_read(struct block_node *node, uint64_t offset, struct iov data)
{
    struct null *null = node->state;
    wait_latency(null);
    if (null->read_zeroes)
        iov_fill(data, 0);
    return 0;
}

static int null_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags)
{
    wait_latency(node->state);
    return 0;
}

static int null_range(struct block_node *node, uint64_t offset, uint64_t length)
{
    wait_latency(node->state);
    return 0;
}

static int null_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length,
                             unsigned flags)
{
    return null_range(node, offset, length);
}

static int null_flush(struct block_node *node)
{
    return null_range(node, 0, 0);
}

static int null_status(struct block_node *node, uint64_t offset, uint64_t length,
                       struct block_status *status)
{
    struct null *null = node->state;
    *status = (struct block_status){ .length = length, .host_offset = offset, .file = node };
    status->flags = BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET
                    | (null->read_zeroes ? BLOCK_STATUS_ZERO : BLOCK_STATUS_DATA);
    return 0;
}

static int64_t null_allocated_size(struct block_node *node)
{
    return 0;
}

#define NULL_FUNCTIONS \
    .is_protocol = true, .native_fua = true, .state_size = sizeof(struct null), \
    .parse_filename = null_parse_filename, .open = null_open, .submit = null_submit, \
    .read = null_read, .write = null_write, .write_zeroes = null_write_zeroes, \
    .discard = null_range, .flush = null_flush, .status = null_status, \
    .allocated_size = null_allocated_size

BLOCK_DRIVER(null_co) = { .name = "null-co", .protocol = "null-co", NULL_FUNCTIONS };
BLOCK_DRIVER(null_aio) = { .name = "null-aio", .protocol = "null-aio", NULL_FUNCTIONS };

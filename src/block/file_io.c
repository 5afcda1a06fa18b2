/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file protocols' I/O: through the context's ring, or by system calls that wait. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "block/file.h"

enum { PIECES_MAX = 256 };

/* A write beyond the end has made the file longer. */
static void note_growth(struct block_node *node, uint64_t end)
{
    uint64_t length = atomic_load_explicit(&node->length, memory_order_relaxed);
    while (end > length && !atomic_compare_exchange_weak(&node->length, &length, end))
        ;
}

/* ---- With the ring ---- */

/* The kernel did `result` bytes of the request; the rest is done by a worker, which also knows what
 * to do at the end of the file. */
static void continue_on_worker(struct block_request *request, unsigned result)
{
    request->offset += result;
    request->length -= result;
    request->data = iov_slice(request->data, result, request->length);
    block_request_to_worker(request);
}

static void ring_complete(struct block_completion *completion, int result)
{
    struct block_request *request = container_of(completion, struct block_request, completion);
    bool transfer = request->op == BLOCK_READ || request->op == BLOCK_WRITE;

    if (result == -EINTR || result == -EAGAIN) {
        block_request_to_worker(request);
    } else if (result < 0) {
        block_request_complete(request, result);
    } else if (transfer && (uint64_t)result < request->length) {
        if (request->op == BLOCK_WRITE)
            note_growth(request->node, request->offset + result);
        continue_on_worker(request, result);
    } else {
        if (request->op == BLOCK_WRITE)
            note_growth(request->node, request->offset + request->length);
        block_request_complete(request, 0);
    }
}

static void prepare_transfer(struct io_uring_sqe *sqe, int fd, struct block_request *request)
{
    uint64_t size;
    void *base = iov_first(request->data, &size);
    bool read = request->op == BLOCK_READ;

    if (size == request->length) {
        size = MIN(size, 1u << 30);
        if (read)
            io_uring_prep_read(sqe, fd, base, size, request->offset);
        else
            io_uring_prep_write(sqe, fd, base, size, request->offset);
    } else {
        struct iovec *vec = request->scratch = g_new(struct iovec, PIECES_MAX);
        unsigned count = iov_export(request->data, vec, PIECES_MAX, &size);
        if (read)
            io_uring_prep_readv(sqe, fd, vec, count, request->offset);
        else
            io_uring_prep_writev(sqe, fd, vec, count, request->offset);
    }
    if (!read && (request->flags & BLOCK_FUA))
        sqe->rw_flags = RWF_DSYNC;
}

void file_submit(struct block_node *node, struct block_request *request)
{
    struct file *file = node->state;
    struct io_uring_sqe *sqe = NULL;
    bool suits = request->op == BLOCK_READ || request->op == BLOCK_WRITE
                 || (request->op == BLOCK_FLUSH && !node->read_only);

    if (suits && file->use_ring && request->context)
        sqe = block_context_sqe(request->context);
    if (!sqe) {
        block_request_to_worker(request);
        return;
    }
    if (request->op == BLOCK_FLUSH)
        io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
    else
        prepare_transfer(sqe, file->fd, request);
    request->completion.complete = ring_complete;
    io_uring_sqe_set_data(sqe, &request->completion);
}

/* ---- With system calls ---- */

int file_read(struct block_node *node, uint64_t offset, struct iov data)
{
    struct file *file = node->state;
    struct iovec vec[PIECES_MAX];

    while (data.size) {
        uint64_t size;
        unsigned count = iov_export(data, vec, PIECES_MAX, &size);
        ssize_t done = preadv(file->fd, vec, count, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        if (!done) {
            /* The end: what is not there reads as zeroes. */
            iov_fill(data, 0);
            return 0;
        }
        offset += done;
        data = iov_slice(data, done, data.size - done);
    }
    return 0;
}

int file_write(struct block_node *node, uint64_t offset, struct iov data, unsigned flags)
{
    struct file *file = node->state;
    struct iovec vec[PIECES_MAX];

    while (data.size) {
        uint64_t size;
        unsigned count = iov_export(data, vec, PIECES_MAX, &size);
        ssize_t done = pwritev2(file->fd, vec, count, offset, flags & BLOCK_FUA ? RWF_DSYNC : 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done ? -errno : -ENOSPC;
        offset += done;
        note_growth(node, offset);
        data = iov_slice(data, done, data.size - done);
    }
    return 0;
}

static int host_fallocate(int fd, int mode, uint64_t offset, uint64_t length)
{
    int result;
    do
        result = fallocate(fd, mode, offset, length);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    /* The ways in which file systems and devices say that they cannot. */
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV || errno == EINVAL
        || errno == ENOTTY)
        return -ENOTSUP;
    return -errno;
}

static int zero_in_place(struct block_node *node, uint64_t offset, uint64_t length, bool unmap)
{
    struct file *file = node->state;
    int error = -ENOTSUP;

    if (unmap && !file->no_punch_hole) {
        error =
            host_fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
        file->no_punch_hole = error == -ENOTSUP;
    }
    if (error == -ENOTSUP && !file->no_zero_range) {
        error =
            host_fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
        file->no_zero_range = error == -ENOTSUP;
    }
    if (error == -ENOTSUP && file->is_device) {
        uint64_t range[2] = { offset, length };
        error = ioctl(file->fd, BLKZEROOUT, range) ? -ENOTSUP : 0;
    }
    return error;
}

int file_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags)
{
    struct file *file = node->state;
    uint64_t size = block_length(node), end = offset + length;
    int error = 0;

    if (offset < size || file->is_device)
        error = zero_in_place(node, offset, file->is_device ? length : MIN(end, size) - offset,
                              flags & BLOCK_MAY_UNMAP);
    if (!error && end > size && !file->is_device) {
        /* A hole to the new end; another thread may have made the file longer meanwhile. */
        pthread_mutex_lock(&node->lock);
        if (end > block_length(node))
            error = ftruncate(file->fd, end) ? -errno : 0;
        if (!error)
            note_growth(node, end);
        pthread_mutex_unlock(&node->lock);
    }
    if (!error && (flags & BLOCK_FUA))
        error = file_flush(node);
    return error;
}

int file_discard(struct block_node *node, uint64_t offset, uint64_t length)
{
    struct file *file = node->state;
    int error = -ENOTSUP;

    if (file->is_device) {
        uint64_t range[2] = { offset, length };
        return ioctl(file->fd, BLKDISCARD, range) ? -ENOTSUP : 0;
    }
    if (!file->no_punch_hole) {
        error =
            host_fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
        file->no_punch_hole = error == -ENOTSUP;
    }
    return error;
}

int file_flush(struct block_node *node)
{
    struct file *file = node->state;
    int result;
    do
        result = fdatasync(file->fd);
    while (result && errno == EINTR);
    return result ? -errno : 0;
}

int file_status(struct block_node *node, uint64_t offset, uint64_t length,
                struct block_status *status)
{
    struct file *file = node->state;
    off_t data = lseek(file->fd, offset, SEEK_DATA), end = -1;

    *status = (struct block_status){ .length = length,
                                     .host_offset = offset,
                                     .file = node,
                                     .flags = BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET };
    if (data < 0 && errno == ENXIO) {
        status->flags |= BLOCK_STATUS_ZERO; /* a hole up to the end */
    } else if (data < 0) {
        status->flags |= BLOCK_STATUS_DATA; /* the host does not tell */
    } else if ((uint64_t)data > offset) {
        status->flags |= BLOCK_STATUS_ZERO;
        status->length = MIN(length, (uint64_t)data - offset);
    } else {
        status->flags |= BLOCK_STATUS_DATA;
        end = lseek(file->fd, offset, SEEK_HOLE);
        if (end > 0 && (uint64_t)end > offset)
            status->length = MIN(length, (uint64_t)end - offset);
    }
    return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying with several threads. Each takes the next piece of the disk, reads it, and writes it,
 * waiting before that until it is its turn if the target is to be written in order. Who takes a
 * piece also finds out, with the lock held, how far it reads the same way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "img/convert.h"
#include "img/img.h"

enum { PIECE = 2 << 20, THREADS_MAX = 16 };

enum content { CONTENT_DATA, CONTENT_ZERO, CONTENT_SKIP };

struct run {
    struct copy *copy;
    pthread_mutex_t lock;
    pthread_cond_t turn;
    uint64_t next;               /* [lock] the first byte nobody has taken */
    uint64_t written;            /* [lock] in order: all before it has been written */
    uint64_t status_end;         /* [lock] up to here `status` holds */
    enum content status;         /* [lock] */
    uint64_t copied, data_bytes; /* [lock] */
    int error;                   /* [lock] the first */
    uint64_t started_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* The source that has byte `offset`, and where it begins; NULL beyond the last. */
static struct block_node *source_at(const struct copy *copy, uint64_t offset, uint64_t *start)
{
    *start = 0;
    for (unsigned i = 0; i < copy->source_count; i++) {
        uint64_t length = block_length(copy->sources[i]);
        if (offset < *start + length)
            return copy->sources[i];
        *start += length;
    }
    return NULL;
}

/* Looks up what is at run->next. [lock] */
static int status_update(struct run *run)
{
    struct copy *copy = run->copy;
    struct block_status status = { 0 };
    uint64_t start, offset = run->next;
    struct block_node *source = source_at(copy, offset, &start);
    int error = 0;

    if (!source) {
        run->status = CONTENT_ZERO;
        run->status_end = copy->length;
        return 0;
    }
    uint64_t left = MIN(copy->length - offset, start + block_length(source) - offset);
    if (copy->target_has_backing)
        error = block_status(block_skip_filters(source), offset - start, left, &status);
    else
        error = block_status_above(source, NULL, offset - start, left, &status);
    if (error && copy->salvage) {
        status = (struct block_status){ .flags = BLOCK_STATUS_DATA, .length = MIN(left, PIECE) };
    } else if (error) {
        report_error("error while reading block status at offset %" PRIu64 ": %s", offset,
                     g_strerror(-error));
        return error;
    }
    if (copy->target_has_backing && !(status.flags & BLOCK_STATUS_ALLOCATED))
        run->status = CONTENT_SKIP;
    else if (status.flags & BLOCK_STATUS_ZERO)
        run->status = copy->target_has_backing && offset >= copy->backing_length ? CONTENT_SKIP
                                                                                 : CONTENT_ZERO;
    else
        run->status = CONTENT_DATA;
    run->status_end = offset + MIN(status.length, left);
    return 0;
}

struct piece {
    uint64_t offset, length;
    enum content content;
};

/* Takes the next piece. Compressed targets get whole clusters, whatever lies in them. */
static bool piece_take(struct run *run, struct piece *piece)
{
    struct copy *copy = run->copy;
    uint64_t unit = copy->compressed ? MAX(copy->target->cluster_size, 512u) : 512;

    pthread_mutex_lock(&run->lock);
    bool more = !run->error && run->next < copy->length;
    if (more && run->next >= run->status_end) {
        run->error = status_update(run);
        more = !run->error;
    }
    if (more) {
        uint64_t end = run->status_end;
        uint64_t limit = run->status == CONTENT_DATA ? MAX(PIECE, unit) : 1ull << 40;
        piece->offset = run->next;
        piece->content = run->status;
        if (copy->compressed && end < copy->length && (end & (unit - 1))) {
            /* The cluster in which the kind of contents changes. */
            if ((end & ~(unit - 1)) > piece->offset) {
                end &= ~(unit - 1);
            } else {
                end = MIN(piece->offset + unit, copy->length);
                piece->content = CONTENT_DATA;
            }
        }
        piece->length = MIN(end - piece->offset, limit);
        run->next += piece->length;
        if (run->next > run->status_end)
            run->status_end = run->next == copy->length ? run->next : 0;
    }
    pthread_mutex_unlock(&run->lock);
    return more;
}

static int piece_read(struct run *run, const struct piece *piece, uint8_t *buffer)
{
    struct copy *copy = run->copy;
    uint64_t at = 0;

    while (at < piece->length) {
        uint64_t start, offset = piece->offset + at, part = piece->length - at;
        struct block_node *source = source_at(copy, offset, &start);
        int error = 0;
        if (!source) {
            memset(buffer + at, 0, part);
        } else {
            part = MIN(part, start + block_length(source) - offset);
            error = block_pread(source, offset - start, buffer + at, part);
        }
        if (error && copy->salvage) {
            part = MIN(part, 512);
            error = block_pread(source, offset - start, buffer + at, part);
            if (error && !copy->quiet)
                warn("error while reading offset %" PRIu64 ": %s", offset, g_strerror(-error));
            if (error)
                memset(buffer + at, 0, part);
            error = 0;
        }
        if (error) {
            report_error("error while reading at byte %" PRIu64 ": %s", offset, g_strerror(-error));
            return error;
        }
        at += part;
    }
    return 0;
}

static int zeroes_write(struct copy *copy, uint64_t offset, uint64_t length)
{
    if (copy->target_is_zero)
        return 0;
    return block_write_zeroes(copy->target, offset, length, BLOCK_MAY_UNMAP);
}

/* The length of the run that is all zero, or has no long enough run of zeroes, at `at`. */
static uint64_t same_kind(const uint8_t *buffer, uint64_t at, uint64_t length, uint64_t unit,
                          bool *zero)
{
    uint64_t end = at;
    while (end < length) {
        uint64_t part = MIN(unit - end % unit, length - end);
        bool this_zero = buffer_is_zero(buffer + end, part);
        if (end == at)
            *zero = this_zero;
        else if (this_zero != *zero)
            break;
        end += part;
    }
    return end - at;
}

static int data_write(struct run *run, const struct piece *piece, const uint8_t *buffer)
{
    struct copy *copy = run->copy;
    uint64_t unit = copy->compressed ? MAX(copy->target->cluster_size, 512u)
                                     : MAX(copy->sparse_bytes, copy->target->alignment);
    bool detect = copy->sparse_bytes;
    int error = 0;

    for (uint64_t at = 0; at < piece->length && !error;) {
        bool zero = false;
        uint64_t part =
            detect ? same_kind(buffer, at, piece->length, unit, &zero) : piece->length - at;
        if (zero)
            error = zeroes_write(copy, piece->offset + at, part);
        else
            error = block_pwrite(copy->target, piece->offset + at, buffer + at, part,
                                 copy->compressed ? BLOCK_COMPRESSED : 0);
        at += part;
    }
    return error;
}

static void wait_turn(struct run *run, const struct piece *piece)
{
    pthread_mutex_lock(&run->lock);
    while (run->written != piece->offset && !run->error)
        pthread_cond_wait(&run->turn, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static void limit_rate(struct run *run)
{
    struct copy *copy = run->copy;
    if (!copy->rate)
        return;
    pthread_mutex_lock(&run->lock);
    uint64_t due = run->started_ns + (uint64_t)(run->data_bytes * 1e9 / copy->rate);
    pthread_mutex_unlock(&run->lock);
    uint64_t now = now_ns();
    if (due > now)
        g_usleep((due - now) / 1000);
}

static void piece_finish(struct run *run, const struct piece *piece, int error)
{
    pthread_mutex_lock(&run->lock);
    if (error && !run->error)
        run->error = error;
    run->copied += piece->length;
    run->data_bytes += piece->content == CONTENT_DATA ? piece->length : 0;
    if (run->copy->in_order) {
        run->written = piece->offset + piece->length;
        pthread_cond_broadcast(&run->turn);
    }
    img_progress(run->copied * 100.0 / run->copy->length);
    pthread_mutex_unlock(&run->lock);
}

static void *copy_thread(void *opaque)
{
    struct run *run = opaque;
    struct copy *copy = run->copy;
    uint8_t *buffer = NULL;
    size_t room = MAX((size_t)PIECE, copy->target->cluster_size);
    struct piece piece;

    while (piece_take(run, &piece)) {
        int error = 0;
        if (piece.content == CONTENT_DATA && !buffer)
            buffer = aligned_alloc(4096, room);
        if (piece.content == CONTENT_DATA)
            error = buffer ? piece_read(run, &piece, buffer) : -ENOMEM;
        if (copy->in_order)
            wait_turn(run, &piece);
        bool read_failed = error;
        if (!error && piece.content == CONTENT_DATA)
            error = data_write(run, &piece, buffer);
        else if (!error && piece.content == CONTENT_ZERO)
            error = zeroes_write(copy, piece.offset, piece.length);
        if (error && !read_failed)
            report_error("error while writing at byte %" PRIu64 ": %s", piece.offset,
                         g_strerror(-error));
        piece_finish(run, &piece, error);
        limit_rate(run);
    }
    free(buffer);
    return NULL;
}

int copy_run(struct copy *copy)
{
    struct run run = { .copy = copy,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .turn = PTHREAD_COND_INITIALIZER,
                       .started_ns = now_ns() };
    pthread_t threads[THREADS_MAX];
    unsigned started = 0, wanted = CLAMP(copy->threads, 1, THREADS_MAX);

    /* The calling thread is one of them. */
    for (; started < wanted - 1; started++) {
        if (pthread_create(&threads[started], NULL, copy_thread, &run))
            break;
    }
    copy_thread(&run);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return run.error;
}

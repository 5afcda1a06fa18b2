/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/qcow2/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_AT_ONCE = 64 };

struct piece {
    uint64_t offset;
    uint8_t *data;
    bool dirty;
    struct piece *older, *newer; /* in order of use */
    struct piece *chain;         /* same bucket */
};

struct cache {
    struct block_node *file;
    uint32_t size;
    unsigned max, count, dirty;
    int (*make_room)(void *opaque);
    void *opaque;
    struct piece *oldest, *newest;
    struct piece **buckets;
    unsigned bucket_mask;
    struct piece *last; /* the one returned last: most often asked for again */
};

struct cache *cache_new(struct block_node *file, uint32_t size, unsigned max,
                        int (*make_room)(void *opaque), void *opaque)
{
    struct cache *cache = g_new0(struct cache, 1);
    unsigned buckets = 16;

    while (buckets < max)
        buckets *= 2;
    *cache = (struct cache){ .file = file,
                             .size = size,
                             .max = MAX(max, 4),
                             .opaque = opaque,
                             .make_room = make_room,
                             .bucket_mask = buckets - 1,
                             .buckets = g_new0(struct piece *, buckets) };
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    for (struct piece *piece = cache->oldest, *next; piece; piece = next) {
        next = piece->newer;
        free(piece->data);
        g_free(piece);
    }
    g_free(cache->buckets);
    g_free(cache);
}

static struct piece **bucket(struct cache *cache, uint64_t offset)
{
    uint64_t number = offset / cache->size;
    return &cache->buckets[(number ^ number >> 13) & cache->bucket_mask];
}

static struct piece *find(struct cache *cache, uint64_t offset)
{
    struct piece *piece = *bucket(cache, offset);
    while (piece && piece->offset != offset)
        piece = piece->chain;
    return piece;
}

static void unlink_use(struct cache *cache, struct piece *piece)
{
    *(piece->older ? &piece->older->newer : &cache->oldest) = piece->newer;
    *(piece->newer ? &piece->newer->older : &cache->newest) = piece->older;
}

static void link_newest(struct cache *cache, struct piece *piece)
{
    piece->newer = NULL;
    piece->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = piece;
    cache->newest = piece;
}

static void unlink_bucket(struct cache *cache, struct piece *piece)
{
    struct piece **at = bucket(cache, piece->offset);
    while (*at != piece)
        at = &(*at)->chain;
    *at = piece->chain;
}

static void piece_free(struct cache *cache, struct piece *piece)
{
    unlink_bucket(cache, piece);
    unlink_use(cache, piece);
    cache->dirty -= piece->dirty;
    cache->count--;
    if (cache->last == piece)
        cache->last = NULL;
    free(piece->data);
    g_free(piece);
}

static void *use(struct cache *cache, struct piece *piece)
{
    if (cache->newest != piece) {
        unlink_use(cache, piece);
        link_newest(cache, piece);
    }
    cache->last = piece;
    return piece->data;
}

/* A piece not yet in any list; the oldest one's storage if there is no room for more. */
static int piece_new(struct cache *cache, uint64_t offset, struct piece **result)
{
    struct piece *piece;

    if (cache->count >= cache->max) {
        if (cache->oldest->dirty) {
            int error = cache->make_room(cache->opaque);
            if (error)
                return error;
        }
        piece = cache->oldest;
        if (piece->dirty)
            return -EIO;
        unlink_bucket(cache, piece);
        unlink_use(cache, piece);
        if (cache->last == piece)
            cache->last = NULL;
    } else {
        piece = g_new0(struct piece, 1);
        piece->data = aligned_alloc(4096, MAX(cache->size, 4096));
        if (!piece->data) {
            g_free(piece);
            return -ENOMEM;
        }
        cache->count++;
    }
    piece->offset = offset;
    *result = piece;
    return 0;
}

static void *piece_add(struct cache *cache, struct piece *piece)
{
    struct piece **head = bucket(cache, piece->offset);
    piece->chain = *head;
    *head = piece;
    link_newest(cache, piece);
    cache->last = piece;
    return piece->data;
}

void *cache_peek(struct cache *cache, uint64_t offset)
{
    struct piece *piece = cache->last;
    if (piece && piece->offset == offset)
        return piece->data;
    piece = find(cache, offset);
    return piece ? use(cache, piece) : NULL;
}

int cache_get(struct cache *cache, uint64_t offset, void **data)
{
    struct piece *piece;

    *data = cache_peek(cache, offset);
    if (*data)
        return 0;
    int error = piece_new(cache, offset, &piece);
    if (error)
        return error;
    error = block_pread(cache->file, offset, piece->data, cache->size);
    if (error) {
        free(piece->data);
        g_free(piece);
        cache->count--;
        return error;
    }
    *data = piece_add(cache, piece);
    return 0;
}

int cache_make(struct cache *cache, uint64_t offset, void **data)
{
    struct piece *piece;

    *data = cache_peek(cache, offset);
    if (!*data) {
        int error = piece_new(cache, offset, &piece);
        if (error)
            return error;
        *data = piece_add(cache, piece);
    }
    memset(*data, 0, cache->size);
    cache_dirty(cache, *data);
    return 0;
}

void cache_dirty(struct cache *cache, void *data)
{
    struct piece *piece = cache->last;
    assert(piece && piece->data == data);
    cache->dirty += !piece->dirty;
    piece->dirty = true;
}

void cache_forget(struct cache *cache, uint64_t offset, uint64_t end)
{
    if ((end - offset) / cache->size > cache->count) {
        for (struct piece *piece = cache->oldest, *next; piece; piece = next) {
            next = piece->newer;
            if (piece->offset >= offset && piece->offset < end)
                piece_free(cache, piece);
        }
        return;
    }
    for (; offset < end; offset += cache->size) {
        struct piece *piece = find(cache, offset);
        if (piece)
            piece_free(cache, piece);
    }
}

bool cache_is_dirty(const struct cache *cache)
{
    return cache->dirty;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct piece *const *left = a, *const *right = b;
    return ((*left)->offset > (*right)->offset) - ((*left)->offset < (*right)->offset);
}

int cache_write(struct cache *cache)
{
    unsigned count = 0;
    int error = 0;

    if (!cache->dirty)
        return 0;
    g_autofree struct piece **list = g_new(struct piece *, cache->dirty);
    for (struct piece *piece = cache->oldest; piece; piece = piece->newer) {
        if (piece->dirty)
            list[count++] = piece;
    }
    qsort(list, count, sizeof(*list), compare_pieces);
    for (unsigned i = 0, next; i < count && !error; i = next) {
        struct iovec vec[PIECES_AT_ONCE];
        for (next = i; next < count && next - i < PIECES_AT_ONCE; next++) {
            if (list[next]->offset != list[i]->offset + (uint64_t)(next - i) * cache->size)
                break;
            vec[next - i] = (struct iovec){ list[next]->data, cache->size };
        }
        error = block_pwritev(cache->file, list[i]->offset, iov_whole(vec, next - i), 0);
        for (unsigned j = i; j < next && !error; j++) {
            list[j]->dirty = false;
            cache->dirty--;
        }
    }
    return error;
}

int cache_fill(struct cache *cache, const uint64_t *offsets, size_t count)
{
    int error = 0;

    for (size_t i = 0, next; i < count && !error; i = next) {
        struct piece *pieces[PIECES_AT_ONCE];
        struct iovec vec[PIECES_AT_ONCE];
        unsigned found = 0;
        next = i + 1;
        if (find(cache, offsets[i]) || cache->count + PIECES_AT_ONCE >= cache->max)
            continue;
        for (next = i; next < count && found < PIECES_AT_ONCE; next++) {
            if (offsets[next] != offsets[i] + (uint64_t)found * cache->size
                || find(cache, offsets[next]) || piece_new(cache, offsets[next], &pieces[found]))
                break;
            vec[found] = (struct iovec){ pieces[found]->data, cache->size };
            found++;
        }
        if (!found)
            break; /* no memory: what is missing is read when it is wanted */
        error = block_preadv(cache->file, offsets[i], iov_whole(vec, found));
        for (unsigned j = 0; j < found; j++) {
            if (!error) {
                piece_add(cache, pieces[j]);
                continue;
            }
            free(pieces[j]->data);
            g_free(pieces[j]);
            cache->count--;
        }
    }
    return error;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing tables back, in the order that makes a crash harmless (qcow2.h says which and why). */
#include "block/qcow2/qcow2.h"

/* Data before what points to it, counts before what is counted. */
static int barrier(struct qcow2 *s)
{
    int error = block_flush(s->node->file);
    return error || s->data == s->node->file ? error : block_flush(s->data);
}

static int l1_write(struct qcow2 *s)
{
    uint32_t first = s->l1_dirty_first, end = s->l1_dirty_end;

    if (end <= first)
        return 0;
    g_autofree uint64_t *raw = g_new(uint64_t, end - first);
    for (uint32_t i = first; i < end; i++)
        raw[i - first] = htobe64(s->l1[i]);
    int error = block_pwrite(s->node->file, s->header.l1_offset + first * 8ull, raw,
                             (end - first) * 8ull, 0);
    if (!error) {
        s->l1_dirty_first = UINT32_MAX;
        s->l1_dirty_end = 0;
    }
    return error;
}

static int refcounts_write(struct qcow2 *s)
{
    int error = cache_write(s->refcount_cache);
    return error ? error : qcow2_reftable_write(s);
}

int qcow2_write_back(struct qcow2 *s)
{
    bool l1_dirty = s->l1_dirty_end > s->l1_dirty_first;
    int error = 0;

    /* With lazy refcounts a dirty image is repaired anyway: no order is needed there. */
    if (!s->dirty_set)
        error = refcounts_write(s);
    if (!error && (cache_is_dirty(s->l2_cache) || l1_dirty))
        error = barrier(s);
    if (!error)
        error = cache_write(s->l2_cache);
    if (!error && l1_dirty)
        error = barrier(s);
    if (!error)
        error = l1_write(s);
    return error;
}

static bool anything_released(const struct qcow2 *s)
{
    return s->released[0]->len || s->released[1]->len;
}

bool qcow2_is_clean(const struct qcow2 *s)
{
    return !cache_is_dirty(s->l2_cache) && !cache_is_dirty(s->refcount_cache)
           && s->l1_dirty_end <= s->l1_dirty_first && !anything_released(s)
           && s->reftable_dirty_end <= s->reftable_dirty_first;
}

/* Takes one from the counts of what nothing on disk points to any more. */
static int apply_released(struct qcow2 *s, unsigned epoch)
{
    GArray *list = s->released[epoch & 1];
    int error = 0;

    for (guint i = 0; i < list->len && !error; i++) {
        struct qcow2_range range = g_array_index(list, struct qcow2_range, i);
        uint64_t offset = range.cluster << s->header.cluster_bits;
        uint64_t bytes = range.count << s->header.cluster_bits;
        error = qcow2_refcount_add(s, offset, bytes, -1);
        for (uint64_t j = 0; j < range.count && !error; j++) {
            uint64_t count;
            error = qcow2_refcount_get(s, range.cluster + j, &count);
            if (error || count)
                continue;
            offset = (range.cluster + j) << s->header.cluster_bits;
            cache_forget(s->l2_cache, offset, offset + s->cluster_size);
            cache_forget(s->refcount_cache, offset, offset + s->cluster_size);
            if (s->discard_passes)
                block_discard(s->node->file, offset, s->cluster_size);
        }
    }
    g_array_set_size(list, 0);
    return error;
}

int qcow2_settle(struct qcow2 *s)
{
    int error = qcow2_write_back(s);

    for (unsigned round = 0; round < 2 && !error && anything_released(s); round++) {
        /* Requests that start from here on cannot find what has been released. Those of the epoch
         * before have ended, or what they may use stays taken until the next time. */
        unsigned other = (s->epoch + 1) & 1;
        if (!atomic_load(&s->guards[other].users) && s->released[other]->len) {
            error = barrier(s);
            if (!error)
                error = apply_released(s, other);
        }
        if (!error && !s->released[other]->len) {
            s->epoch++;
            other = (s->epoch + 1) & 1;
            if (!atomic_load(&s->guards[other].users) && s->released[other]->len) {
                error = barrier(s);
                if (!error)
                    error = apply_released(s, other);
            }
        }
        if (!error)
            error = qcow2_write_back(s);
    }
    return error;
}

int qcow2_settle_all(struct qcow2 *s)
{
    bool lazy = s->dirty_set;
    s->dirty_set = false;
    int error = qcow2_settle(s);
    s->dirty_set = lazy;
    return error;
}

int qcow2_flush(struct block_node *node)
{
    struct qcow2 *s = node->state;
    pthread_mutex_lock(&s->lock);
    int error = qcow2_settle(s);
    pthread_mutex_unlock(&s->lock);
    return error;
}

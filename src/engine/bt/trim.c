/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving memory back. Most code that a guest runs while it boots, or starts a program, never runs
 * again; its translations would stay until the code memory is full.
 *
 * So they are collected, in the simplest way there is: all are dropped, and what is still in use is
 * translated anew. As with any copying collector the price stays in proportion if one waits until
 * there is twice as much as was in use last time. And it is done at a good moment, when little new
 * code is being translated: after the boot, not in the middle of it.
 *
 *             limit passed              little new code: all dropped
 *     QUIET ---------------> WATCHING -------------------------------> RECOVERING
 *       ^                    ^  ^  ^                                    |  |  |
 *       |                    |  |  +----- less than half came back -----+  |  |
 *       |                    |  +- limit passed, or time over - AGING <----+  | little new code:
 *       +---------------------------------------------------------------------+ limit = 2 * in use
 *                                    no more in use than is allowed anyway
 *
 * What comes back soon may still be the rest of a boot, so it is dropped once more if it was much
 * less. AGING is for what was in use after all but may not be any more; each attempt doubles its
 * time. Otherwise there is no timer: an idle machine sleeps. */
#include <sys/mman.h>

#include "engine/bt/bt.h"
#include "util/log.h"

#define TRIM_BYTES (2u << 20) /* this much code is never too much */
#define TRIM_LOOK_NS (250 * 1000000ull)
#define TRIM_SETTLED_BYTES (96u << 10) /* new code from one look to the next is little */
#define TRIM_INTERVAL_MIN_NS (30 * 1000000000ull)
#define TRIM_INTERVAL_MAX_NS (3600 * 1000000000ull)

static size_t used_bytes(const struct bt *bt)
{
    return bt->code_next - bt->code_start;
}

static void look_later(struct bt *bt, uint64_t after_ns)
{
    timer_arm(&bt->trim.timer, clock_now_ns() + after_ns);
}

void bt_trim_grown(struct bt *bt)
{
    struct bt_trim *trim = &bt->trim;
    if (likely(used_bytes(bt) < trim->limit) || trim->state == TRIM_WATCHING
        || trim->state == TRIM_RECOVERING)
        return;
    trim->state = TRIM_WATCHING;
    trim->seen = used_bytes(bt);
    look_later(bt, TRIM_LOOK_NS);
}

/* All that is in use is there again. */
static void recovered(struct bt *bt, size_t used)
{
    struct bt_trim *trim = &bt->trim;
    trim->limit = MAX(TRIM_BYTES, 2 * used);
    if (used <= TRIM_BYTES) {
        trim->state = TRIM_QUIET;
        trim->interval_ns = TRIM_INTERVAL_MIN_NS;
    } else if (used < trim->before / 2) {
        trim->state = TRIM_WATCHING;
        look_later(bt, TRIM_LOOK_NS);
    } else {
        trim->state = TRIM_AGING;
        look_later(bt, trim->interval_ns);
        trim->interval_ns = MIN(2 * trim->interval_ns, TRIM_INTERVAL_MAX_NS);
    }
}

static void look(void *opaque)
{
    struct bt *bt = opaque;
    struct bt_trim *trim = &bt->trim;
    bool drop = false;
    pthread_mutex_lock(&bt->lock);
    size_t used = used_bytes(bt), grown = used >= trim->seen ? used - trim->seen : used;
    trim->seen = used;
    if (trim->state == TRIM_AGING)
        trim->state = TRIM_WATCHING;
    if (grown > TRIM_SETTLED_BYTES) {
        look_later(bt, TRIM_LOOK_NS);
    } else if (trim->state == TRIM_RECOVERING) {
        bt_code_settle(bt);
        recovered(bt, used);
    } else if (trim->state == TRIM_WATCHING) {
        trim->state = TRIM_RECOVERING;
        trim->seen = 0;
        trim->before = used;
        drop = true;
        look_later(bt, TRIM_LOOK_NS);
    }
    pthread_mutex_unlock(&bt->lock);
    if (drop) {
        log_if(LOG_MMU, "%zu KiB of translations dropped", used >> 10);
        bt_flush_code(bt, NULL);
    }
}

/* The pages come back as far as they are needed. */
void bt_trim_vcpu(struct bt_vcpu *v)
{
    uint8_t *tables = (uint8_t *)v + offsetof(struct bt_vcpu, jump);
    if (madvise(tables, sizeof(*v) - offsetof(struct bt_vcpu, jump), MADV_DONTNEED) == 0)
        bt_tlb_zeroed(v);
    else
        bt_jump_cache_flush(v);
}

void bt_trim_init(struct bt *bt)
{
    timer_init(&bt->trim.timer, look, bt);
    bt->trim.limit = TRIM_BYTES;
    bt->trim.interval_ns = TRIM_INTERVAL_MIN_NS;
}

void bt_trim_destroy(struct bt *bt)
{
    timer_cancel(&bt->trim.timer);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving memory back. Most code that a guest runs while it boots, or starts a program, never runs
 * again; its translations would stay until the code memory is full.
 *
 * So they are collected, in the simplest way there is: all are dropped, and what is still in use is
 * translated anew. It is done at a good moment, when little new code is being translated: after the
 * boot, not in the middle of it.
 *
 *               limit passed             little new code: all dropped
 *     QUIET ---------------------> WATCHING -------------------------> QUIET
 *       ^                           ^    |
 *       |  time over: all dropped   |    | most of it had been dropped before: limit doubled
 *       +--------------- AGING -----+ <--+
 *                           limit passed
 *
 * Which code had been dropped before is remembered, roughly, in a table of bits. Code that comes
 * back is in use now and then, and it would be a waste to drop it each time; it stays for a while,
 * longer each time. Otherwise no timer runs: an idle machine sleeps. */
#include <string.h>
#include <sys/mman.h>

#include "engine/bt/bt.h"
#include "util/log.h"

#define TRIM_BYTES (2u << 20) /* this much code is never too much */
#define TRIM_LOOK_NS (250 * 1000000ull)
#define TRIM_SETTLED_BYTES (96u << 10) /* new code from one look to the next is little */
#define TRIM_INTERVAL_MIN_NS (2 * 1000000000ull)
#define TRIM_INTERVAL_MAX_NS (3600 * 1000000000ull)

#define SEEN_BITS 19
#define SEEN_BYTES ((1u << SEEN_BITS) / 8)
#define SEEN_BLOCKS_MAX \
    (1u << (SEEN_BITS - 2)) /* with more, too many would be taken for others \
                             */

static size_t used_bytes(const struct bt *bt)
{
    return bt->code_next - bt->code_start;
}

static void look_later(struct bt *bt, uint64_t after_ns)
{
    timer_arm(&bt->trim.timer, clock_now_ns() + after_ns);
}

static uint32_t seen_index(const struct bt_block *block)
{
    uint64_t h = (block->rip ^ block->gpa << 9 ^ block->mode) * 0x9e3779b97f4a7c15ull;
    return h >> (64 - SEEN_BITS);
}

void bt_trim_grown(struct bt *bt, const struct bt_block *block)
{
    struct bt_trim *trim = &bt->trim;
    uint32_t index = seen_index(block);
    if (trim->seen[index / 8] & 1u << index % 8)
        trim->recurring += block->code_bytes;
    if (likely(used_bytes(bt) < trim->limit) || trim->state == TRIM_WATCHING)
        return;
    trim->state = TRIM_WATCHING;
    trim->last_used = used_bytes(bt);
    look_later(bt, TRIM_LOOK_NS);
}

void bt_trim_dropping(struct bt *bt)
{
    struct bt_trim *trim = &bt->trim;
    if (trim->seen_blocks + bt->block_count > SEEN_BLOCKS_MAX) {
        memset(trim->seen, 0, SEEN_BYTES);
        trim->seen_blocks = 0;
    }
    size_t count = MIN(bt->block_count, SEEN_BLOCKS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t index = seen_index(bt_block_at(bt, bt->places[i].block));
        trim->seen[index / 8] |= 1u << index % 8;
    }
    trim->seen_blocks += count;
    trim->recurring = 0;
}

/* Little code is being translated. Returns whether all of it is to be dropped. */
static bool settled(struct bt *bt, size_t used)
{
    struct bt_trim *trim = &bt->trim;
    bool recurs = trim->recurring > used / 2;
    bt_code_settle(bt);
    if (trim->state == TRIM_QUIET)
        return false;
    if (trim->state == TRIM_WATCHING && recurs) {
        trim->state = TRIM_AGING;
        trim->limit = 2 * used;
        look_later(bt, trim->interval_ns);
        trim->interval_ns = MIN(2 * trim->interval_ns, TRIM_INTERVAL_MAX_NS);
        return false;
    }
    if (trim->state == TRIM_WATCHING)
        trim->interval_ns = TRIM_INTERVAL_MIN_NS;
    trim->state = TRIM_QUIET;
    trim->limit = TRIM_BYTES;
    trim->last_used = 0;
    look_later(bt, TRIM_LOOK_NS); /* for the writable mapping's sake */
    return true;
}

static void look(void *opaque)
{
    struct bt *bt = opaque;
    struct bt_trim *trim = &bt->trim;
    bool drop = false;
    pthread_mutex_lock(&bt->lock);
    size_t used = used_bytes(bt), last = trim->last_used, grown = used - (last <= used ? last : 0);
    trim->last_used = used;
    if (grown > TRIM_SETTLED_BYTES)
        look_later(bt, TRIM_LOOK_NS);
    else
        drop = settled(bt, used);
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
    bt->trim.seen = g_malloc0(SEEN_BYTES);
}

void bt_trim_destroy(struct bt *bt)
{
    timer_cancel(&bt->trim.timer);
    g_free(bt->trim.seen);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code memory, the blocks in it, and what connects them: an index by key, links from exit to block,
 * and for each physical page the blocks made from it, so that a write can drop them.
 *
 * A dropped block is unlinked at once: nothing leads into it any more, its own exits lead out to C,
 * and its return landings too. A vCPU that is inside it leaves at its end. The memory is reused
 * only when everything is flushed, with all vCPUs outside translated code. */
#include <errno.h>
#include <sys/mman.h>

#include "engine/bt/bt.h"
#include "memory/memory.h"
#include "vm/vm.h"

#define ARENA_ALIGN ((size_t)8)
#define SETTLE_BYTES (1u << 20) /* of new code, then the writable mapping is given up */

/* Which 64-byte lines of a page are code, and whose. */
struct bt_page {
    uint32_t blocks; /* ref; chained by page_next[] */
    uint64_t lines;
};

static void *map_table(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return table == MAP_FAILED ? NULL : table;
}

bool bt_cache_init(struct bt *bt, GError **error)
{
    pthread_mutex_init(&bt->lock, NULL);
    uint64_t wanted = bt->vm->config->bt_code_bytes;
    bt->code_size = wanted ? CLAMP(wanted, CODE_BYTES_MIN, CODE_BYTES_MAX) : CODE_BYTES_DEFAULT;
    auto_close int fd = memfd_create("yado-code", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, bt->code_size) < 0)
        return fail_errno(error, "cannot create the translator's code memory");
    void *exec = mmap(NULL, bt->code_size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    void *write = mmap(NULL, bt->code_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (exec == MAP_FAILED || write == MAP_FAILED)
        return fail_errno(error, "cannot map the translator's code memory");
    bt->code_exec = exec;
    bt->code_write_offset = (uint8_t *)write - (uint8_t *)exec;
    bt->block_capacity = bt->code_size / BLOCK_ALIGN;
    bt->places = map_table(bt->block_capacity * sizeof(*bt->places));
    bt->hash = map_table(BLOCK_HASH_BYTES);
    bt->arena = map_table(bt->code_size);
    bt->arena_next = ARENA_ALIGN; /* 0 is no ref */
    if (!bt->places || !bt->hash || !bt->arena)
        return fail_errno(error, "cannot map the translator's block tables");
    bt->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    bt_emit_thunks(bt);
    bt->code_settled = bt->code_start;
    bt_trim_init(bt);
    return true;
}

void bt_cache_destroy(struct bt *bt)
{
    bt_trim_destroy(bt);
    munmap(bt->code_exec, bt->code_size);
    munmap(bt->code_exec + bt->code_write_offset, bt->code_size);
    munmap(bt->places, bt->block_capacity * sizeof(*bt->places));
    munmap(bt->hash, BLOCK_HASH_BYTES);
    munmap(bt->arena, bt->code_size);
    g_hash_table_destroy(bt->pages);
    pthread_mutex_destroy(&bt->lock);
}

void *bt_arena_alloc(struct bt *bt, size_t bytes)
{
    bytes = (bytes + ARENA_ALIGN - 1) & -ARENA_ALIGN;
    if (bytes > bt->code_size - bt->arena_next)
        return NULL;
    bt->arena_next += bytes;
    return bt->arena + bt->arena_next - bytes;
}

/* ---- index
 * ------------------------------------------------------------------------------------------ */

static struct bt_page *page_of(struct bt *bt, uint64_t gpa, bool create)
{
    gint64 number = gpa >> 12;
    struct bt_page *page = g_hash_table_lookup(bt->pages, &number);
    if (!page && create) {
        page = g_new0(struct bt_page, 1);
        gint64 *key = g_new(gint64, 1);
        *key = number;
        g_hash_table_insert(bt->pages, key, page);
    }
    return page;
}

static uint64_t lines_of(uint64_t gpa, uint64_t length)
{
    unsigned first = (gpa & 4095) >> 6, last = ((gpa & 4095) + length - 1) >> 6;
    if (last > 63)
        last = 63;
    return (~0ull >> (63 - (last - first))) << first;
}

/* The part of a block in its n-th page. */
static uint64_t block_lines(const struct bt_block *block, unsigned n)
{
    uint64_t in_first = 4096 - (block->gpa & 4095);
    if (n == 0)
        return lines_of(block->gpa, MIN(block->guest_bytes, in_first));
    return lines_of(block->gpa2, block->guest_bytes - in_first);
}

static void page_add(struct bt *bt, struct bt_block *block, unsigned n)
{
    struct bt_page *page = page_of(bt, n ? block->gpa2 : block->gpa, true);
    block->page_next[n] = page->blocks;
    page->blocks = bt_arena_ref(bt, block);
    page->lines |= block_lines(block, n);
}

void bt_block_publish(struct bt *bt, struct bt_block *block)
{
    page_add(bt, block, 0);
    if (block->gpa2 != BT_NO_PAGE && block->gpa2 >> 12 != block->gpa >> 12)
        page_add(bt, block, 1);
    uint32_t ref = bt_arena_ref(bt, block);
    if (bt->block_count < bt->block_capacity) {
        bt->places[bt->block_count] = (struct bt_place){ block->code - bt->code_exec, ref };
        __atomic_store_n(&bt->block_count, bt->block_count + 1, __ATOMIC_RELEASE);
    }
    _Atomic uint32_t *head = &bt->hash[bt_block_hash(block->rip, block->gpa, block->mode)];
    atomic_store_explicit(&block->hash_next, atomic_load(head), memory_order_relaxed);
    atomic_store_explicit(head, ref, memory_order_release);
}

/* ---- links
 * ------------------------------------------------------------------------------------------- */

static void patch32(struct bt *bt, uint8_t *site, const uint8_t *target)
{
    __atomic_store_n((int32_t *)(site + bt->code_write_offset), (int32_t)(target - (site + 4)),
                     __ATOMIC_RELEASE);
}
static void patch64(struct bt *bt, uint8_t *site, uint64_t value)
{
    __atomic_store_n((uint64_t *)(site + bt->code_write_offset), value, __ATOMIC_RELEASE);
}

void bt_link(struct bt *bt, struct bt_exit *exit, struct bt_block *target)
{
    pthread_mutex_lock(&bt->lock);
    const struct bt_block *owner = bt_exit_owner(exit);
    if (exit->site && !exit->target && !owner->dead && !target->dead) {
        exit->target = bt_arena_ref(bt, target);
        exit->next_incoming = target->incoming;
        target->incoming = bt_arena_ref(bt, exit);
        patch32(bt, owner->code + exit->site, target->code + PATCH_BYTES);
        if (exit->itlb_site)
            patch64(bt, owner->code + exit->itlb_site, -itlb_value(target->rip, target->gpa));
    }
    pthread_mutex_unlock(&bt->lock);
}

static void unlink_exit(struct bt *bt, struct bt_exit *exit)
{
    if (!exit->target)
        return;
    const struct bt_block *owner = bt_exit_owner(exit);
    uint32_t ref = bt_arena_ref(bt, exit), *at = &bt_block_at(bt, exit->target)->incoming;
    while (*at && *at != ref)
        at = &((struct bt_exit *)bt_arena_at(bt, *at))->next_incoming;
    if (*at)
        *at = exit->next_incoming;
    exit->target = 0;
    if (exit->itlb_site)
        patch64(bt, owner->code + exit->itlb_site, ITLB_NEVER);
    patch32(bt, owner->code + exit->site, owner->code + exit->stub);
}

static void hash_remove(struct bt *bt, struct bt_block *block)
{
    _Atomic uint32_t *at = &bt->hash[bt_block_hash(block->rip, block->gpa, block->mode)];
    for (struct bt_block *other; (other = bt_block_at(bt, atomic_load(at)));
         at = &other->hash_next) {
        if (other == block) {
            atomic_store(at, atomic_load(&block->hash_next));
            return;
        }
    }
}

/* Puts a jump or call (opcode) to `target` where a block's head or landing is.
 *
 * Other vCPUs may be executing there. What is overwritten is one instruction of eight bytes or
 * more, a nop at the head, a lea or mov at a landing: so a vCPU stands before it or behind the
 * eight bytes, never inside, wherever it is stopped. The bytes are aligned and stored at once, so a
 * fetch sees the old instruction or the new one. (AMD APM vol. 2, 7.6.1: an aligned quadword may be
 * modified without synchronization; other processors do the same.) */
static void patch_branch(struct bt *bt, uint8_t *site, uint8_t opcode, const uint8_t *target)
{
    int32_t rel = target - (site + 5);
    patch64(bt, site, opcode | (uint64_t)(uint32_t)rel << 8 | 0x909090ull << 40);
}

static void kill_block(struct bt *bt, struct bt_block *block)
{
    block->dead = true;
    hash_remove(bt, block);
    while (block->incoming)
        unlink_exit(bt, bt_arena_at(bt, block->incoming));
    for (unsigned i = 0; i < block->exit_count; i++)
        unlink_exit(bt, &bt_block_exits(block)[i]);
    for (unsigned i = 0; i < block->landing_count; i++)
        patch_branch(bt, block->code + bt_block_landings(block)[i], 0xe9, bt->thunk.indirect);
    /* Jump caches may still lead here. */
    patch_branch(bt, block->code, 0xe8, bt->thunk.dead);
}

/* Drops the blocks of one page that touch `lines`. The lock is held. */
static bool invalidate_page(struct bt *bt, uint64_t gpa, uint64_t lines)
{
    struct bt_page *page = page_of(bt, gpa, false);
    if (!page || !(page->lines & lines))
        return false;
    bool any = false;
    uint32_t *at = &page->blocks;
    page->lines = 0;
    while (*at) {
        struct bt_block *block = bt_block_at(bt, *at);
        unsigned n = block->gpa >> 12 == gpa >> 12 ? 0 : 1; /* first or second page */
        if (block->dead || block_lines(block, n) & lines) {
            if (!block->dead)
                kill_block(bt, block);
            *at = block->page_next[n];
            any = true;
        } else {
            page->lines |= block_lines(block, n);
            at = &block->page_next[n];
        }
    }
    if (!page->blocks) {
        gint64 number = gpa >> 12;
        g_hash_table_remove(bt->pages, &number);
        atomic_fetch_add(&bt->uncovered, 1);
        if (number < (gint64)bt->page_count)
            __atomic_and_fetch(&bt->page_flags[number], (uint8_t)~PAGE_CODE, __ATOMIC_SEQ_CST);
    }
    return any;
}

bool bt_invalidate(struct bt *bt, uint64_t gpa, uint64_t length)
{
    bool any = false;
    pthread_mutex_lock(&bt->lock);
    while (length) {
        uint64_t here = MIN(length, 4096 - (gpa & 4095));
        any |= invalidate_page(bt, gpa, lines_of(gpa, here));
        gpa += here;
        length -= here;
    }
    pthread_mutex_unlock(&bt->lock);
    if (any)
        for (unsigned i = 0; i < bt->vcpu_count; i++)
            __atomic_store_n(&bt->vcpus[i]->code_dropped, true, __ATOMIC_RELEASE);
    return any;
}

static const uint8_t *host_page(const struct bt_memory *memory, uint64_t gpa)
{
    const struct bt_range *range = bt_memory_find(memory, gpa);
    return range ? range->host + (gpa - range->base) : NULL;
}

void bt_drop_moved_code(struct bt *bt, const struct bt_memory before[2])
{
    g_autoptr(GArray) moved = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter each;
    gpointer number;
    pthread_mutex_lock(&bt->lock);
    g_hash_table_iter_init(&each, bt->pages);
    while (g_hash_table_iter_next(&each, &number, NULL)) {
        uint64_t gpa = (uint64_t) * (gint64 *)number << 12;
        for (unsigned i = 0; i < 2; i++) {
            if (host_page(&bt->memory[i], gpa) != host_page(&before[i], gpa)) {
                g_array_append_val(moved, gpa);
                break;
            }
        }
    }
    pthread_mutex_unlock(&bt->lock);
    for (unsigned i = 0; i < moved->len; i++)
        bt_invalidate(bt, g_array_index(moved, uint64_t, i), 4096);
}

/* All of the code memory after the thunks, as mapped there. */
static void advise(struct bt *bt, ptrdiff_t mapping, int advice)
{
    size_t first = (bt->code_start - bt->code_exec + 4095) & ~(size_t)4095;
    madvise(bt->code_exec + mapping + first, bt->code_size - first, advice);
}

void bt_code_settle(struct bt *bt)
{
    advise(bt, bt->code_write_offset, MADV_DONTNEED);
    bt->code_settled = bt->code_next;
}

void bt_code_grown(struct bt *bt, const struct bt_block *block)
{
    if (unlikely(bt->code_next - bt->code_settled > SETTLE_BYTES))
        bt_code_settle(bt);
    bt_trim_grown(bt, block);
}

/* Eight at a time: there is a byte for each page of guest memory. No other vCPU runs. */
static void page_flags_clear(struct bt *bt)
{
    uint64_t *flags = (uint64_t *)bt->page_flags, code = PAGE_CODE * 0x0101010101010101ull;
    for (uint64_t i = 0; i < (bt->page_count + 7) / 8; i++)
        if (flags[i] & code)
            flags[i] &= ~code;
}

void bt_drop_code_at(struct bt *bt, const uint64_t *linear, unsigned count)
{
    pthread_mutex_lock(&bt->lock);
    for (size_t i = 0; i < bt->block_count; i++) {
        struct bt_block *block = bt_block_at(bt, bt->places[i].block);
        for (unsigned n = 0; n < count && !block->dead; n++) {
            if (linear[n] - block->rip < block->guest_bytes)
                kill_block(bt, block);
        }
    }
    pthread_mutex_unlock(&bt->lock);
}

void bt_flush_code(struct bt *bt, struct bt_vcpu *v)
{
    bt_exclusive_begin(bt, v);
    pthread_mutex_lock(&bt->lock);
    atomic_fetch_add(&bt->uncovered, 1);
    bt_trim_dropping(bt);
    madvise(bt->hash, BLOCK_HASH_BYTES, MADV_DONTNEED);
    __atomic_store_n(&bt->block_count, 0, __ATOMIC_RELEASE);
    madvise(bt->places, bt->block_capacity * sizeof(*bt->places), MADV_DONTNEED);
    madvise(bt->arena, bt->code_size, MADV_DONTNEED);
    bt->arena_next = ARENA_ALIGN;
    bt->flushes++;
    bt->code_next = bt->code_settled = bt->code_start;
    g_hash_table_remove_all(bt->pages);
    page_flags_clear(bt);
    advise(bt, bt->code_write_offset, MADV_REMOVE);
    for (unsigned i = 0; i < bt->vcpu_count; i++) {
        bt_trim_vcpu(bt->vcpus[i]);
        __atomic_store_n(&bt->vcpus[i]->code_dropped, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&bt->lock);
    bt_exclusive_end(bt, v);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-balloon: memory the guest does not use goes back to the host. (virtio 1.2, 5.5)
 *
 * The guest gives pages up when it is asked to (inflate), or, with free-page-reporting, tells all
 * the time which of its pages are free. Either way their contents are gone and their memory is the
 * host's; a page the guest touches again is zero and new.
 *
 * Threads: main loop, with vdev.lock held where the driver's state is touched. */
#include "virtio/balloon.h"

#include <inttypes.h>
#include <string.h>

#include "util/timer.h"
#include "virtio/types.h"
#include "vm/vm.h"

enum balloon_feature {
    BALLOON_F_STATS_VQ = 1,
    BALLOON_F_DEFLATE_ON_OOM = 2,
    BALLOON_F_PAGE_POISON = 4,
    BALLOON_F_REPORTING = 5,
};

struct balloon_config {     /* 5.5.4 */
    uint32_t pages, actual; /* wanted, reached: pages in the balloon */
    uint32_t hint_command;
    uint32_t poison; /* what the guest fills free pages with */
};

struct balloon_stat {
    uint16_t tag;
    uint64_t value;
} __attribute__((packed));

enum balloon_queue { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING };
#define QUEUE_SIZE 128u
#define REPORTING_QUEUE_SIZE 32u
#define PFNS_AT_ONCE 256u

const char *const balloon_stat_names[BALLOON_STATS] = {
    "stat-swap-in",      "stat-swap-out",     "stat-major-faults",     "stat-minor-faults",
    "stat-free-memory",  "stat-total-memory", "stat-available-memory", "stat-disk-caches",
    "stat-htlb-pgalloc", "stat-htlb-pgfail",
};

struct virtio_balloon {
    struct virtio_device vdev;
    bool deflate_on_oom, page_poison, reporting; /* [const] properties */
    struct vq_chain chain;
    struct vq_chain stats_chain; /* [lock] the driver's buffer, ours until we want news */
    bool stats_held;             /* [lock] */
    uint64_t stats[BALLOON_STATS];
    uint64_t stats_updated; /* seconds since 1970 */
    unsigned poll_seconds;  /* [main] 0: never */
    struct timer poll;
};

static struct virtio_balloon *balloon_of(struct virtio_device *vdev)
{
    return container_of(vdev, struct virtio_balloon, vdev);
}

static struct balloon_config *config_of(struct virtio_balloon *balloon)
{
    return (struct balloon_config *)balloon->vdev.config;
}

/* --- pages ---------------------------------------------------------------------------------- */

/* Neighbours go back together: one call instead of many, and perhaps a huge page. */
struct page_run {
    struct address_space *space;
    uint64_t first, count; /* pages */
};

static void run_flush(struct page_run *run)
{
    if (run->count)
        ram_discard(run->space, run->first << GUEST_PAGE_SHIFT, run->count << GUEST_PAGE_SHIFT);
    run->count = 0;
}

static void run_add(struct page_run *run, uint64_t page)
{
    if (run->count && page == run->first + run->count) {
        run->count++;
    } else if (run->count && page + 1 == run->first) {
        run->first--;
        run->count++;
    } else {
        run_flush(run);
        run->first = page;
        run->count = 1;
    }
}

/* A chain is an array of page numbers. */
static void inflate(struct virtio_balloon *balloon, const struct dma_list *out)
{
    struct page_run run = { .space = balloon->vdev.dev->vm->memory };
    uint32_t pages[PFNS_AT_ONCE];
    uint64_t offset = 0, bytes;
    while ((bytes = dma_list_load(out, offset, pages, sizeof(pages))) >= sizeof(pages[0])) {
        for (unsigned i = 0; i < bytes / sizeof(pages[0]); i++)
            run_add(&run, pages[i]);
        offset += bytes & ~3ull;
    }
    run_flush(&run);
}

/* A chain's buffers are the free pages themselves. With a poison the guest expects it there again.
 */
static void report(struct virtio_balloon *balloon, const struct dma_list *in)
{
    bool poisoned =
        virtio_has(&balloon->vdev, 1ull << BALLOON_F_PAGE_POISON) && config_of(balloon)->poison;
    for (unsigned i = 0; !poisoned && i < in->count; i++)
        ram_discard(balloon->vdev.dev->vm->memory, in->gpa[i], in->iov[i].iov_len);
}

static void pages_kick(struct virtio_balloon *balloon, unsigned index)
{
    struct virtqueue *vq = virtio_vq(&balloon->vdev, index);
    while (virtio_running(&balloon->vdev) && virtqueue_pop(vq, &balloon->chain)) {
        if (index == QUEUE_INFLATE)
            inflate(balloon, &balloon->chain.out);
        else if (index == QUEUE_REPORTING)
            report(balloon, &balloon->chain.in);
        virtqueue_push(vq, &balloon->chain, 0);
        virtio_publish(&balloon->vdev, index);
    }
}

/* --- statistics ----------------------------------------------------------------------------- */

static void stats_clear(struct virtio_balloon *balloon)
{
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        balloon->stats[i] = UINT64_MAX;
}

static void stats_kick(struct virtio_balloon *balloon)
{
    struct virtqueue *vq = virtio_vq(&balloon->vdev, QUEUE_STATS);
    struct balloon_stat stat;
    if (balloon->stats_held || !virtqueue_pop(vq, &balloon->stats_chain))
        return;
    balloon->stats_held = true;
    stats_clear(balloon);
    for (uint64_t at = 0;
         dma_list_load(&balloon->stats_chain.out, at, &stat, sizeof(stat)) == sizeof(stat);
         at += sizeof(stat))
        if (stat.tag < BALLOON_STATS)
            balloon->stats[stat.tag] = stat.value;
    balloon->stats_updated = g_get_real_time() / G_USEC_PER_SEC;
    if (balloon->poll_seconds)
        timer_arm(&balloon->poll, clock_now_ns() + balloon->poll_seconds * 1000000000ull);
}

/* Giving the buffer back is how the driver is asked to fill it again. */
static void stats_ask(void *opaque)
{
    struct virtio_balloon *balloon = opaque;
    virtio_lock(&balloon->vdev);
    if (balloon->stats_held && virtio_running(&balloon->vdev)) {
        balloon->stats_held = false;
        virtqueue_push(virtio_vq(&balloon->vdev, QUEUE_STATS), &balloon->stats_chain, 0);
        virtio_publish(&balloon->vdev, QUEUE_STATS);
    }
    virtio_unlock(&balloon->vdev);
}

/* --- the device ----------------------------------------------------------------------------- */

static void balloon_kick(struct virtio_device *vdev, unsigned index)
{
    if (index == QUEUE_STATS)
        stats_kick(balloon_of(vdev));
    else
        pages_kick(balloon_of(vdev), index);
}

/* The target survives a reset, as the host's wish; what was reached does not. */
static void balloon_reset(struct virtio_device *vdev)
{
    struct virtio_balloon *balloon = balloon_of(vdev);
    balloon->stats_held = false;
    config_of(balloon)->poison = 0;
    config_of(balloon)->actual = 0;
    stats_clear(balloon);
}

static bool balloon_realize(struct virtio_device *vdev, GError **error)
{
    struct virtio_balloon *balloon = balloon_of(vdev);
    struct vm *vm = vdev->dev->vm;
    vq_chain_init(&balloon->chain, vm->memory);
    vq_chain_init(&balloon->stats_chain, vm->memory);
    timer_init(&balloon->poll, stats_ask, balloon);
    vdev->config_size = sizeof(struct balloon_config);
    memset(vdev->config_writable + offsetof(struct balloon_config, actual), 0xff, 4);
    memset(vdev->config_writable + offsetof(struct balloon_config, poison), 0xff, 4);
    vdev->device_features = 1ull << BALLOON_F_STATS_VQ
                            | (balloon->deflate_on_oom ? 1ull << BALLOON_F_DEFLATE_ON_OOM : 0)
                            | (balloon->page_poison ? 1ull << BALLOON_F_PAGE_POISON : 0)
                            | (balloon->reporting ? 1ull << BALLOON_F_REPORTING : 0);
    for (unsigned i = 0; i < 3; i++)
        virtio_add_queue(vdev, QUEUE_SIZE);
    if (balloon->reporting)
        virtio_add_queue(vdev, REPORTING_QUEUE_SIZE);
    if (vm->balloon)
        return fail(error, "Only one balloon device is supported");
    vm->balloon = balloon;
    return true;
}

static void balloon_unrealize(struct virtio_device *vdev)
{
    struct virtio_balloon *balloon = balloon_of(vdev);
    timer_cancel(&balloon->poll);
    if (vdev->dev->vm->balloon == balloon)
        vdev->dev->vm->balloon = NULL;
    vq_chain_destroy(&balloon->chain);
    vq_chain_destroy(&balloon->stats_chain);
}

static const struct virtio_ops balloon_ops = {
    .id = VIRTIO_ID_BALLOON,
    .class_code = 0x00ff00, /* no class of its own */
    .legacy_pci_id = 0x1002,
    .realize = balloon_realize,
    .unrealize = balloon_unrealize,
    .reset = balloon_reset,
    .kick = balloon_kick,
};

#define BALLOON_PROPERTIES(structure, field) \
    PROPERTY_BOOL("deflate-on-oom", structure, field.deflate_on_oom, false, \
                  .help = "the guest may take pages back when it runs out of memory"), \
        PROPERTY_BOOL("page-poison", structure, field.page_poison, true), \
        PROPERTY_BOOL("free-page-reporting", structure, field.reporting, false, \
                      .help = "the guest tells which pages are free"),

VIRTIO_TYPES(virtio_balloon, "virtio-balloon", struct virtio_balloon, BALLOON_PROPERTIES,
             &balloon_ops, DEVICE_CATEGORY_MISC, "memory balloon");

/* --- for the monitor ------------------------------------------------------------------------ */

static struct virtio_balloon *balloon_find(const struct vm *vm, GError **error)
{
    if (!vm->balloon)
        fail(error, "No balloon device has been activated");
    return vm->balloon;
}

bool balloon_set(struct vm *vm, uint64_t bytes, GError **error)
{
    struct virtio_balloon *balloon = balloon_find(vm, error);
    if (!balloon)
        return false;
    if (!bytes)
        return fail(error, "Parameter 'target' expects a size");
    bytes = MIN(bytes, vm->ram.size);
    virtio_lock(&balloon->vdev);
    config_of(balloon)->pages = (vm->ram.size - bytes) >> GUEST_PAGE_SHIFT;
    virtio_config_changed(&balloon->vdev);
    virtio_unlock(&balloon->vdev);
    return true;
}

bool balloon_actual(struct vm *vm, uint64_t *bytes, GError **error)
{
    struct virtio_balloon *balloon = balloon_find(vm, error);
    if (!balloon)
        return false;
    virtio_lock(&balloon->vdev);
    uint64_t taken = (uint64_t)config_of(balloon)->actual << GUEST_PAGE_SHIFT;
    virtio_unlock(&balloon->vdev);
    *bytes = vm->ram.size - MIN(taken, vm->ram.size);
    return true;
}

bool balloon_stats(struct vm *vm, const uint64_t **values, uint64_t *updated_seconds,
                   GError **error)
{
    struct virtio_balloon *balloon = balloon_find(vm, error);
    if (!balloon)
        return false;
    *values = balloon->stats;
    *updated_seconds = balloon->stats_updated;
    return true;
}

bool balloon_poll_stats(struct vm *vm, unsigned seconds, GError **error)
{
    struct virtio_balloon *balloon = balloon_find(vm, error);
    if (!balloon)
        return false;
    balloon->poll_seconds = seconds;
    timer_cancel(&balloon->poll);
    if (seconds)
        timer_arm(&balloon->poll, clock_now_ns());
    return true;
}
